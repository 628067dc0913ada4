// An archive that is gone, put in its place again from a copy (ARC-7, ARC-8).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "store/record.h"
#include "store/tlog/note.h"

namespace kokuin::store {

struct RestorePlan {
    std::string from;  ///< a copy: a second place, or a backup
    std::string to;    ///< the archive's place: missing (its parent must be there) or empty, no mount point
    /// The newest checkpoint that somebody outside has seen; nothing: none was ever shown to anybody.
    std::optional<tlog::Note> witnessed{};
    /// Who has signed it; nothing: one of the keys that the copy itself names.
    std::optional<tlog::VerifierKey> log_key{};
    std::string damaged{};  ///< folder with what is left of the archive; empty: nothing is
};

/// A record that was in the archive and isn't in the copy.
struct LostRecord {
    RecordNumber number = 0;
    /// The rest only where something of it is left to be read.
    std::string serial{};  ///< of its token, hex; empty: no token, or nobody knows
    std::optional<std::int64_t> gen_time_us{};
    std::string tsu{};
    std::string event{};  ///< kind of the event that it was
};

/// What a restore would bring, and what not.
struct Restorable {
    std::string archive;      ///< its id
    std::string from_origin;  ///< the log that ends
    tlog::TreeHead head;      ///< over the records of the copy
    /// Root over all records that were witnessed; nothing: none were.
    std::optional<tlog::TreeHead> witnessed;
    std::uint64_t covered = 0;     ///< size of the newest checkpoint in the copy; 0: it has none
    std::vector<LostRecord> lost;  ///< from head.size on: all that were witnessed, and all that are known of
    /// How many of these are known to be tokens, to be events, or to be nothing but a number.
    std::uint64_t lost_tokens = 0;
    std::uint64_t lost_events = 0;
    std::uint64_t lost_unknown = 0;
    std::vector<std::string> troubles;  ///< in reading what is left, one line each
};

/// One line of JSON for each lost record: number, and what is known of it.
std::string lost_lines(const std::vector<LostRecord>& lost);

/// A restore on its way. Nothing is in the archive's place before finish(); whatever breaks off before that
/// leaves at most the folder "TO.restoring" behind.
class Restore {
  public:
    /// Copies into "TO.restoring", computing tree and index anew from the records, and judges: each record
    /// decodes, the blobs are what their names say, and the tree is what the newest checkpoint in the copy
    /// and the witnessed one were signed over. Error (no): it isn't, or these aren't signed; (usage): the
    /// place isn't empty, or no copy there, or what an earlier restore left; (environment): disks, a damaged
    /// copy.
    static Result<std::unique_ptr<Restore>> begin(const RestorePlan& plan);
    /// Takes away what it has made, unless it is finished.
    ~Restore();
    Restore(const Restore&) = delete;
    Restore& operator=(const Restore&) = delete;

    [[nodiscard]] const Restorable& found() const { return found_; }
    /// Where the restored archive is until finish(): readable like any.
    [[nodiscard]] const std::string& dir() const { return dir_; }

    struct Told {
        Event event;
        std::vector<Blob> blobs;
    };
    /// Begins a new log, NAME of the old one and a fresh id, with a segment of its own: its first record is
    /// `restored` (kind "archive.restored") with subject the new origin and, added here, the fields
    /// `from_origin`, `size`, `root`, `witnessed_size`, `witnessed_root`, `lost`, `lost_tokens` and the list
    /// of what is lost (lost_lines()) as its blob; then `others`. All durable, then put in its place.
    Result<std::string> finish(WallTime at, Event restored, const std::vector<Told>& others);

  private:
    explicit Restore(RestorePlan plan);
    Done copy();
    Done judge();
    Done judge_witnessed();
    Done list_lost();

    const RestorePlan plan_;
    const std::string dir_;
    Restorable found_;
    bool made_ = false;
};

}  // namespace kokuin::store
