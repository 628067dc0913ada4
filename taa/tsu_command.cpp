#include "taa/tsu_command.h"

#include <nlohmann/json.hpp>
#include <ostream>

#include "base/json_text.h"
#include "base/text.h"
#include "store/reader.h"
#include "taa/control.h"

namespace kokuin::taa {
namespace {

using Json = nlohmann::ordered_json;

struct Row {
    Admission admission;
    const TsuSettings* configured = nullptr;
    std::optional<Identity> now;
};

Json or_null(const std::string& text) {
    return text.empty() ? Json() : Json(text);
}

Json in_json(const std::string& tsu, const Row& row, nanoseconds within, WallTime now) {
    const auto& admission = row.admission;
    const bool known = admission.state != Admission::State::unknown;
    const auto why_not = refusal(tsu, admission, row.now, row.now ? row.now->certificate : "");
    const auto due = review_due(admission, within);
    Json out;
    out["tsu"] = tsu;
    out["state"] = name(admission.state);
    out["served"] = !why_not;
    out["why_not"] = why_not ? Json(*why_not) : Json();
    out["since"] = known ? Json(to_rfc3339(admission.since, 0)) : Json();
    out["why"] = or_null(admission.why);
    out["by"] = or_null(admission.by);
    out["account"] = or_null(admission.account);
    out["reviewed"] = known ? Json(to_rfc3339(admission.reviewed, 0)) : Json();
    out["review_due"] = due ? Json(to_rfc3339(*due, 0)) : Json();
    out["overdue"] = due && *due < now;
    out["certificate"] = or_null(admission.identity.certificate);
    out["peer"] = or_null(admission.identity.peer);
    out["called"] = or_null(admission.identity.called);
    out["tsa"] = row.configured ? Json(row.configured->tsa) : Json();
    out["compromised"] = Json::object();
    for (const auto& [certificate, told] : admission.compromised)
        out["compromised"][certificate] = to_rfc3339(told, 0);
    return out;
}

std::string in_words(const std::string& tsu, const Row& row, nanoseconds within, WallTime now) {
    const auto& admission = row.admission;
    std::string line = tsu + ": " + std::string(name(admission.state));
    if (admission.state != Admission::State::unknown) {
        line += " since " + to_rfc3339(admission.since, 0) + " by " + admission.account;
        if (!admission.by.empty()) line += " (" + one_line(admission.by, any_length) + ")";
        line += ": " + one_line(admission.why, any_length);
    }
    line += '\n';
    if (const auto why_not = refusal(tsu, admission, row.now, row.now ? row.now->certificate : ""))
        line += "  NOT SERVED: " + *why_not + '\n';
    for (const auto& [certificate, told] : admission.compromised)
        line +=
            "  COMPROMISED, told " + to_rfc3339(told, 0) + ": the key of certificate " + certificate + '\n';
    if (const auto due = review_due(admission, within))
        line += "  reviewed " + to_rfc3339(admission.reviewed, 0) + ", " +
                (*due < now ? "REVIEW OVERDUE since " : "next review by ") + to_rfc3339(*due, 0) + '\n';
    return line;
}

}  // namespace

Result<int> tsu_list(const Settings& settings, bool json, WallTime now, std::ostream& out) {
    auto reader = store::ArchiveReader::open(settings.archive);
    if (!reader) return std::move(reader).error();
    auto known = read_admissions([&](const store::EventQuery& query, const store::Visitor& visit) {
        return (*reader)->events(query, visit);
    });
    if (!known) return std::move(known).error();
    std::map<std::string, Row> rows;
    for (auto& [tsu, admission] : *known) rows[tsu].admission = std::move(admission);
    for (const auto& tsu : settings.tsus) {
        auto certificates = pki::load_certificates(tsu.certificate);
        if (!certificates)
            return Error::usage("[tsu." + tsu.name + "] certificate: " + certificates.error().text);
        rows[tsu.name].configured = &tsu;
        rows[tsu.name].now = effective(rows[tsu.name].admission, identity_of(tsu, certificates->front()));
    }
    for (const auto& [tsu, row] : rows)
        out << (json ? json_text(in_json(tsu, row, settings.review_within, now)) + '\n'
                     : in_words(tsu, row, settings.review_within, now));
    return 0;
}

Result<int> tsu_step(const Settings& settings, Step step, const TsuArguments& arguments, bool json,
                     const WallClock& wall, std::ostream& out) {
    const auto number = order_step(settings, {step, arguments.tsu, arguments.why, arguments.by, ""}, wall);
    if (!number) return number.error();
    if (json)
        out << json_text(Json{{"tsu", arguments.tsu}, {"step", name(step)}, {"record", *number}}) << '\n';
    else
        out << arguments.tsu << ": " << name(step) << " is recorded as record " << *number << '\n';
    return 0;
}

}  // namespace kokuin::taa
