// Seals as an archive keeps them: the events "seal.made" (a month's tree head, signed) and "seal.stamped" (a
// time-stamp over it and over all tokens of the month, or over an earlier such one). docs/seals.md describes
// them for strangers.
#pragma once

#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "evidence/check.h"
#include "evidence/kinds.h"
#include "evidence/month.h"
#include "store/blob.h"
#include "store/reader.h"
#include "store/record.h"
#include "store/removal.h"
#include "store/tlog/merkle.h"

namespace kokuin::evidence {

constexpr const char* seal_made = "seal.made";
constexpr const char* seal_stamped = "seal.stamped";

/// An event and the blobs that it names.
struct Entry {
    store::Event event;
    std::vector<store::Blob> blobs;
};

/// The seal of a month: `note` is the signed checkpoint at its end, of `head`.
Entry make_seal(const std::string& segment, const Grouping& grouping, const tlog::TreeHead& head,
                const std::string& note, const Kinds& kinds);
/// A time-stamp that begins layer `index` with these groups…
Entry make_stamp(const std::string& segment, std::size_t index, const Grouping& grouping,
                 const std::vector<Bytes>& groups, const Stamped& stamped, pki::Hash hash, View time_stamp);
/// …or renews it, being time-stamp `stamp` of it, from 0.
Entry make_renewal(const std::string& segment, std::size_t index, std::size_t stamp, const Stamped& stamped,
                   pki::Hash hash, View time_stamp);

/// A sealed month.
struct Seal {
    std::string segment;             ///< "2026-10"
    store::RecordNumber number = 0;  ///< of the event "seal.made"
    tlog::TreeHead head;             ///< of all records up to the month's end
    Month month;                     ///< with its layers; none: it has no time-stamp
    /// Of the newest time-stamp, as it was recorded.
    WallTime stamped{};
    WallTime until{};  ///< end of its certificate
    /// Nothing: it was sealed by a program that didn't write them down.
    std::optional<Kinds> kinds{};
};

/// All of an archive.
struct Seals {
    std::vector<Seal> good;  ///< oldest month first
    /// Months whose seal can't be read, each with what is wrong with it, one line.
    std::vector<std::pair<std::string, std::string>> faulty;
    /// What was removed of the archive after its time, also after record `end`. Months whose tokens were
    /// removed have no seal any more, and get none.
    store::Removals removals{};
    [[nodiscard]] const Seal* find(const std::string& segment) const;
};
/// Reads the events that the archive has below record `end`. A write that was reported as failed may be there
/// all the same, and was repeated: of two that say the same the first counts. Error (environment): events
/// can't be read at all.
Result<Seals> read_seals(store::ArchiveReader& reader,
                         store::RecordNumber end = std::numeric_limits<store::RecordNumber>::max());

/// Reads the tokens of one segment, rebuilt, group by group. One thread at a time.
class TokenReader {
  public:
    /// `removals` must outlive it.
    static Result<std::unique_ptr<TokenReader>> open(const std::string& dir, const std::string& segment,
                                                     const store::Removals& removals);
    ~TokenReader();
    TokenReader(const TokenReader&) = delete;
    TokenReader& operator=(const TokenReader&) = delete;

    /// The tokens among the records [first, end), by their numbers. Error (no): some were removed after their
    /// time; (environment): a record is missing or damaged, or its blobs are.
    Result<std::vector<Object>> tokens(store::RecordNumber first, store::RecordNumber end);

  private:
    class Impl;
    explicit TokenReader(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

/// The evidence record of the token with this serial number (magnitude), DER. Error (no): no such token, its
/// month isn't sealed or has no time-stamp; (environment): the archive is damaged.
Result<Bytes> evidence_of(const std::string& dir, View serial);
/// That of a month's head, and the head itself.
struct HeadEvidence {
    Bytes record;
    Bytes head;
};
Result<HeadEvidence> evidence_of_month(const std::string& dir, const std::string& segment);

}  // namespace kokuin::evidence
