// Removing records whose removal is recorded (ARC-1; docs/retention.md).
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "base/result.h"
#include "base/time.h"
#include "store/record.h"

namespace kokuin::store {

struct Carried {
    std::int64_t removed = 0;  ///< records, now
    RecordNumber last = -1;    ///< record of the last event that was carried out; -1: there is none
};

/// Does in the archive in `dir`, or a copy of one, what its own events "archive.expired" say, as far as that
/// isn't done: the leaf hash of each record takes its place, what the index says of it and blobs that no
/// record of the segment names any more go, and the segment's file gets smaller. Each segment changes at once
/// or not at all, also in a crash; it must be finished (its file has no log). Others may read meanwhile, and
/// the newest segment may be written. Costs some file look-ups where nothing is to be done.
///
/// Before that each record is asked itself whether it has passed its time, at that of the event and at `now`
/// (store/retention.h): whoever can write an event can't have a copy emptied by it. And it is compared with
/// the hash that the tree has of it: what was damaged stays, and tells of it. `stop`: asked now and then;
/// true breaks off, and nothing of that segment has changed.
///
/// Error (no): a segment is being read or has a log yet: try again;
/// (environment): the archive is damaged, or can't be written.
Result<Carried> carry_out_removals(const std::string& dir, WallTime now, const std::function<bool()>& stop);

}  // namespace kokuin::store
