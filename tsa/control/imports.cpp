// tsactl archive import | imports | erase: the running server does it, as it alone writes the archive.
#include <nlohmann/json.hpp>

#include "base/account.h"
#include "base/file.h"
#include "base/json_text.h"
#include "base/text.h"
#include "store/imports.h"
#include "tsa/control/commands.h"

namespace kokuin::tsa::control {
namespace {

using nlohmann::json;

/// Every content is read for the list.
constexpr nanoseconds import_patience = seconds(60);

Result<std::string> ask_imports(const Settings& settings, const char* method, const char* path,
                                const std::string& body = "") {
    return hsm::custody::ask_server(site_of(settings, settings.hsms.front()), method, path, body,
                                    import_patience);
}

std::string import_word(const json& value, const char* key) {
    const auto at = value.is_object() ? value.find(key) : value.end();
    return value.is_object() && at != value.end() && at->is_string()
               ? one_line(at->get<std::string>(), any_length)
               : std::string();
}

}  // namespace

Result<int> archive_import(const Settings& settings, const ImportOptions& options, bool as_json,
                           std::ostream& out) {
    if (auto done = check_why_and_by(options.why, options.by); !done) return std::move(done).error();
    const auto content = read_file(options.file, store::largest_content);
    if (!content) return content.error();
    if (content->empty()) return Error::usage(options.file + ": is empty");
    const auto answer = ask_imports(settings, "POST", "/archive/imports",
                                    json_text(json{{"kind", options.kind},
                                                   {"subject", options.subject},
                                                   {"from", options.from},
                                                   {"to", options.to},
                                                   {"why", options.why},
                                                   {"by", options.by},
                                                   {"content", to_base64(*content)}}));
    if (!answer) return answer.error();
    if (as_json)
        out << *answer << '\n';
    else
        out << "imported as " << import_word(parse_json(*answer), "id") << ", " << content->size()
            << " octets; " << options.file << " itself is yours to keep or to erase\n";
    return 0;
}

Result<int> archive_imports(const Settings& settings, bool as_json, std::ostream& out) {
    const auto answer = ask_imports(settings, "GET", "/archive/imports");
    if (!answer) return answer.error();
    if (as_json)
        out << *answer << '\n';
    else
        out << store::imports_text(*answer);
    return parse_json(*answer).value("ok", false) ? 0 : 1;
}

Result<int> archive_erase(const Settings& settings, const std::string& id, const std::string& why,
                          const std::string& by, bool as_json, std::ostream& out) {
    if (auto done = check_why_and_by(why, by); !done) return std::move(done).error();
    const auto answer = ask_imports(settings, "POST", "/archive/imports/erase",
                                    json_text(json{{"id", id}, {"why", why}, {"by", by}}));
    if (!answer) return answer.error();
    if (as_json) {
        out << *answer << '\n';
        return 0;
    }
    const auto said = parse_json(*answer);
    if (!said.contains("proposal")) {
        out << import_word(said, "text") << '\n';
        return 0;
    }
    const auto hsm = import_word(said, "hsm");
    const auto proposal = import_word(said["proposal"], "id");
    out << "proposal " << proposal << ": to be approved by " << said["proposal"].value("threshold", 0)
        << " custodians, each with: tsactl " << (hsm.empty() || hsm == "hsm" ? "" : "--hsm " + hsm + " ")
        << "approve " << proposal << " --share FILE\n";
    return 0;
}

}  // namespace kokuin::tsa::control
