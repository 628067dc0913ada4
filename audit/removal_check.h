// What was removed of an archive after its time (ARC-1), against what it may have removed.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "audit/problem.h"
#include "base/time.h"
#include "store/reader.h"
#include "store/removal.h"

namespace kokuin::audit {

/// What the archive says of it.
struct Removed {
    std::uint64_t records = 0;
    std::uint64_t tokens = 0;      ///< of these
    std::optional<WallTime> last;  ///< when something was removed last
};

/// A segment as it was found.
struct Span {
    std::string name;
    store::RecordNumber first = 0;
    store::RecordNumber end = 0;
};

/// `segments`: all, oldest first; `gone`: the records of which only the hash is left. Each must be named by
/// an event "archive.expired" (if not: problem "missing"), and such an event must name only what it may:
/// records of an older segment, of a kind that has an end, as many years after that month as its kind is kept
/// at the least, and not at a time that the tokens after it know nothing of (problem "removal"). Reads the
/// events as they are now: what was removed while others looked isn't accused.
Removed check_removals(const std::string& dir, const std::vector<Span>& segments,
                       const std::vector<store::Run>& gone, std::vector<Problem>& problems);

}  // namespace kokuin::audit
