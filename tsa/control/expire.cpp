// tsactl archive expire: the running server removes what has passed its time, as it alone writes the archive.
#include <nlohmann/json.hpp>

#include "base/account.h"
#include "base/file.h"
#include "base/json_text.h"
#include "tsa/control/commands.h"
#include "tsa/control/proposal.h"

namespace kokuin::tsa::control {

/// Much of the archive is read for it.
constexpr nanoseconds expire_patience = std::chrono::minutes(30);

Result<int> archive_expire(const Settings& settings, const ExpireOptions& options, bool as_json,
                           std::ostream& out) {
    if (auto done = check_why_and_by(options.why, options.by); !done) return std::move(done).error();
    const nlohmann::json wanted{
        {"months", options.months}, {"kinds", options.kinds}, {"why", options.why}, {"by", options.by}};
    const auto answer = hsm::custody::ask_server(site_of(settings, settings.hsms.front()), "POST",
                                                 "/archive/expire", json_text(wanted), expire_patience);
    if (!answer) return answer.error();
    const auto said = parse_json(*answer);
    if (!options.list.empty())
        if (auto done = write_file(options.list, as_view(text_member(said, "list"))); !done)
            return std::move(done).error();
    if (as_json) {
        out << *answer << '\n';
        return 0;
    }
    for (const auto& one : said["removals"])
        out << line_member(one, "month") << "  " << line_member(one, "kind") << ": "
            << one.value("records", 0) << " records, past their time since " << line_member(one, "ends")
            << '\n';
    out << "list sha256 " << line_member(said, "sha256") << '\n';
    out << done_or_proposed(said) << '\n';
    return 0;
}

}  // namespace kokuin::tsa::control
