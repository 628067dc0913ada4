#include "taa/own_clock.h"

namespace kokuin::taa {
namespace {

tac::Demand demand_of(microseconds limit) {
    tac::Demand demand;
    demand.accuracy = limit;
    demand.gentime_digits = 9;  // nothing is cut off: its readings go into offsets whole
    demand.require_tac = false;
    demand.require_reference = true;
    return demand;
}

}  // namespace

OwnClock::OwnClock(const tac::clock::StampingClock& clock, microseconds limit)
    : clock_(clock),
      demand_(demand_of(limit)),
      // Whose certificate holds how long is judged where TACs are issued.
      gate_({WallTime::min(), WallTime::max()}) {}

OwnClock::Standing OwnClock::look() const {
    const auto decision = gate_.decide(clock_.read(), demand_);
    if (const auto* closed = std::get_if<tac::Closed>(&decision)) return {false, 0, closed->text};
    const auto bound_us = std::get<tac::Open>(decision).bound_us;
    return {true, bound_us, "the clock is right within " + std::to_string(bound_us) + " us"};
}

}  // namespace kokuin::taa
