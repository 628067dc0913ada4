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
    std::uint64_t tokens = 0;       ///< of these
    std::optional<WallTime> last;   ///< when something was removed last
    std::uint64_t still_there = 0;  ///< records that are named as removed, and aren't
    /// That no token has come since one of the removals: its time is known from the operator alone.
    bool time_unproved = false;
};

/// A segment as it was found.
struct Span {
    std::string name;
    store::RecordNumber first = 0;
    store::RecordNumber end = 0;
};

/// What it is compared with.
struct RemovalContext {
    std::string dir;
    std::vector<Span> segments;  ///< all, oldest first
    std::uint64_t covered = 0;   ///< records below are under a checkpoint that fits
    WallTime now{};              ///< by the clock of whoever judges
};

/// `gone`: the records of which only the hash is left, in order and apart. Each must be named by an event
/// "archive.expired" that is under a checkpoint (if not: problem "missing", one for each run of numbers), and
/// such an event must name only what it may (problem "removal"): records of an older segment, of a kind that
/// has an end, as many years after that month as its kind is kept at the least; all tokens of the month or
/// none, of that month by their times; at a time that has been, and that the tokens after it agree with; and,
/// where custodians hold the PIN, with a record of their agreement to this very list. (Their signatures under
/// that are custody_check.h's business.)
Removed check_removals(const RemovalContext& context, const std::vector<store::Run>& gone,
                       std::vector<Problem>& problems);

}  // namespace kokuin::audit
