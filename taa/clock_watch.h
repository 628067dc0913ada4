// Watches the TAA's own clock (TAA-4) and records what is seen (TAA-11).
#pragma once

#include <functional>
#include <optional>

#include "base/result.h"
#include "taa/channel.h"
#include "taa/diary.h"
#include "taa/own_clock.h"
#include "tac/clock/comparison.h"
#include "tac/clock/leap_list.h"
#include "tac/clock/reference_settings.h"
#include "tac/clock/reference_watch.h"

namespace kokuin::taa {

/// The reference's measurements become evidence about the clock. Events: "clock.proved", "clock.unproved" at
/// each change; "reference.good", "reference.stale", … at each change of the reference; "reference.missed",
/// "reference.reset"; "reference.compared" once an hour and at the end. Created, started and stopped by one
/// thread.
class ClockWatch {
  public:
    /// Called by the watching thread.
    struct Listener {
        /// Once: the clock is proved, or 20 s after the start it isn't yet.
        std::function<void()> known;
        /// Each time it was proved and isn't any more, or the other way round.
        std::function<void()> changed;
    };
    /// All references are outlived by what they refer to. `limit`: see OwnClock.
    ClockWatch(const tac::clock::ReferenceSettings& settings, microseconds limit,
               const tac::clock::StampingClock& clock, Clocks clocks, const tac::clock::LeapFile& leaps,
               Diary& diary, Listener listener);
    ~ClockWatch() { stop(); }
    ClockWatch(const ClockWatch&) = delete;
    ClockWatch& operator=(const ClockWatch&) = delete;

    /// Error: the reference can't be begun.
    Done start();
    /// Idempotent.
    void stop();

    [[nodiscard]] const OwnClock& own() const { return own_; }

  private:
    [[nodiscard]] tac::clock::ReferenceWatch::Listener listener();
    void note(const std::string& kind, const std::string& text,
              const std::map<std::string, std::int64_t>& fields = {});
    void note_comparison();
    void look();

    const Clocks clocks_;
    const tac::clock::LeapFile& leaps_;
    Diary& diary_;
    const Listener listener_;
    OwnClock own_;
    tac::clock::Comparison comparison_;
    std::optional<bool> proved_;  // as recorded last
    std::optional<MonoTime> patience_until_;
    bool known_ = false;
    bool stopped_ = true;
    tac::clock::ReferenceWatch reference_;
};

}  // namespace kokuin::taa
