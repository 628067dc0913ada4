// A TAC for people and for `tsaudit tac show FILE [--json]` (design section 7).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tac/tac.h"

namespace kokuin::tac {

/// Each member is the JSON key of the same name (`placement` comes from the caller). Times RFC 3339 in UTC:
/// not_before and not_after in whole seconds, ntp_time and expiration with six digits.
struct Explanation {
    struct Leap {
        std::string midnight;  ///< the UTC midnight after the leap second
        int action = 0;        ///< +1 inserted, −1 deleted
    };
    std::string serial;  ///< serial_hex()
    std::string holder;  ///< RFC 4514
    std::string issuer;
    std::string not_before;
    std::string not_after;
    std::string ntp_time;
    std::string expiration;
    std::int64_t offset_us = 0;
    std::int64_t delay_us = 0;
    std::vector<std::string> policies;
    std::optional<std::int64_t> max_offset_us;
    std::optional<std::int64_t> max_delay_us;
    std::vector<Leap> leap_events;
    std::string signature_algorithm;  ///< "sha256WithRSA", or the OID
    std::string holder_digest_algorithm;
    std::string holder_digest;  ///< hex
    /// What departs from our profile, one sentence each: SHA-1, missing extensions, times that disagree, a
    /// limit passed.
    std::vector<std::string> remarks;
};

Explanation explain(const Tac& tac);
/// The same in plain English, several lines, each ending in a line end.
std::string to_text(const Explanation& explanation);

}  // namespace kokuin::tac
