// Commands that the running server answers.
#include <nlohmann/json.hpp>

#include "base/json_text.h"
#include "base/net/client.h"
#include "base/secret.h"
#include "base/text.h"
#include "hsm/commands.h"
#include "tsa/control/commands.h"
#include "tsa/key_life.h"

namespace kokuin::tsa::control {
namespace {

using nlohmann::json;

constexpr nanoseconds answer_within = seconds(10);

/// A text of the answer: names out of foreign certificates and TACs may stand in it.
std::string shown(const json& text) {
    return one_line(text.get<std::string>(), any_length);
}

std::string text_or(const json& value, const char* key, const std::string& otherwise) {
    const auto found = value.find(key);
    return found != value.end() && found->is_string() ? shown(*found) : otherwise;
}

Result<json> ask(const Settings& settings, const std::string& path) {
    net::ClientOptions options;
    options.unix_path = settings.control;
    auto client = net::Client::make(std::move(options));
    if (!client) return std::move(client).error();
    net::Call call;
    call.path = path;
    auto answer = client->request(call, answer_within);
    if (!answer) return std::move(answer).error().in("tsad doesn't answer");
    auto value = parse_json(as_text(answer->body));
    if (value.is_discarded())
        return Error::environment("tsad's answer on " + settings.control + " is no JSON");
    if (answer->status != 200)
        return Error::environment("tsad on " + settings.control + ": " +
                                  text_or(value, "error", "status " + std::to_string(answer->status)));
    return value;
}

void print_tsu(const json& tsu, std::ostream& out) {
    out << "TSU " << shown(tsu["name"]) << ": ";
    if (tsu["open"].get<bool>())
        out << "open, clock right within " << tsu["clock_bound_us"] << " us, closes at "
            << text_or(tsu, "closes_at", "(unknown)") << " if no new evidence comes\n";
    else
        out << "closed: " << text_or(tsu, "closed_because", "(unknown)") << '\n';
    out << "  key " << text_or(tsu, "key", "") << ", certificate " << text_or(tsu, "certificate_subject", "")
        << " until " << text_or(tsu, "certificate_not_after", "") << ", signs until "
        << text_or(tsu, "key_signs_until", "") << ", in the token " << text_or(tsu, "hsm", "") << '\n';
    if (tsu["tac"].is_object()) {
        const auto& tac = tsu["tac"];
        out << "  TAC " << text_or(tac, "serial", "") << " of " << text_or(tac, "audited", "") << ", offset "
            << tac["offset_us"] << " us, delay " << tac["delay_us"] << " us, until "
            << text_or(tac, "not_after", "") << '\n';
    } else {
        out << "  no TAC\n";
    }
    if (tsu["taa_notice"].is_string()) out << "  the TAA gives notice: " << shown(tsu["taa_notice"]) << '\n';
    if (tsu["order_to_stop"].is_string()) out << "  ORDER TO STOP: " << shown(tsu["order_to_stop"]) << '\n';
}

void print_hsm(const std::string& name, const json& hsm, const json& custody, std::ostream& out) {
    out << "HSM" << name << ": " << shown(hsm["state"]) << '\n';
    out << "custodians" << name << ": " << shown(custody["state"]) << '\n';
    if (const auto& warning = custody["warning"]; warning.is_string())
        out << "WARNING: " << shown(warning) << '\n';
}

}  // namespace

Result<const hsm::Settings*> choose_hsm(const Settings& settings, const std::string& name) {
    for (const auto& one : settings.hsms)
        if (one.name == (name == "hsm" ? "" : name)) return &one;
    return Error::usage("--hsm " + one_line(name, 64) + ": there is no [hsm." + one_line(name, 64) + "] in " +
                        settings.file);
}

hsm::custody::Site site_of(const Settings& settings, const hsm::Settings& hsm) {
    hsm::custody::Site site{
        hsm,
        "tsad",
        hsm.name.empty() ? "tsactl" : "tsactl --hsm " + hsm.name,
        settings.control,
        settings.archive,
        hsm::keytool::Purpose::timestamping,
        [tsus = settings.tsus, hsm](const hsm::Key& key, const std::string& csr,
                                    const std::string& custodians, const std::string& account) {
            // The TSU whose first key it is; a name that no table has yet is its own until one adopts it.
            auto tsu = key.algorithm() == hsm::KeyAlgorithm::rsa ? tsus.front().name : archive_keys;
            for (const auto& one : tsus)
                if (one.key == key.label()) tsu = one.name;
            return records_of_new_key(key.label(), tsu, hsm.token, to_hex(key.id()), key.spki(), csr,
                                      {"made in the ceremony", custodians, account, "", custodians});
        }};
    if (settings.checkpoints && settings.checkpoints->hsm == hsm.name)
        site.archive_key = settings.checkpoints->key;
    return site;
}

Result<int> status(const Settings& settings, bool as_json, std::ostream& out) {
    const auto answer = ask(settings, "/status");
    if (!answer) return answer.error();
    const bool ready = answer->value("ready", false);
    if (as_json) {
        out << json_text(*answer) << '\n';
        return ready ? 0 : 1;
    }
    try {
        out << (ready ? "ready" : "NOT READY") << " at " << shown((*answer)["time"]) << '\n';
        for (const auto& reason : (*answer)["reasons"]) out << "  because " << shown(reason) << '\n';
        for (const auto& tsu : (*answer)["tsus"]) print_tsu(tsu, out);
        if (const auto& reference = (*answer)["reference"]; reference.is_object())
            out << "reference: " << shown(reference["state"]) << ", " << shown(reference["text"]) << '\n';
        if (const auto& correction = (*answer)["correction"]; correction.is_object())
            out << "follows the TAA: corrected by " << correction["now_us"] << " us, on its way to "
                << correction["target_us"] << " us\n";
        if (const auto& leap = (*answer)["leap"]; leap.is_object()) {
            if (const auto& pending = leap["pending"]; pending.is_object())
                out << "LEAP SECOND " << (pending["direction"].get<int>() > 0 ? "inserted" : "deleted")
                    << " before " << shown(pending["midnight"]) << ", announced by "
                    << shown(pending["announced_by"]) << '\n';
            if (leap["warning"].is_string()) out << "note: " << shown(leap["warning"]) << '\n';
        }
        if (const auto& revocation = (*answer)["revocation"]; revocation.is_object())
            for (const auto& one : revocation["certificates"])
                out << "revocation: " << shown(one["certificate"]) << ": " << shown(one["state"]) << ", by "
                    << text_or(one, "source", "nobody") << ", until " << text_or(one, "until", "(no answer)")
                    << (one["trouble"].is_string() ? "; " + shown(one["trouble"]) : "") << '\n';
        out << "archive: " << (*answer)["archive"]["records"] << " records, writing "
            << shown((*answer)["archive"]["segment"]) << '\n';
        if (const auto& copy = (*answer)["archive"]["copy"]; copy.is_object())
            out << "copy: " << shown(copy["dir"]) << ": " << shown(copy["state"]) << ", " << copy["records"]
                << " records" << (copy["waits"].get<bool>() ? ", waited for" : "")
                << (shown(copy["text"]).empty() ? "" : "; " + shown(copy["text"])) << '\n';
        for (const auto& witness : (*answer)["archive"]["witnesses"])
            out << "witness: " << shown(witness["name"]) << ": " << shown(witness["state"]) << ", "
                << witness["size"] << " records, at " << text_or(witness, "at", "(never)")
                << (witness["trouble"].is_string() ? "; " + shown(witness["trouble"]) : "") << '\n';
        if (const auto& programs = (*answer)["programs"]; programs.is_object()) {
            for (const auto& trouble : programs["troubles"]) out << "PROGRAMS: " << shown(trouble) << '\n';
            if (programs["troubles"].empty())
                out << "programs: " << programs["files"] << " files are whole, looked at "
                    << shown(programs["looked"]) << '\n';
        }
        print_hsm("", (*answer)["hsm"], (*answer)["custody"], out);
        for (const auto& more : (*answer)["more_hsms"])
            print_hsm(" " + shown(more["name"]), more, more["custody"], out);
        for (const auto& warning : (*answer)["key_warnings"]) out << "WARNING: " << shown(warning) << '\n';
        for (const auto& departure : (*answer)["departures"]) out << "note: " << shown(departure) << '\n';
    } catch (const json::exception&) {
        return Error::environment(
            "tsad's answer isn't what this tsactl expects; are both of the same version?");
    }
    return ready ? 0 : 1;
}

Result<int> key_list(const Settings& settings, bool as_json, std::ostream& out) {
    auto keys = ask(settings, "/keys");
    if (!keys) {
        // tsad is down, or locked: the HSMs themselves know.
        keys = json::array();
        for (const auto& one : settings.hsms) {
            const auto text = hsm::custody::list_keys_here(site_of(settings, one));
            if (!text) return text.error();
            for (auto& key : parse_json(*text)) {
                key["hsm"] = one.name.empty() ? "hsm" : one.name;
                keys->push_back(std::move(key));
            }
        }
    }
    if (as_json) {
        out << json_text(*keys) << '\n';
        return 0;
    }
    out << hsm::keys_text(json_text(*keys));
    return 0;
}

}  // namespace kokuin::tsa::control
