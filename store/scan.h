// Everything that one segment holds, as it stands in the file: for whoever believes nothing of it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "store/blob.h"
#include "store/record.h"

namespace kokuin::store {

/// What a segment says of itself; checked by nobody.
struct SegmentFacts {
    std::string name;        ///< of the file, "2026-11"
    std::string archive;     ///< id of the archive
    std::string origin;      ///< of its log
    RecordNumber first = 0;  ///< number of its first record
    std::string previous;    ///< name of the segment before
    bool restored = false;   ///< its format is that of an archive that was restored
};

/// Reads one segment whole or in part, also while it is being written and where it is damaged: a row of which
/// a value has another type than the format's is given with an empty or impossible value in its place. Reads
/// in short transactions. The views given to a visitor last as long as the call. An Error (environment) is
/// told where the file can't be read any further. One thread at a time; several scans of a segment may run at
/// once.
class SegmentScan {
  public:
    /// Error (environment): no segment of a format that is known, or named otherwise than the file.
    static Result<SegmentScan> open(const std::string& dir, const std::string& name);
    SegmentScan(SegmentScan&&) noexcept;
    ~SegmentScan();

    [[nodiscard]] const SegmentFacts& facts() const;
    /// What differs from the format: tables, indices, entries of `meta`, one line each.
    Result<std::vector<std::string>> differences();
    /// SQLite's own check of pages, and of indices that it keeps itself, one line each (at most 100). Reads
    /// the whole file in one transaction: the log of a segment that is being written grows meanwhile.
    Result<std::vector<std::string>> integrity();
    /// The highest number of a record, -1 if there is none. Numbers below the segment's first, or far above
    /// what so many records can reach, don't count.
    Result<RecordNumber> last();
    /// How many records there are with numbers from the segment's first to last().
    Result<std::int64_t> count();
    /// Keeps a finished segment's file as it is as long as this object lives: whoever wants to change it has
    /// to try again later. Not for the segment that is being written.
    Done hold();

    /// Records with first ≤ number ≤ last, in the order of their numbers.
    Done records(RecordNumber first, RecordNumber last,
                 const std::function<void(RecordNumber, View der)>& visit);
    Result<std::optional<Bytes>> record(RecordNumber number);
    /// Numbers of records of which only the leaf's hash is there (store/removal.h).
    Done removed(const std::function<void(RecordNumber)>& visit);
    /// A blob's content; not compared with its name.
    Result<std::optional<Bytes>> blob(const BlobId& id);
    Done blobs(const std::function<void(View id, View content)>& visit);
    Done tiles(const std::function<void(std::int64_t level, std::int64_t position, View hashes)>& visit);
    /// What there is of one tile; empty if nothing.
    Result<Bytes> tile(unsigned level, std::uint64_t position);
    /// In the order of their sizes.
    Done checkpoints(const std::function<void(std::int64_t size, const std::string& note)>& visit);
    /// In the order in which they came.
    Done cosignatures(const std::function<void(std::int64_t size, const std::string& witness,
                                               const std::string& line)>& visit);
    /// The index. A value of another type is INT64_MIN, or no octets.
    Done serials(const std::function<void(View serial, RecordNumber)>& visit);
    Done times(const std::function<void(std::int64_t gen_time_us, RecordNumber)>& visit);
    Done imprints(const std::function<void(std::int64_t key, RecordNumber)>& visit);
    Done events(
        const std::function<void(RecordNumber, std::string_view kind, std::string_view subject)>& visit);

  private:
    class Impl;
    explicit SegmentScan(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

/// What the index has to say of an issuance, exactly.
struct IndexKeys {
    Bytes serial;  ///< without leading zeros
    std::int64_t gen_time_us = 0;
    std::int64_t imprint = 0;
};
IndexKeys index_keys(const OwnIssuance& issuance);

/// Names of the segments in `dir`, oldest first ("2026-11"). Error (usage) if there is none.
Result<std::vector<std::string>> segments_in(const std::string& dir);

}  // namespace kokuin::store
