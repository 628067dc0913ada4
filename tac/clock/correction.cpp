#include "tac/clock/correction.h"

#include <algorithm>

namespace kokuin::tac::clock {

Correction::Plan Correction::plan() const {
    while (true) {
        const auto before = sequence_.load(std::memory_order_acquire);
        const Plan read{nanoseconds(from_.load(std::memory_order_relaxed)),
                        nanoseconds(to_.load(std::memory_order_relaxed)),
                        MonoTime(nanoseconds(since_.load(std::memory_order_relaxed))),
                        rate_.load(std::memory_order_relaxed)};
        std::atomic_thread_fence(std::memory_order_acquire);
        if (before % 2 == 0 && sequence_.load(std::memory_order_relaxed) == before) return read;
    }
}

void Correction::restore(const Plan& plan) {
    const std::lock_guard lock(writers_);
    set(plan);
}

void Correction::set(const Plan& plan) {
    const auto sequence = sequence_.load(std::memory_order_relaxed);
    sequence_.store(sequence + 1, std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_release);
    from_.store(plan.from.count(), std::memory_order_relaxed);
    to_.store(plan.to.count(), std::memory_order_relaxed);
    since_.store(plan.since.time_since_epoch().count(), std::memory_order_relaxed);
    rate_.store(plan.rate_ppm, std::memory_order_relaxed);
    sequence_.store(sequence + 2, std::memory_order_release);
}

nanoseconds Correction::value(const Plan& plan, MonoTime m) {
    const auto way = plan.to - plan.from;
    const auto elapsed = std::max(nanoseconds(m - plan.since), nanoseconds(0));
    const auto reach = nanoseconds(static_cast<std::int64_t>(static_cast<double>(plan.rate_ppm) * 1e-6 *
                                                             static_cast<double>(elapsed.count())));
    return plan.from + std::clamp(way, -reach, reach);
}

nanoseconds Correction::at(MonoTime m) const {
    return value(plan(), m);
}

std::optional<Correction::Plan> Correction::steer(nanoseconds error, nanoseconds doubt, MonoTime measured,
                                                  MonoTime now) {
    if (std::chrono::abs(error) <= doubt) return std::nullopt;
    const std::lock_guard lock(writers_);
    const auto old = plan();
    const Plan next{value(old, now),
                    std::clamp(value(old, measured) - error, -rules_.largest, rules_.largest), now,
                    rules_.rate_ppm};
    set(next);
    return next;
}

Evidence Correction::about_c(Evidence evidence) const {
    const auto now = plan();
    const auto corrected = value(now, evidence.at.before);
    evidence.error += corrected;
    evidence.at.wall += corrected;
    // It may have moved between the two M, and by another slope if that is newer than the reading.
    const auto since = std::max(now.since, evidence.at.after) - evidence.at.before;
    evidence.uncertainty +=
        nanoseconds(static_cast<std::int64_t>(static_cast<double>(std::max(now.rate_ppm, rules_.rate_ppm)) *
                                              1e-6 * static_cast<double>(since.count())) +
                    1);
    return evidence;
}

}  // namespace kokuin::tac::clock
