// Records that were removed after their time (ARC-1): what the archive says of it, and what is left of them.
// docs/retention.md
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "store/reader.h"
#include "store/record.h"
#include "store/tlog/merkle.h"

namespace kokuin::store {

/// In a removed record's place stands the hash of its leaf, and nothing else: 32 octets. (The DER of a record
/// is never so short.)
bool is_removed(View stored);
/// The leaf of what stands in a record's place: the hash of its DER, or the one that is left of it.
tlog::Hash leaf_of(View stored);

/// Numbers in a row.
struct Run {
    RecordNumber first = 0;
    RecordNumber last = 0;  ///< inclusive; not before `first`
    bool operator==(const Run&) const = default;
};
/// Adds a number. In order they make few runs.
void add_to(std::vector<Run>& runs, RecordNumber number);
/// In order, and neighbours as one.
std::vector<Run> joined(std::vector<Run> runs);
std::int64_t count(const std::vector<Run>& runs);

/// What stands for a kind where issuances are meant; no event is of this kind.
constexpr const char* token_kind = "token";

/// The records of one kind in one segment: they go together.
struct Removal {
    std::string segment;    ///< "2026-11"
    std::string kind;       ///< of events, or token_kind
    std::vector<Run> runs;  ///< rising, apart; at least one
    WallTime ends{};        ///< when the last of them had passed its time
    /// Of tokens: the earliest and the latest genTime, µs since 1970 (POSIX).
    std::optional<std::pair<std::int64_t, std::int64_t>> gen_times_us{};
    bool operator==(const Removal&) const = default;
};
/// As the blob of an event has them: one JSON object a line.
std::string removal_lines(const std::vector<Removal>& removals);
/// Error (environment): that isn't what removal_lines() writes.
Result<std::vector<Removal>> read_removal_lines(std::string_view lines);

/// Kind of the event that says what is removed. It is durable before anything goes.
constexpr const char* archive_expired = "archive.expired";

/// Who wants it.
struct RemovalReasons {
    std::string why;
    std::string by;
    std::string account;
    std::string agreed_in{};   ///< the custodians' proposal, hex; empty: nobody had to agree
    std::string custodians{};  ///< those who agreed
};
/// Fields records, tokens, why, by, account (and agreed_in, custodians); its blob is `lines`.
Event expired_event(const std::vector<Removal>& removals, const Blob& lines, const RemovalReasons& reasons);

/// One event that says so.
struct Expiry {
    RecordNumber number = 0;  ///< of its record
    WallTime at{};
    std::string segment;  ///< that its record stands in
    std::vector<Removal> removals;
};

/// All that was removed of an archive, by its own events. Immutable, so thread-safe.
class Removals {
  public:
    Removals() = default;
    /// Reads the events. Error (environment): one can't be read.
    static Result<Removals> read(ArchiveReader& reader);

    [[nodiscard]] const std::vector<Expiry>& all() const { return all_; }
    /// The removal that names this record (the first, if several do); null: none does.
    [[nodiscard]] const Removal* of(RecordNumber number) const;
    /// The number of the event that says so; nothing: none does.
    [[nodiscard]] std::optional<RecordNumber> said_by(RecordNumber number) const;
    /// True if one names any of these.
    [[nodiscard]] bool name_any(const std::vector<Run>& runs) const;
    /// The tokens that were removed of this segment; null: none were.
    [[nodiscard]] const Removal* tokens_of(const std::string& segment) const;
    /// The tokens among which one of this genTime would have been; null: none.
    [[nodiscard]] const Removal* tokens_at(std::int64_t gen_time_us) const;

  private:
    std::vector<Expiry> all_;
    struct Entry {
        RecordNumber last = 0;
        std::size_t expiry = 0;  // in all_, and of its removals
        std::size_t removal = 0;
    };
    [[nodiscard]] const Entry* find(RecordNumber number) const;
    void insert(Run run, std::size_t expiry, std::size_t removal);
    std::map<RecordNumber, Entry> runs_;  // by their first number; apart
};

}  // namespace kokuin::store
