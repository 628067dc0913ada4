#include "taa/timetable.h"

#include <algorithm>
#include <utility>

namespace kokuin::taa {
namespace {

constexpr nanoseconds first_backoff = seconds(1);

nanoseconds spread(nanoseconds wait, double dice) {
    const double earlier = std::clamp(dice, 0.0, 1.0) * static_cast<double>(wait.count()) / 10;
    return wait - nanoseconds(static_cast<std::int64_t>(earlier));
}

}  // namespace

Timetable::Timetable(const Pace& pace, MonoTime start) : pace_(pace), due_(start), began_(start) {}

bool Timetable::begin(MonoTime now) {
    running_ = true;
    ever_began_ = true;
    began_ = due_ = now;
    return std::exchange(requested_, false);
}

void Timetable::end(MonoTime now, Ending ending, double dice) {
    running_ = false;
    if (std::exchange(again_, false)) {
        due_ = now;
        return;
    }
    if (ending == Ending::settled) {
        backoff_ = nanoseconds(0);
        // From the beginning, not from the end: the interval is between measurements.
        due_ = std::max(now, began_ + spread(pace_.interval, dice));
        return;
    }
    const nanoseconds cap = ending == Ending::open ? std::min(pace_.retry, pace_.interval) : pace_.interval;
    backoff_ = std::min(backoff_ == nanoseconds(0) ? first_backoff : backoff_ * 2, cap);
    due_ = now + spread(backoff_, dice);
}

void Timetable::bring_forward(MonoTime now, bool spaced) {
    if (running_)
        again_ = !spaced;
    else
        due_ = std::min(due_, spaced && ever_began_ ? std::max(now, began_ + pace_.request_spacing) : now);
}

Timetable::Answer Timetable::request(MonoTime now) {
    if (running_) return {true, nanoseconds(0)};
    const MonoTime earliest = ever_began_ ? std::max(now, began_ + pace_.request_spacing) : now;
    due_ = std::min(due_, earliest);
    requested_ = true;
    return {false, std::max(nanoseconds(0), due_ - now)};
}

}  // namespace kokuin::taa
