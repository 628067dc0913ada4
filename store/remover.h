// Removing records whose removal is recorded (ARC-1; docs/retention.md).
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "base/result.h"
#include "base/time.h"
#include "store/record.h"

namespace kokuin::store {

struct Carried {
    std::int64_t removed = 0;  ///< records, now
    bool waiting = false;      ///< an event isn't under a checkpoint yet, and nothing of it was done
    /// What kept some of it from being done; the rest is. (no): a segment is being read, has a log yet, or
    /// `stop` broke it off: try again; (environment): it can't be, find out why.
    std::optional<Error> trouble{};
};

/// Does in the archive in `dir`, or a copy of one, what its own events "archive.expired" say, as far as that
/// isn't done: the leaf hash of each record takes its place, what the index says of it and blobs that no
/// record of the segment names any more go, and the segment's file gets smaller. Each segment changes at once
/// or not at all, also in a crash; it must be finished (its file has no log). Others may read meanwhile, and
/// the newest segment may be written. Costs some file look-ups where nothing is to be done.
///
/// Only events count that are under the newest checkpoint, which must be over these records and signed by the
/// log's key: what anybody has put into the files isn't one.
///
/// Before that each record is asked itself whether it has passed its time, at that of the event and at `now`
/// (store/retention.h): whoever can write an event can't have a copy emptied by it. And it is compared with
/// the hash that the tree has of it: what was damaged stays, and tells of it. `stop`: asked now and then;
/// true breaks off, and nothing of that segment has changed.
///
/// Error (environment): the archive can't be read, or its newest checkpoint not be believed.
Result<Carried> carry_out_removals(const std::string& dir, WallTime now, const std::function<bool()>& stop);

}  // namespace kokuin::store
