// Writing one segment: the connection on the commit path. Used inside the store only.
#pragma once

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "base/result.h"
#include "base/sqlite/sqlite.h"
#include "store/blob.h"
#include "store/context.h"
#include "store/segment.h"

namespace kokuin::store {

/// Index keys of an event.
struct EventKeys {
    std::string_view kind;
    std::string_view subject;
};

/// A record that was removed in the archive that this one is a copy of: it has no keys, and no blobs.
struct Gone {};

/// One record on its way into the segment. Everything it points to stays until commit() returns.
struct Row {
    Bytes der;  ///< of one that is gone its leaf hash
    std::variant<const IssuanceKeys*, EventKeys, Gone> keys;
    const std::vector<Blob>* blobs = nullptr;  ///< those the segment lacks are stored with the record
    const std::vector<BlobId>* needed = nullptr;
    const Blob* context = nullptr;  ///< one more of these blobs
};

/// A signed tree head on its way into the segment.
struct CheckpointRow {
    std::uint64_t size = 0;
    std::string note;
};

/// A witness's signature under the checkpoint of this size, on its way into the segment.
struct CosignatureRow {
    std::uint64_t size = 0;
    std::string witness;
    std::string line;  ///< without newline
};

/// The writing connection to the newest segment. One thread at a time. After any error it must be destroyed:
/// what the file holds then is only known after open() has looked again.
class SegmentWriter {
  public:
    /// Opens a segment, moves everything its log holds into the database file with a fresh fsync, checks the
    /// tail (numbers without gaps, every record decodes, index in step), looks at a few records spread over
    /// the rest, makes the tree's edge again, compares it with the newest checkpoint, and proves with a write
    /// that writing works. A segment may hold millions of records: what is
    /// damaged in between is found by whoever reads it.
    ///
    /// Why the log is emptied first: after a failed fsync the kernel may have marked pages clean that never
    /// reached the disk, so that a second fsync of the same file reports success for nothing. What we can
    /// still *read* from the log is therefore not known to be *durable*. The checkpoint writes these pages
    /// anew, into another file, and its fsync covers them honestly; the log is then cut to nothing, so that
    /// no later record follows doubtful frames.
    static Result<std::unique_ptr<SegmentWriter>> open(const std::string& dir, const std::string& name);
    ~SegmentWriter();
    SegmentWriter(const SegmentWriter&) = delete;
    SegmentWriter& operator=(const SegmentWriter&) = delete;

    /// One transaction, one fsync. Durable on success. The rows get the numbers from next() on, which their
    /// DER must hold already; each becomes a leaf of the tree. A checkpoint must be of a head() that was, and
    /// not of one before this segment; a cosignature must be under one that checkpoint() finds. One that is
    /// there already stays.
    Done commit(const std::vector<Row>& rows, const std::vector<CheckpointRow>& checkpoints,
                const std::vector<CosignatureRow>& cosignatures = {});
    /// The note of the checkpoint of this size in this segment; nothing if it has none. An error of this one
    /// leaves the writer as it was.
    Result<std::optional<std::string>> checkpoint(std::uint64_t size);
    /// That a row which needs this blob may come without it.
    [[nodiscard]] bool has_blob(const BlobId& id) const { return blobs_.contains(id); }
    /// What this segment has of what was signed: size of its newest checkpoint (-1: none), number of its
    /// cosignatures.
    struct NewestSigned {
        std::int64_t checkpoint = -1;
        std::int64_t cosignatures = 0;
    };
    Result<NewestSigned> newest_signed();
    /// Moves what others have left of the log; a few milliseconds. For the rare moments when the log has
    /// grown and only a pause of the writer can let it start anew.
    Done catch_up();
    /// Closing leaves the log for finish_segment(), off the commit path.
    void leave_log() { database_.keep_log_on_close(); }

    [[nodiscard]] const Meta& meta() const { return meta_; }
    /// Number of the next record.
    [[nodiscard]] RecordNumber next() const { return next_; }
    /// The tree of all records up to next().
    [[nodiscard]] const TileEdge& edge() const { return edge_; }
    /// Pages in the log after the last commit.
    [[nodiscard]] int log_frames() const { return log_frames_; }

  private:
    SegmentWriter(sqlite::Database database, std::string path);
    Done prepare();
    Done check_tail();
    Done check_samples();
    Done check(RecordNumber number, View der);
    Done check_index(const Record& record);
    Done load_tree();
    Done check_checkpoint();
    Done insert(const Row& row, RecordNumber number);

    int log_frames_ = 0;
    sqlite::Database database_;
    std::string path_;
    Meta meta_;
    RecordNumber next_ = 0;
    TileEdge edge_;
    std::set<BlobId> blobs_;
    Contexts contexts_;
    bool healthy_ = true;
    sqlite::Statement begin_, commit_, insert_record_, insert_blob_, insert_serial_, insert_time_,
        insert_imprint_, insert_event_, insert_tile_, insert_checkpoint_, insert_cosignature_,
        find_checkpoint_;
};

/// Ends the life of a segment as a log: moves the log into the file and removes it (journal_mode=DELETE), so
/// that the file stands alone. True: done, or was done already. False: somebody reads it now; try again
/// later.
Result<bool> finish_segment(const std::string& dir, const std::string& name);

}  // namespace kokuin::store
