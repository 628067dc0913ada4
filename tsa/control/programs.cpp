// tsactl programs list | accept: asked of the running server, which alone knows what it runs with.
#include <nlohmann/json.hpp>

#include "base/account.h"
#include "base/json_text.h"
#include "base/text.h"
#include "tsa/control/commands.h"
#include "tsa/control/proposal.h"

namespace kokuin::tsa::control {
namespace {

using nlohmann::json;

/// All files are read for the answer.
constexpr nanoseconds programs_within = seconds(60);

Result<json> ask(const Settings& settings, const std::string& method, const std::string& path,
                 const std::string& body = "") {
    const auto answer = hsm::custody::ask_server(site_of(settings, settings.hsms.front()), method, path, body,
                                                 programs_within);
    if (!answer) return answer.error();
    return parse_json(*answer);
}

}  // namespace

Result<int> programs_list(const Settings& settings, bool sums, bool as_json, std::ostream& out) {
    const auto answer = ask(settings, "GET", "/programs");
    if (!answer) return answer.error();
    const int status = answer->value("troubles", json::array()).empty() ? 0 : 1;
    if (as_json) {
        out << json_text(*answer) << '\n';
        return status;
    }
    if (sums) {
        out << answer->value("text", "");  // to be checked by sha256sum, every octet of it
        return status;
    }
    for (const auto& file : answer->value("files", json::array())) {
        const auto digest = line_member(file, "sha256");
        out << (digest.empty() ? std::string(64, '-') : digest) << "  " << line_member(file, "path");
        if (const auto state = line_member(file, "state"); state != "as it should be") {
            out << "  <- " << state;
            if (const auto counts = line_member(file, "counts"); !counts.empty() && !digest.empty())
                out << "; should be " << counts;
            if (const auto why = line_member(file, "why"); !why.empty()) out << " (" << why << ")";
        }
        out << '\n';
    }
    for (const auto& file : answer->value("joined", json::array()))
        out << line_member(file, "sha256") << "  " << line_member(file, "path") << "  <- loaded later\n";
    out << "the list of these files: SHA-256 " << line_member(*answer, "list") << '\n';
    for (const auto& trouble : answer->value("troubles", json::array()))
        out << "TROUBLE: " << one_line(trouble.is_string() ? trouble.get<std::string>() : "", any_length)
            << '\n';
    out << (status == 0                     ? "the programs are whole\n"
            : answer->value("stops", false) ? "nothing is stamped until that is settled (docs/programs.md)\n"
                                            : "stamping goes on: on_change = \"alarm\"\n");
    return status;
}

Result<int> programs_accept(const Settings& settings, const std::string& why, const std::string& by,
                            bool as_json, std::ostream& out) {
    if (auto done = check_why_and_by(why, by); !done) return std::move(done).error();
    const auto answer = ask(settings, "POST", "/programs/accept", json_text(json{{"why", why}, {"by", by}}));
    if (!answer) return answer.error();
    if (as_json) {
        out << json_text(*answer) << '\n';
        return 0;
    }
    out << done_or_proposed(*answer) << '\n';
    return 0;
}

}  // namespace kokuin::tsa::control
