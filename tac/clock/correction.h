// `follow_tac` (TAC-5): the stamping clock keeps the TAA's time by a correction of its own, on a machine
// whose clock nobody may set. C = CLOCK_REALTIME + this, everywhere: in audits, evidence, records and tokens.
//
// The correction is a function of M alone, made of one slope: from where it was when the last audit said how
// far C is off, to where C would be right, never faster than the rate allowed. So C never jumps and never
// goes backwards by it, and a restart of the program in the same boot goes on where it was.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>

#include "base/time.h"
#include "tac/clock/basis.h"

namespace kokuin::tac::clock {

struct CorrectionRules {
    nanoseconds largest = seconds(10);  ///< |correction| never exceeds this
    std::int64_t rate_ppm = 500;        ///< of the slew, relative to M; below 1,000,000
};

/// Thread-safe; at() never blocks and never allocates.
class Correction {
  public:
    explicit Correction(CorrectionRules rules) : rules_(rules) {}

    /// The slope; what has to be kept to go on after a restart.
    struct Plan {
        nanoseconds from{0};
        nanoseconds to{0};
        MonoTime since{};           ///< when it was `from`
        std::int64_t rate_ppm = 0;  ///< of this slope, whatever the rules say now
        bool operator==(const Plan&) const = default;
    };

    /// At this moment. Before `since` it is `from`.
    [[nodiscard]] nanoseconds at(MonoTime m) const;

    /// An audit found C off by `error` (C − UTC, + = ahead), give or take `doubt`, when M was `measured`:
    /// from `now` on the correction moves to where C is right, or as far as it may. Nothing if the error is
    /// within its doubt: noise isn't followed.
    std::optional<Plan> steer(nanoseconds error, nanoseconds doubt, MonoTime measured, MonoTime now);

    /// At start, before anybody reads: goes on with a plan of the same boot, or stays at what an earlier boot
    /// was heading for. (Evidence of that boot is void; until there is new one nothing is proved.)
    void restore(const Plan& plan);
    void hold(nanoseconds value) { restore({value, value, MonoTime{}, 0}); }

    [[nodiscard]] Plan plan() const;
    /// Evidence about CLOCK_REALTIME, whose readings are of CLOCK_REALTIME, as evidence about C.
    [[nodiscard]] Evidence about_c(Evidence about_realtime) const;

  private:
    void set(const Plan& plan);  // under writers_
    [[nodiscard]] static nanoseconds value(const Plan& plan, MonoTime m);

    const CorrectionRules rules_;
    std::mutex writers_;
    // A sequence lock: odd while a writer is at it.
    std::atomic<std::uint32_t> sequence_{0};
    std::atomic<std::int64_t> from_{0};
    std::atomic<std::int64_t> to_{0};
    std::atomic<std::int64_t> since_{0};
    std::atomic<std::int64_t> rate_{0};
};

/// CLOCK_REALTIME with the correction. All of it must outlive it.
class CorrectedClock final : public WallClock {
  public:
    CorrectedClock(const WallClock& wall, const MonoClock& mono, const Correction& correction)
        : wall_(wall), mono_(mono), correction_(correction) {}
    [[nodiscard]] WallTime now() const override { return wall_.now() + correction_.at(mono_.now()); }

  private:
    const WallClock& wall_;
    const MonoClock& mono_;
    const Correction& correction_;
};

}  // namespace kokuin::tac::clock
