// tsactl archive import | imports | erase: the running server does it, as it alone writes the archive.
#include <nlohmann/json.hpp>

#include "base/account.h"
#include "base/file.h"
#include "base/json_text.h"
#include "base/text.h"
#include "store/imports.h"
#include "tsa/control/commands.h"
#include "tsa/control/proposal.h"

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
        out << "imported as " << line_member(parse_json(*answer), "id") << ", " << content->size()
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
    out << done_or_proposed(parse_json(*answer)) << '\n';
    return 0;
}

}  // namespace kokuin::tsa::control
