// What has passed its time (ARC-1; docs/retention.md), and what is imported. Both only list: nothing is
// removed here.
#pragma once

#include <iosfwd>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "store/imports.h"
#include "store/reader.h"

namespace kokuin::audit {

struct ExpireArguments {
    std::string archive;
    bool json = false;
    std::string at;        ///< expire: as of this date or time (RFC 3339); empty: now
    std::string personal;  ///< imports: folder of the contents; empty: they aren't looked at
};

/// Records of one kind in one segment.
struct ExpiringKind {
    std::size_t records = 0;
    std::size_t past = 0;  ///< of these, that have passed their time
    std::size_t stay = 0;  ///< of these, that have no end (store::Beyond)
    std::optional<store::RecordNumber> first_past;
    std::optional<store::RecordNumber> last_past;
    std::optional<WallTime> ends;  ///< of the last one that has an end
};
struct ExpiringSegment {
    std::string segment;                        ///< "2026-11"
    std::map<std::string, ExpiringKind> kinds;  ///< "token", and kinds of events
    [[nodiscard]] std::size_t records() const;
    [[nodiscard]] std::size_t past() const;
    /// When the whole month may go; nothing: never, something in it has no end.
    [[nodiscard]] std::optional<WallTime> ends() const;
};
/// Reads the whole archive. Oldest first. Error (environment): it is damaged; verify tells more.
Result<std::vector<ExpiringSegment>> expiring(store::ArchiveReader& reader, WallTime at);

/// Prints them, and the imports that have passed their time.
Done list_expired(const ExpireArguments& arguments, std::ostream& out);

/// Prints all imports. Error (no), told after everything else: one isn't as it should be.
Done list_imports(const ExpireArguments& arguments, std::ostream& out);

}  // namespace kokuin::audit
