// Commands about the seals of finished months, which the running server answers.
#include <nlohmann/json.hpp>

#include "base/account.h"
#include "base/json_text.h"
#include "base/text.h"
#include "hsm/custody/commands.h"
#include "tsa/control/commands.h"

namespace kokuin::tsa::control {
namespace {

using nlohmann::json;

Result<json> ask(const Settings& settings, const char* method, const char* path, const std::string& body) {
    const auto answer =
        hsm::custody::ask_server(site_of(settings, settings.hsms.front()), method, path, body, seconds(30));
    if (!answer) return answer.error();
    return parse_json(*answer);
}

std::string said_or(const json& value, const char* key, const char* otherwise) {
    return value.contains(key) && value[key].is_string() ? one_line(value[key].get<std::string>(), any_length)
                                                         : otherwise;
}

}  // namespace

Result<int> seal_list(const Settings& settings, bool as_json, std::ostream& out) {
    const auto seals = ask(settings, "GET", "/seals", "");
    if (!seals) return seals.error();
    if (as_json) {
        out << json_text(*seals) << '\n';
        return 0;
    }
    if (seals->value("months", json::array()).empty()) out << "no month has ended yet\n";
    for (const auto& month : seals->value("months", json::array())) {
        out << said_or(month, "month", "") << ": " << said_or(month, "state", "");
        if (month.value("time_stamps", 0) > 0)
            out << ", by time-stamp " << month["time_stamps"] << " (of hash tree " << month["chains"]
                << ") of " << said_or(month, "stamped", "") << ", which holds until "
                << said_or(month, "until", "");
        out << '\n';
    }
    if (const auto trouble = said_or(*seals, "trouble", ""); !trouble.empty())
        out << "TROUBLE: " << trouble << '\n';
    return 0;
}

Result<int> seal_renew(const Settings& settings, const SealChange& change, bool as_json, std::ostream& out) {
    if (auto done = check_why_and_by(change.why, change.by); !done) return std::move(done).error();
    const auto answer = ask(settings, "POST", "/seals/renew",
                            json_text(json{{"month", change.month}, {"why", change.why}, {"by", change.by}}));
    if (!answer) return answer.error();
    if (as_json)
        out << json_text(*answer) << '\n';
    else
        out << change.month << ": tsad renews its time-stamp now; tsactl seal list shows when it has\n";
    return 0;
}

}  // namespace kokuin::tsa::control
