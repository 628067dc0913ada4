// A copy of an archive made once, up to what it holds now (ARC-6).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "store/reader.h"

namespace kokuin::store {

/// What a backup holds now.
struct Backup {
    RecordNumber before = 0;  ///< records that it held already
    RecordNumber records = 0;
    std::vector<std::string> segments;           ///< "2026-11", oldest first
    std::optional<StoredCheckpoint> checkpoint;  ///< the newest in it
    bool same_disk = false;                      ///< on the file system of the archive
    std::int64_t removed = 0;  ///< records that it had, and that the archive has removed after their time
    std::string not_removed;   ///< what kept others of these from being removed; empty: nothing
};

/// Brings the backup in `to` up to date with the archive in `from`, or makes it if that folder is missing
/// (its parent must be there) or empty. Reads only, while somebody writes `from` or nobody; `to` is locked.
/// What the archive has removed is removed here too (store/remover.h). Ended in the midst, also by kill -9,
/// it leaves an earlier state of the archive, whole, and the next one goes on from there. Error (no): what is
/// in `to` is no earlier state of this archive; nothing was changed. (usage): `from` holds no archive, or one
/// lies in the other. (environment): `to` can't be written, `from` is damaged.
Result<Backup> backup(const std::string& from, const std::string& to);

}  // namespace kokuin::store
