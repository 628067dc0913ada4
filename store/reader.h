// Reading an archive: needs no right to write, no lock, no server, no HSM.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "store/record.h"
#include "store/tlog/note.h"

namespace kokuin::store {

/// Which issuances; all that is set must hold.
struct Query {
    std::optional<Bytes> serial;   ///< magnitude, leading zeros tolerated
    std::optional<Bytes> imprint;  ///< whole imprint
    std::optional<WallTime> from;  ///< genTime ≥ from
    std::optional<WallTime> to;    ///< genTime < to
    std::optional<std::string> policy;
    std::optional<std::string> tsu;
    std::optional<Bytes> tac;  ///< serial number of the TAC it was issued under, leading zeros tolerated
    /// SHA-256 of the TSU's certificate, which tells the key that has signed it: one of these.
    std::optional<std::set<BlobId>> certificates;
    RecordNumber first = 0;  ///< number ≥ first: to go on with a search that ended
};
/// Which events; all that is set must hold.
struct EventQuery {
    std::optional<std::string> kind;
    std::optional<std::string> subject;
    std::optional<WallTime> from;  ///< at ≥ from
    std::optional<WallTime> to;    ///< at < to
    RecordNumber first = 0;        ///< number ≥ first: to go on with a search that ended
};

/// A record and the segment it stands in ("2026-11").
struct Found {
    Record record;
    std::string segment;
    /// Only for bodies of this kind (asking for the other one ends the process).
    [[nodiscard]] const Issuance& issuance() const { return std::get<Issuance>(record.body); }
    [[nodiscard]] const Event& event() const { return std::get<Event>(record.body); }
};
/// Takes one record; false ends the search.
using Visitor = std::function<bool(const Found&)>;

/// An issuance with its token.
struct Shown {
    Found found;
    Bytes token;                   ///< the ContentInfo, DER, byte for byte as the client got it
    Bytes certificate;             ///< the TSU's certificate, DER
    std::optional<Bytes> tac;      ///< the TAC, DER as it arrived
    std::optional<Bytes> basis{};  ///< what its clock's bound was computed from (Issuance::clock)
};

/// A checkpoint as it was added (Archive::add_checkpoint), and where it stands.
struct StoredCheckpoint {
    std::uint64_t size = 0;
    std::string note;
    std::string segment;  ///< "2026-11"
};

/// Reads one archive. Safe while the writer writes and the month changes: its transactions are short (a few
/// hundred records), so that the log can be moved into the segment between them. Works on a copy in a folder
/// that it can't write, with or without a log beside the segment. Changes no file's content. One thread at a
/// time.
///
/// Everything shown comes from records; the index only says where to look, and what it says is checked
/// against the record. A record that can't be decoded is an Error (environment) that names segment and
/// number.
class ArchiveReader {
  public:
    /// Error (usage) if `dir` holds no archive.
    static Result<std::unique_ptr<ArchiveReader>> open(const std::string& dir);
    ~ArchiveReader();
    ArchiveReader(const ArchiveReader&) = delete;
    ArchiveReader& operator=(const ArchiveReader&) = delete;

    /// Visits the issuances that match, in the order of their numbers, over all segments. What is appended
    /// during the search may or may not be visited.
    Done find(const Query& query, const Visitor& visit);
    /// Visits the events that match, in the order of their numbers.
    Done events(const EventQuery& query, const Visitor& visit);
    /// The last event of this kind about this subject, or nothing.
    Result<std::optional<Found>> latest_event(const std::string& kind, const std::string& subject);
    /// The issuance with this serial number (magnitude, leading zeros tolerated) and its token, rebuilt;
    /// every blob is checked against its name. Error (no) if there is none.
    Result<Shown> show(View serial);
    /// One record by its number; Error (no) if there is none.
    Result<Found> record(RecordNumber number);
    /// A blob's content, checked against its name, from any segment; Error (no) if none has it. `segment`:
    /// where it is looked for first ("2026-11"); then, or if that is empty, the newest one first.
    Result<Bytes> blob(const BlobId& id, const std::string& segment = "");
    /// The newest checkpoint, or nothing.
    [[nodiscard]] Result<std::optional<StoredCheckpoint>> latest_checkpoint() const;
    /// The newest checkpoint that a witness has cosigned, all cosignatures under its note; or nothing.
    [[nodiscard]] Result<std::optional<StoredCheckpoint>> latest_witnessed() const;
    /// The newest checkpoint that this witness has cosigned, only its line added to the note; or nothing.
    [[nodiscard]] Result<std::optional<StoredCheckpoint>> latest_witnessed(const std::string& witness) const;
    /// Names the log that the newest records are in.
    [[nodiscard]] const std::string& origin() const;
    /// Names of the segments, oldest first: "2026-11".
    [[nodiscard]] Result<std::vector<std::string>> segments() const;
    /// Random id of this archive, 32 hexadecimal digits.
    [[nodiscard]] const std::string& id() const;

  private:
    class Impl;
    explicit ArchiveReader(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

}  // namespace kokuin::store
