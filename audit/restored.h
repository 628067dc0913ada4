// Archives that were restored from a copy (store/restore.h): where one log ends and the next begins.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "store/scan.h"

namespace kokuin::audit {

/// What the event "archive.restored" says, with which a segment and its log begin. Checked by nobody.
struct Restored {
    std::string segment;  ///< that begins with it
    store::RecordNumber number = 0;
    std::int64_t at_us = 0;
    std::string from_origin;  ///< the log that ended
    std::string origin;       ///< the one that begins
    std::uint64_t size = 0;   ///< records that there were
    /// Records that somebody outside had seen; nothing: nobody ever had.
    std::optional<std::uint64_t> witnessed;
    std::uint64_t lost = 0;         ///< records that were there and are lost, as far as was known
    std::uint64_t lost_tokens = 0;  ///< of these, known to be tokens
    std::string custodians;         ///< empty: one person alone
    std::string why;
};
/// Nothing if the segment's first record is no such event.
std::optional<Restored> restored_with(store::SegmentScan& scan);

/// One line.
std::string text_of(const Restored& restored);

}  // namespace kokuin::audit
