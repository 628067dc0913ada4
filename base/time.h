// Wall time and monotonic time are different types, so that neither can be taken for the other: genTime can
// only be made from a WallTime, an elapsed time only from two MonoTimes (or two WallTimes).
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace kokuin {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::seconds;

/// Tag of wall time: nanoseconds since 1970-01-01T00:00:00Z without leap seconds (POSIX). Range: years 1678
/// to 2262.
struct Wall {
    using rep = std::int64_t;
    using period = std::nano;
    using duration = nanoseconds;
    using time_point = std::chrono::time_point<Wall>;
    static constexpr bool is_steady = false;
};
/// Tag of monotonic time: nanoseconds since a moment that is fixed while the machine stays up
/// (CLOCK_MONOTONIC_RAW).
struct Mono {
    using rep = std::int64_t;
    using period = std::nano;
    using duration = nanoseconds;
    using time_point = std::chrono::time_point<Mono>;
    static constexpr bool is_steady = true;
};
using WallTime = Wall::time_point;
using MonoTime = Mono::time_point;

/// A source of wall time. Implementations may be called from any thread.
class WallClock {
  public:
    virtual ~WallClock() = default;
    [[nodiscard]] virtual WallTime now() const = 0;
};
/// A source of monotonic time. Implementations may be called from any thread.
class MonoClock {
  public:
    virtual ~MonoClock() = default;
    [[nodiscard]] virtual MonoTime now() const = 0;
};

/// CLOCK_REALTIME.
class SystemWallClock final : public WallClock {
  public:
    [[nodiscard]] WallTime now() const override;
};
/// CLOCK_MONOTONIC_RAW: no NTP daemon slews it.
class SystemMonoClock final : public MonoClock {
  public:
    [[nodiscard]] MonoTime now() const override;
};

/// Microseconds since 1970, rounded towards the past.
std::int64_t to_unix_us(WallTime time);
WallTime from_unix_us(std::int64_t us);

/// "2026-11-23T12:00:00.123Z": RFC 3339, UTC, truncated (never rounded up) to `digits` fractional digits
/// (0…9), all of them written.
std::string to_rfc3339(WallTime time, int digits = 3);
/// Reads an RFC 3339 date ("2026-11-23", its midnight) or date-time with "Z" or a numeric offset. Nothing if
/// it is anything else, or no date of the calendar. For what people and their scripts write, so it takes all
/// that RFC 3339 allows: digits finer than a nanosecond are cut off, a leap second (23:59:60 UTC at the end
/// of a month) is the start of the second after it, and what is beyond WallTime's full years ("9999-12-31":
/// without end) is WallTime::min() or max(). Times that prove something are read by from_generalized_time.
std::optional<WallTime> from_rfc3339(std::string_view text);

/// DER GeneralizedTime as RFC 3161 2.4.2 wants it: "20261123120000.123Z", "." and never ",", truncated to at
/// most `digits` fractional digits, no trailing zeros and no trailing point.
std::string to_generalized_time(WallTime time, int digits);
/// Reads what to_generalized_time writes (X.690 11.7: ends in "Z", no trailing zeros). Nothing if it is
/// anything else; more than nine fractional digits are refused.
std::optional<WallTime> from_generalized_time(std::string_view text);

}  // namespace kokuin
