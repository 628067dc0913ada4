// Reading one segment, wherever it lies and whoever may write it. Used inside the store only.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "base/result.h"
#include "base/sqlite/sqlite.h"
#include "store/blob.h"
#include "store/context.h"
#include "store/record.h"
#include "store/segment.h"

namespace kokuin::store {

/// A reading connection. One thread at a time. Its transactions last for one batch.
class SegmentReader {
  public:
    /// Tries, in this order: an ordinary read-only connection; if that can't be (a folder that can't be
    /// written and no shared-memory file in it): the file alone if there is no log beside it, else file and
    /// log without locks.
    static Result<SegmentReader> open(const std::string& dir, const std::string& name);

    [[nodiscard]] const Meta& meta() const { return meta_; }
    /// For whoever asks otherwise than below.
    [[nodiscard]] sqlite::Database& database() { return database_; }

    /// Visits what a condition selects, in the order of numbers. `visit` returns false to end; the result
    /// says whether it did. It is called between transactions. What the file's damage would hide is an error
    /// where it shows: numbers that go back, records that an index names and the table hasn't got.
    using Visit = std::function<bool(const Record&)>;
    Result<bool> by_serial(View serial, const Visit& visit);
    Result<bool> by_imprint(View imprint, const Visit& visit);
    /// All records whose numbers lie in [first, last], but for those that were removed (store/removal.h); a
    /// gap between them is an error.
    Result<bool> by_number(RecordNumber first, RecordNumber last, const Visit& visit);
    /// Of this kind (nothing: all), with number ≥ first.
    Result<bool> events(const std::optional<std::string>& kind, RecordNumber first, const Visit& visit);

    struct Range {
        RecordNumber first = 0;
        RecordNumber last = -1;
    };
    /// Lowest and highest number of the issuances with from ≤ genTime < to (µs); nothing if there is none.
    Result<std::optional<Range>> range(std::int64_t from_us, std::int64_t to_us);
    Result<std::optional<RecordNumber>> latest_event(std::string_view kind, std::string_view subject);
    Result<std::optional<Record>> record(RecordNumber number);
    /// Number after the last record.
    Result<RecordNumber> next();
    /// Leaf hash of a record that must be there, or must have been removed. Doesn't decode it.
    Result<tlog::Hash> leaf(RecordNumber number);
    /// What there is of a tile; empty if nothing.
    Result<Bytes> tile(unsigned level, std::uint64_t position) {
        return read_tile(database_, level, position);
    }
    struct CheckpointRow {
        std::uint64_t size = 0;
        std::string note;
    };
    /// The one of the greatest size, or nothing.
    Result<std::optional<CheckpointRow>> latest_checkpoint();
    /// The one of the greatest size that this witness has cosigned, with its line in the note; of no name:
    /// that any has, with the lines of all. Nothing if there is none.
    Result<std::optional<CheckpointRow>> latest_witnessed(const std::optional<std::string>& witness);
    /// A blob, checked against its name; nothing if this segment hasn't got it.
    Result<std::optional<Bytes>> blob(const BlobId& id);

  private:
    SegmentReader(sqlite::Database database, std::string path);
    Result<Record> read(RecordNumber number, View der);
    /// Runs a select of (number, der) in batches: ?1 is the number after the last one seen, ?2 the batch's
    /// size; `bind` sets the others. `gapless`: numbers must follow each other, from `first` on.
    enum class Numbers { rising, gapless };
    /// `agrees`: what the index says of a record is true; otherwise one of the two is damaged.
    Result<bool> batches(std::string_view sql, RecordNumber first, Numbers numbers, const Visit& agrees,
                         const std::function<void(sqlite::Statement&)>& bind, const Visit& visit);

    sqlite::Database database_;
    std::string path_;
    Meta meta_;
    Contexts contexts_;
};

}  // namespace kokuin::store
