// What of an archive has passed its time (ARC-1; docs/retention.md). Only looks: nothing is removed here.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "store/reader.h"
#include "store/removal.h"

namespace kokuin::store {

/// Records of one kind in one segment.
struct ExpiringKind {
    std::size_t records = 0;
    std::size_t past = 0;   ///< of these, that have passed their time
    std::size_t stay = 0;   ///< of these, that have no end (store::Beyond)
    std::vector<Run> runs;  ///< that have passed their time
    std::optional<RecordNumber> first_past{};
    std::optional<RecordNumber> last_past{};
    std::optional<WallTime> ends{};  ///< of the last one that has an end
    /// Months whose tokens must be gone before, or go with these: what proves them (seals), and, if there are
    /// any, those of its own month (TACs).
    std::set<std::string> after_tokens_of{};
    std::set<std::string> never_before_tokens_of{};
    /// Of tokens: the earliest and the latest genTime, µs since 1970 (POSIX).
    std::optional<std::pair<std::int64_t, std::int64_t>> gen_times_us{};
};
struct ExpiringSegment {
    std::string segment;                        ///< "2026-11"
    std::map<std::string, ExpiringKind> kinds;  ///< "token", and kinds of events
    [[nodiscard]] std::size_t records() const;
    [[nodiscard]] std::size_t past() const;
    /// When the whole month may go; nothing: never, something in it has no end.
    [[nodiscard]] std::optional<WallTime> ends() const;
};

/// The end of a certificate (DER); Error: it can't be read.
using CertificateEnd = std::function<Result<WallTime>(View der)>;

/// Which tokens are read: all, or only those of months that may have passed their time. (An archive holds far
/// more that haven't.)
enum class ExpiryExtent { everything, what_may_have_passed };

/// Reads the whole archive, or all of it that matters. Oldest first. Error (environment): it is damaged;
/// verify tells more.
Result<std::vector<ExpiringSegment>> expiring(ArchiveReader& reader, WallTime at,
                                              const CertificateEnd& certificate_end,
                                              ExpiryExtent extent = ExpiryExtent::everything);

/// What may be removed of it, by its time: all records of a kind in a segment that have an end, once the last
/// of them has passed its time. Not of the last segment, which is being written.
std::vector<Removal> removable(const std::vector<ExpiringSegment>& segments, WallTime at);

/// Takes out of `plan`, which somebody has chosen from what is removable, what must stay as long as tokens do
/// that neither are removed already nor are in the plan; and what an earlier event names already.
void keep_what_tokens_need(std::vector<Removal>& plan, const std::vector<ExpiringSegment>& segments,
                           const Removals& removals);

}  // namespace kokuin::store
