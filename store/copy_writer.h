// Writing an archive a second time: the one mechanism behind a second place (copier.h) and a backup
// (backup.h).
#pragma once

#include <sys/types.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "store/context.h"
#include "store/lock.h"
#include "store/log_mover.h"
#include "store/removal.h"
#include "store/segment_reader.h"
#include "store/segment_writer.h"

namespace kokuin::store {

/// Holds the lock of a copy and brings it up to date with the archive it is of, by reading that one's files
/// beside its writer. A copy is an archive like any other: the same segments with the same records, blobs,
/// checkpoints and cosignatures, in the same order; index and tiles are made anew. At any moment, also after
/// a crash, it is a state that the archive had; but what was removed from the archive before the copy came to
/// it is removed in the copy, too. What the copy has already stays there until carry_out_removals().
///
/// One thread at a time. After an error it must be destroyed: what the copy holds is known when open() has
/// looked again.
class CopyWriter {
  public:
    /// Whether a copy may be made in a folder that is missing (its parent must be there) or empty. A copy is
    /// derived, so that it may be made without being asked for; but an empty folder in the place of one that
    /// was there is more likely a disk that isn't mounted.
    enum class Begin { may, must_be_there };
    /// Error (no): what is in `to` is no earlier state of the archive in `from` (by its root, its id or its
    /// segments), or `to` is inside `from` or the other way round: nothing was changed. (usage): `from` holds
    /// no archive. (environment): disks, permissions, another writer in `to`, `to` holds something else.
    static Result<std::unique_ptr<CopyWriter>> open(const std::string& from, const std::string& to,
                                                    Begin begin);
    ~CopyWriter();
    CopyWriter(const CopyWriter&) = delete;
    CopyWriter& operator=(const CopyWriter&) = delete;

    /// Copies some of the records below `limit` that the copy lacks, with what belongs to them; durable on
    /// return, by one fsync. True: there is more to do. `limit`: records that the archive has (it may have
    /// more). Error (environment): the archive is damaged, or the copy can't be written or has gone.
    Result<bool> advance(RecordNumber limit);
    /// Number of the record that the copy takes next.
    [[nodiscard]] RecordNumber next() const { return segment_->next(); }
    /// Records below must be copied, too, or what is missing in the copy isn't explained in it (an event that
    /// was written after the records that it has removed came in sight).
    [[nodiscard]] RecordNumber needed() const { return needed_; }
    /// That the copy lies on the same file system as the archive: one disk may take both.
    [[nodiscard]] bool same_disk() const { return same_disk_; }

  private:
    CopyWriter(std::string from, std::string to, Lock lock);
    Done begin_copy();
    Done open_segment(const std::string& name);
    Done compare();
    Done check_place() const;
    Done next_segment();
    Result<bool> was_removed(RecordNumber number);

    const std::string from_;
    const std::string to_;
    Lock lock_;
    bool same_disk_ = false;
    Contexts contexts_;
    std::optional<SegmentReader> source_;  // of the segment that is being copied
    std::unique_ptr<SegmentWriter> segment_;
    dev_t device_ = 0;  // of that segment's file
    ino_t inode_ = 0;
    std::int64_t checkpoint_ = -1;      // size of the newest one in that segment's copy
    std::int64_t cosignature_ = 0;      // how many it has
    std::optional<Removals> removals_;  // as they were when one was met
    RecordNumber needed_ = 0;
    LogMover mover_;
};

}  // namespace kokuin::store
