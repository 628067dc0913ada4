// tsactl key show | rotate | retire | destroy: asked of the running server, which alone changes what a key
// is.
#include <nlohmann/json.hpp>

#include "base/account.h"
#include "base/text.h"
#include "tsa/control/commands.h"

namespace kokuin::tsa::control {
namespace {

using nlohmann::json;

/// It waits for the TAA's audit of the new certificate.
constexpr nanoseconds rotation_within = seconds(150);

std::string text_of(const json& value, const char* key) {
    const auto at = value.find(key);
    return at != value.end() && at->is_string() ? one_line(at->get<std::string>(), any_length)
                                                : std::string();
}

Result<json> ask(const Settings& settings, const std::string& path, const KeyChange& change,
                 nanoseconds patience) {
    if (auto done = check_why_and_by(change.why, change.by); !done) return std::move(done).error();
    const json body{{"label", change.label}, {"why", change.why}, {"by", change.by}};
    const auto answer = hsm::custody::ask_server(
        site_of(settings), "POST", path, body.dump(-1, ' ', false, json::error_handler_t::replace), patience);
    if (!answer) return answer.error();
    return json::parse(*answer);
}

int tell(const json& answer, const std::string& text, bool as_json, std::ostream& out) {
    out << (as_json ? answer.dump() : text) << '\n';
    return 0;
}

}  // namespace

Result<int> key_rotate(const Settings& settings, const KeyChange& change, bool as_json, std::ostream& out) {
    const auto answer = ask(settings, "/keys/rotate", change, rotation_within);
    if (!answer) return answer.error();
    const auto retired = text_of(*answer, "retired");
    return tell(*answer,
                text_of(*answer, "key") + " signs for " + text_of(*answer, "tsu") + " now, until " +
                    text_of(*answer, "signs_until") + (retired.empty() ? "" : "; " + retired + " is retired"),
                as_json, out);
}

Result<int> key_retire(const Settings& settings, const KeyChange& change, bool as_json, std::ostream& out) {
    const auto answer = ask(settings, "/keys/retire", change, seconds(30));
    if (!answer) return answer.error();
    return tell(*answer,
                change.label + " is retired; it must be destroyed by " + text_of(*answer, "destroy_by"),
                as_json, out);
}

Result<int> key_compromise(const Settings& settings, const KeyChange& change, bool as_json,
                           std::ostream& out) {
    const auto answer = ask(settings, "/keys/compromise", change, seconds(60));
    if (!answer) return answer.error();
    const auto serial = text_of(*answer, "certificate_serial");
    const auto since = text_of(*answer, "activated");
    std::string text = change.label + " signs nothing any more, and that it is compromised is recorded. Now:";
    if (!serial.empty())
        text += "\n- have its certificate revoked: serial " + serial + " of " +
                text_of(*answer, "certificate_issuer") + ", reason keyCompromise";
    text += "\n- tell the TAA (it suspends the TSU), and the users";
    if (!since.empty())
        text += "\n- the tokens that lose their reliability: tsaudit find --json --from " + since +
                ", those of " + text_of(*answer, "tsu");
    text += "\n- destroy it: tsactl key destroy " + change.label +
            " --why TEXT --by WHO\n- make, certify and rotate to another key";
    return tell(*answer, text, as_json, out);
}

Result<int> key_destroy(const Settings& settings, const KeyChange& change, bool as_json, std::ostream& out) {
    const auto answer = ask(settings, "/keys/destroy", change, seconds(30));
    if (!answer) return answer.error();
    if (const auto proposal = answer->find("proposal"); proposal != answer->end())
        return tell(*answer,
                    "proposal " + text_of(*proposal, "id") + ": to be approved by " +
                        std::to_string(proposal->value("threshold", 0)) +
                        " custodians, each with: tsactl approve " + text_of(*proposal, "id") +
                        " --share FILE",
                    as_json, out);
    return tell(*answer, text_of(*answer, "text"), as_json, out);
}

Result<int> key_show(const Settings& settings, const std::string& label, bool as_json, std::ostream& out) {
    const auto answer = hsm::custody::ask_server(site_of(settings), "GET", "/keys", "", seconds(30));
    if (!answer) return answer.error();
    const auto keys = json::parse(*answer);
    for (const auto& key : keys) {
        if (key.value("label", "") != label) continue;
        if (as_json) {
            out << key.dump() << '\n';
            return 0;
        }
        out << hsm::keys_text(json::array({key}).dump());
        for (const auto* field :
             {"activated", "signs_until", "retired", "destroy_by", "certificate_sha256", "why"})
            if (const auto text = text_of(key, field); !text.empty())
                out << "  " << field << ": " << text << '\n';
        return 0;
    }
    return Error::no("there is no key '" + one_line(label, 64) + "'; tsactl key list shows those there are");
}

}  // namespace kokuin::tsa::control
