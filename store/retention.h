// How long what an archive holds is kept (ARC-1): one table for all kinds of records. Pure; thread-safe.
#pragma once

#include <optional>
#include <span>
#include <string_view>

#include "base/time.h"
#include "store/record.h"

namespace kokuin::store {

/// What keeps a record beyond its years.
enum class Beyond {
    nothing,    ///< it may go when they are over
    tokens,     ///< the tokens of its own month: it stays as long as the last of them (a TAC)
    month,      ///< the tokens of the month that its subject names: "2026-10" (a seal)
    in_force,   ///< it is the newest of its kind about its subject: that is in force
    everything  ///< it stays as long as the archive: others are judged by it
};

struct Retention {
    std::string_view kind;  ///< of events, "token" for issuances; empty: none of the table
    int years = 10;
    Beyond beyond = Beyond::nothing;
    std::string_view what;  ///< in a few words, why so long
};

/// Tokens, then the kinds of events, each once, in alphabetical order.
std::span<const Retention> retention_table();
/// Of one kind; of a kind that isn't in the table ten years, with no name.
const Retention& retention_of(std::string_view kind);

/// The same time of the same day so many years later (of 29 February: 1 March, if that year has none).
WallTime years_later(WallTime time, int years);

/// The beginning of the month that a segment is named after ("2026-11", "2026-11.02"); what stands in it was
/// not written earlier, whatever a wrong clock has made of its time. `min()` if that is no month.
WallTime month_begin(std::string_view segment);
/// Until when a record of this segment is kept at the least: its kind's years, from its time on, or from the
/// beginning of the month, if that is later. Nothing: as long as the archive. What may keep
/// it longer isn't in the record (its certificate, other tokens, whether it is in force).
std::optional<WallTime> kept_at_least_until(const BareRecord& record, std::string_view segment);

/// When a token has passed its time: the later of ten years after its genTime and the end of its TSU's
/// certificate.
WallTime token_kept_until(WallTime gen_time, WallTime certificate_end);

}  // namespace kokuin::store
