// What the TAA knows of its own clock (TAA-4): within ±30 ms of UTC, or it says nothing about others'.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/time.h"
#include "tac/clock/reading.h"
#include "tac/gate.h"

namespace kokuin::taa {

/// A gate as a TSU has it, with the reference as its only evidence and a limit of milliseconds. Thread-safe;
/// the clock must outlive it.
class OwnClock {
  public:
    /// `limit`: at most 30 ms, which is what TSUs count for the TAA's clock (tac::Rules::taa_bound).
    OwnClock(const tac::clock::StampingClock& clock, microseconds limit);

    /// A new measurement of the independent reference; what it means for the rate is returned.
    tac::clock::ErrorBound::Added take(const tac::clock::Evidence& evidence) { return gate_.add(evidence); }

    /// A leap second: around it the clock counts as unproved, and evidence is carried over it. The same one
    /// twice is one.
    void announce(const tac::clock::LeapSecond& leap) { gate_.announce(leap); }

    struct Standing {
        bool proved = false;
        std::int64_t bound_us = 0;  ///< only if proved: the largest error it can have
        std::string text;           ///< one line: why not, or how well
    };
    /// At this moment, by one reading of the clock.
    [[nodiscard]] Standing look() const;

  private:
    const tac::clock::StampingClock& clock_;
    const tac::Demand demand_;
    tac::Gate gate_;
};

}  // namespace kokuin::taa
