// Leap seconds as the IERS publishes them: leap-seconds.list, which tzdata carries (TSA-15, TAA-9).
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "tac/clock/basis.h"

namespace kokuin::tac::clock {

inline constexpr std::string_view usual_leap_file = "/usr/share/zoneinfo/leap-seconds.list";

struct LeapList {
    /// Nothing is known of what comes after it: a list that has expired warns, and says nothing about later.
    WallTime expires{};
    std::vector<LeapSecond> leaps;  ///< all since 1972, oldest first

    /// Lines "SECONDS TAI-UTC", both as NTP counts (since 1900), and "#@ SECONDS" for its expiry. Where a
    /// hash stands in it ("#h"), it must be right. Error (environment): what is wrong, in which line.
    static Result<LeapList> parse(std::string_view text);

    [[nodiscard]] bool expired(WallTime now) const { return now > expires; }
    /// Those whose midnight lies in [from, to].
    [[nodiscard]] std::vector<LeapSecond> between(WallTime from, WallTime to) const;
};

/// The file, read again once an hour (once a minute while it can't be): tzdata is updated beside a running
/// server. Thread-safe.
class LeapFile {
  public:
    explicit LeapFile(std::string path) : path_(std::move(path)) {}
    /// The list as it stands; the error says why there is none (the one read last isn't used any more then).
    [[nodiscard]] Result<std::shared_ptr<const LeapList>> read(MonoTime now) const;
    [[nodiscard]] const std::string& path() const { return path_; }

  private:
    const std::string path_;
    mutable std::mutex mutex_;
    mutable std::optional<MonoTime> read_at_;
    mutable std::shared_ptr<const LeapList> list_;
    mutable std::string trouble_;
};

}  // namespace kokuin::tac::clock
