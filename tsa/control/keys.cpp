// tsactl key show | rotate | retire | destroy: asked of the running server, which alone changes what a key
// is.
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/account.h"
#include "base/file.h"
#include "base/json_text.h"
#include "base/text.h"
#include "store/reader.h"
#include "tsa/compromise.h"
#include "tsa/control/commands.h"
#include "tsa/control/proposal.h"

namespace kokuin::tsa::control {
namespace {

using nlohmann::json;

/// It waits for the TAA's audit of the new certificate.
constexpr nanoseconds rotation_within = seconds(150);

Result<json> ask(const Settings& settings, const std::string& path, const KeyChange& change,
                 nanoseconds patience) {
    if (auto done = check_why_and_by(change.why, change.by); !done) return std::move(done).error();
    const json body{{"label", change.label}, {"why", change.why}, {"by", change.by}};
    const auto answer = hsm::custody::ask_server(site_of(settings, settings.hsms.front()), "POST", path,
                                                 json_text(body), patience);
    if (!answer) return answer.error();
    return parse_json(*answer);
}

int tell(const json& answer, const std::string& text, bool as_json, std::ostream& out) {
    out << (as_json ? json_text(answer) : text) << '\n';
    return 0;
}

/// What a compromised key's operators hand on; how many tokens it has signed. What a call before has written
/// is written anew.
Result<std::int64_t> write_consequences(const Settings& settings, const json& answer,
                                        const std::string& folder) {
    if (::mkdir(folder.c_str(), 0750) != 0 && errno != EEXIST)
        return Error::environment(folder + ": can't be made: " + std::strerror(errno));
    const auto request = answer.value("revocation_request", std::string());
    if (auto done = write_file(folder + "/revocation-request.json", as_view(request)); !done)
        return done.error();
    Compromise compromise;
    if (const auto since = answer.find("activated_us"); since != answer.end() && since->is_number_integer())
        compromise.key.activated = from_unix_us(since->get<std::int64_t>());
    for (const auto& one : answer.value("certificates", json::array())) {
        const auto id = one.is_string() ? from_hex(one.get<std::string>()) : std::nullopt;
        if (!id || id->size() != store::BlobId().size())
            return Error::environment("tsad's answer isn't what this program expects");
        std::copy(id->begin(), id->end(), compromise.key.certificates.emplace_back().begin());
    }
    auto reader = store::ArchiveReader::open(settings.archive);
    if (!reader) return std::move(reader).error();
    const auto path = folder + "/tokens.jsonl";
    std::ofstream list(path, std::ios::trunc);
    std::int64_t count = 0;
    const auto done = each_lost_token(**reader, compromise, 0, [&](const store::Found& found) {
        list << lost_token_json(found.issuance()) << '\n';
        ++count;
        return list.good();
    });
    if (!done) return done.error();
    list.close();
    if (!list) return Error::environment(path + ": can't be written");
    return count;
}

}  // namespace

Result<int> key_rotate(const Settings& settings, const KeyChange& change, bool as_json, std::ostream& out) {
    const auto answer = ask(settings, "/keys/rotate", change, rotation_within);
    if (!answer) return answer.error();
    const auto retired = line_member(*answer, "retired");
    return tell(*answer,
                line_member(*answer, "key") + " signs for " + line_member(*answer, "tsu") + " now, until " +
                    line_member(*answer, "signs_until") +
                    (retired.empty() ? "" : "; " + retired + " is retired"),
                as_json, out);
}

Result<int> key_retire(const Settings& settings, const KeyChange& change, bool as_json, std::ostream& out) {
    const auto answer = ask(settings, "/keys/retire", change, seconds(30));
    if (!answer) return answer.error();
    return tell(*answer,
                change.label + " is retired; it must be destroyed by " + line_member(*answer, "destroy_by"),
                as_json, out);
}

Result<int> key_compromise(const Settings& settings, const KeyChange& change, bool as_json,
                           std::ostream& out) {
    auto answer = ask(settings, "/keys/compromise", change, seconds(60));
    if (!answer) return answer.error();
    const auto serial = line_member(*answer, "certificate_serial");
    std::string text = change.label + " signs nothing any more, and that it is compromised is recorded.";
    if (serial.empty()) {
        text +=
            " No certificate of it is known here; if the CA has issued one for its request, have that "
            "revoked. Destroy it: tsactl key destroy " +
            change.label + " --why TEXT --by WHO";
        return tell(*answer, text, as_json, out);
    }
    const auto folder = change.dir.empty() ? "compromised-" + change.label : change.dir;
    const auto written = write_consequences(settings, *answer, folder);
    if (!written)
        return Error{written.error()}.in(
            change.label +
            " signs nothing any more, and that is recorded, but its papers aren't "
            "written; repeat the command");
    (*answer)["dir"] = folder;
    (*answer)["tokens"] = *written;
    text +=
        " The repository says so (/repository/notices)" +
        std::string(settings.taa && settings.taa->request ? ", and tsad tells the TAA"
                    : settings.taa                        ? "; tell the TAA yourself"
                                                          : "") +
        ". Now:\n- have its certificate revoked: serial " + serial + " of " +
        line_member(*answer, "certificate_issuer") + ", reason keyCompromise; " + folder +
        "/revocation-request.json is for the CA, its new CRL belongs into [tsu] crls\n- tell the users: " +
        std::to_string(*written) + " tokens have lost their reliability, listed in " + folder +
        "/tokens.jsonl\n- destroy it: tsactl key destroy " + change.label +
        " --why TEXT --by WHO\n- make, certify and rotate to another key (docs/keys.md)";
    return tell(*answer, text, as_json, out);
}

Result<int> key_destroy(const Settings& settings, const KeyChange& change, bool as_json, std::ostream& out) {
    const auto answer = ask(settings, "/keys/destroy", change, seconds(30));
    if (!answer) return answer.error();
    return tell(*answer, done_or_proposed(*answer), as_json, out);
}

Result<int> key_show(const Settings& settings, const std::string& label, bool as_json, std::ostream& out) {
    const auto answer =
        hsm::custody::ask_server(site_of(settings, settings.hsms.front()), "GET", "/keys", "", seconds(30));
    if (!answer) return answer.error();
    const auto keys = parse_json(*answer);
    for (const auto& key : keys) {
        if (key.value("label", "") != label) continue;
        if (as_json) {
            out << json_text(key) << '\n';
            return 0;
        }
        out << hsm::keys_text(json_text(json::array({key})));
        for (const auto* field :
             {"activated", "signs_until", "retired", "destroy_by", "certificate_sha256", "why"})
            if (const auto text = line_member(key, field); !text.empty())
                out << "  " << field << ": " << text << '\n';
        return 0;
    }
    return Error::no("there is no key '" + one_line(label, 64) + "'; tsactl key list shows those there are");
}

}  // namespace kokuin::tsa::control
