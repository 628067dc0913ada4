// The archive's one writer. docs/archive.md describes what it leaves on disk.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "store/blob.h"
#include "store/copy_state.h"
#include "store/reader.h"
#include "store/record.h"
#include "store/tlog/note.h"

namespace kokuin::store {

/// How the archive does, for status pages and readiness.
struct ArchiveState {
    enum class Kind {
        ready,     ///< the last write succeeded
        failing,   ///< the last write failed; the archive tries again by itself, and with every append
        in_doubt,  ///< stopped for good: see Archive::in_doubt()
    };
    Kind kind = Kind::ready;
    std::string text;          ///< one line: what is wrong, what to do; empty when ready
    std::string segment;       ///< file name of the segment that is being written, e.g. "2026-11.sqlite"
    RecordNumber next = 0;     ///< number that the next record will have = number of records
    std::uint64_t groups = 0;  ///< commits since open: records ÷ groups says how much company each fsync had
    std::uint64_t records = 0;  ///< records acknowledged since open
    std::uint64_t covered = 0;  ///< records below this number are under the newest checkpoint
};

struct ArchiveOptions {
    /// How long a record that could be committed waits for announced ones, at most. A commit costs CPU time
    /// that signing could use; while others are being signed a record loses little by waiting for them.
    milliseconds company{4};
    /// A second place (ARC-2); nothing: none.
    std::optional<CopySettings> copy{};
};

/// The one writer of an archive: holds its lock (flock on DIR/lock) as long as it lives.
///
/// Durability: append() returns a number only after the record, its index rows and its blobs are in the
/// segment's write-ahead log and that log was fsynced. After an error the record may or may not be there (a
/// record of a token that never left does no harm); what was acknowledged is there.
///
/// Threads: every function may be called from any thread. One thread inside writes: it takes all that waits,
/// commits it with one fsync, tells the callers, and takes what has come meanwhile. It waits for company only
/// while company is announced, and not for long (see announce()). A second one moves the write-ahead log into
/// the segment, so that the commit path doesn't.
///
/// Failure: when a write fails, every append of that group returns an Error (environment). The next one, or
/// half a second, makes the archive try to recover: reopen, move what the log holds into the segment with a
/// fresh fsync, read the last number back from the file. Only if less is there than was acknowledged does it
/// stop for good.
///
/// A second place (ArchiveOptions::copy) gets, by a thread of its own, all that is committed here. Where
/// CopySettings::waits, whoever appends is told when the copy has the record as well; while the copy fails or
/// is behind, issuances are refused like after a failed write (a first few may be in the archive all the
/// same) and everything else is acknowledged by the archive alone. Otherwise nothing here waits for it.
///
/// No clock inside: the caller says when it is.
class Archive {
  public:
    /// Makes a new archive in `dir` (made too if it is missing, its parent not) with one empty segment for
    /// the month of `at`. Its log is called "NAME/ID" (origin()). Refuses (usage) if there is one already, or
    /// with a name that tlog::VerifierKey::make() refuses.
    static Done create(const std::string& dir, WallTime at, const std::string& name = "kokuin");

    /// Opens an archive to write, after a quick check of its end: numbers gap-free, index in step with the
    /// records. Never makes one: if there is none, the error (usage) names the command that does. If another
    /// process writes, the error (environment) names its process id.
    static Result<std::unique_ptr<Archive>> open(const std::string& dir, ArchiveOptions options = {});

    /// Commits what waits, moves the log into the segment, gives the lock back. No append may be running.
    ~Archive();
    Archive(const Archive&) = delete;
    Archive& operator=(const Archive&) = delete;

    /// Appends, durably on return. `at`: the record's time; when its month (UTC) is later than the segment's,
    /// a new segment begins; an earlier one doesn't go back. `blobs` must contain every blob that the record
    /// names (more do no harm, none is stored twice in a segment): Error (usage) otherwise.
    Result<RecordNumber> append(WallTime at, const Issuance& issuance, const std::vector<Blob>& blobs);

    /// Told what became of a record: its number, durably, or why not.
    using Outcome = std::function<void(Result<RecordNumber>)>;
    /// The same without waiting. `outcome` is called exactly once: on the writing thread (where a copy is
    /// waited for: on that one's), in the order of the numbers, or on this one if the record is refused at
    /// once. It must return soon, not throw, and not call this archive back. `blobs` must stay until then.
    void append(WallTime at, const Issuance& issuance, const std::vector<Blob>& blobs, Outcome outcome);

    /// Says, as long as it lives, that a record is on its way (its token is being signed): the writer, having
    /// others to commit, waits for it so that they share an fsync: until twice as many have come as are still
    /// announced, or for ArchiveOptions::company. An append while nothing is announced is committed at once.
    /// Must not outlive the archive. Not copyable: each one is counted.
    class Announcement {
      public:
        Announcement(Announcement&& other) noexcept : archive_(std::exchange(other.archive_, nullptr)) {}
        Announcement& operator=(Announcement&&) = delete;
        ~Announcement();

      private:
        friend class Archive;
        explicit Announcement(Archive* archive) : archive_(archive) {}
        Archive* archive_;
    };
    [[nodiscard]] Announcement announce();

    /// As append() above, for an event; the salt is made here. `month`: an event whose time nobody has proved
    /// must not begin a new segment, or a clock that is years ahead for a moment would name all later ones.
    enum class Month {
        may_begin,  ///< as for issuances
        stays,      ///< goes into the segment that is being written, whatever its time
    };
    Result<RecordNumber> append(WallTime at, const Event& event, const std::vector<Blob>& blobs = {},
                                Month month = Month::may_begin);

    /// The Merkle tree over all acknowledged records. For whoever signs checkpoints; not on the stamping
    /// path.
    [[nodiscard]] tlog::TreeHead head() const;
    /// Keeps a signed checkpoint, durably on return; only then may anybody see it. `note` isn't looked at:
    /// it must be of this log's origin and of a head() that was. Error (no): a month has begun since; sign a
    /// new head. Otherwise as append().
    Done add_checkpoint(const tlog::TreeHead& head, const tlog::Note& note);
    /// The newest checkpoint that is durable, as it was added; empty if there is none.
    [[nodiscard]] std::string checkpoint() const;
    /// Keeps a witness's signature line under the checkpoint of this size, durably on return. The line isn't
    /// looked at; of one witness (by its name) the first under each checkpoint stays. Error (no): that
    /// checkpoint isn't in the segment that is being written (a month has begun since). Otherwise as
    /// append().
    Done add_cosignature(std::uint64_t size, const tlog::NoteSignature& line);
    /// The newest checkpoint that a witness has cosigned, with all cosignatures under it; empty if there is
    /// none.
    [[nodiscard]] std::string witnessed() const;
    /// Names this archive's log: what checkpoints say in their first line. The same in all its segments.
    [[nodiscard]] const std::string& origin() const;

    /// The last event of this kind about this subject in any segment, or nothing. Reads the files: for
    /// start-up, not for the stamping path.
    [[nodiscard]] Result<std::optional<Record>> latest_event(const std::string& kind,
                                                             const std::string& subject) const;
    /// As ArchiveReader::events(), and by the same means: beside the writing thread, which doesn't wait.
    [[nodiscard]] Done events(const EventQuery& query, const Visitor& visit) const;
    /// A blob's content, from whichever segment has it; Error (no) if none has. `segment`: see
    /// ArchiveReader::blob().
    [[nodiscard]] Result<Bytes> blob(const BlobId& id, const std::string& segment = "") const;

    /// Where a copy is waited for and isn't in step, that is `failing` too.
    [[nodiscard]] ArchiveState state() const;
    /// How the second place does; nothing if there is none.
    [[nodiscard]] std::optional<CopyState> copy() const;
    /// The fatal one: after a failed write the file holds less than was acknowledged, or something else that
    /// recovery can't settle. Nothing is appended any more until the process is started again and a person
    /// has looked. The text says what is missing.
    [[nodiscard]] std::optional<std::string> in_doubt() const;
    /// Random id of this archive, 32 hexadecimal digits, the same in all its segments.
    [[nodiscard]] const std::string& id() const;

  private:
    class Writer;
    explicit Archive(std::unique_ptr<Writer> writer);
    std::unique_ptr<Writer> writer_;
};

}  // namespace kokuin::store
