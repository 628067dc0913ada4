#include "tac/clock/bound.h"

#include <algorithm>
#include <cmath>

namespace kokuin::tac::clock {
namespace {

constexpr nanoseconds ns0{0};

MonoTime middle(const Reading& reading) {
    return reading.before + reading.gap() / 2;
}

/// factor·span, away from the caller's interval: rounding never narrows a bound.
nanoseconds down(double factor, nanoseconds span) {
    return nanoseconds(static_cast<std::int64_t>(std::floor(factor * static_cast<double>(span.count()))) - 1);
}
nanoseconds up(double factor, nanoseconds span) {
    return nanoseconds(static_cast<std::int64_t>(std::ceil(factor * static_cast<double>(span.count()))) + 1);
}

bool disjoint(nanoseconds low_a, nanoseconds high_a, nanoseconds low_b, nanoseconds high_b) {
    return high_a < low_b || high_b < low_a;
}

}  // namespace

std::string_view name(Source source) {
    switch (source) {
        case Source::tac:
            return "tac";
        case Source::reference:
            return "reference";
    }
    return "unknown";
}

nanoseconds Bound::largest() const {
    return std::max(-low, high);
}

nanoseconds truncation(int digits) {
    nanoseconds unit = seconds(1);
    for (int i = 0; i < std::clamp(digits, 0, 9); ++i) unit /= 10;
    return unit;
}

void ErrorBound::forget_rate(Source source) {
    rates_[index(source)] = Rate{0, rules_.unknown, false};
    history_[index(source)].clear();
}

nanoseconds ErrorBound::leaps_between(const Evidence& from, nanoseconds elapsed) const {
    nanoseconds sum = ns0;
    const WallTime start = from.at.wall - from.error;
    const WallTime end = start + elapsed;
    for (const auto& leap : leaps_) {
        // On a scale that goes on evenly from `start`, an inserted second begins where midnight would have
        // been, and a deleted one makes midnight come a second early.
        const WallTime moment = leap.direction > 0 ? leap.midnight : leap.midnight - seconds(1);
        if (start < moment && end >= moment) sum -= seconds(leap.direction);
        if (start >= moment && end < moment) sum += seconds(leap.direction);
    }
    return sum;
}

Bound ErrorBound::carry(const Evidence& from, const Reading& to) const {
    const nanoseconds shortest = to.before - from.at.after;
    const nanoseconds longest = to.after - from.at.before;
    const nanoseconds span = std::max(std::chrono::abs(shortest), std::chrono::abs(longest));
    const Rate& rate = rates_[index(from.source)];
    const nanoseconds doubt = up(rate.rho, span) + longest_sleep_between(from.at.asleep, to.asleep);
    const nanoseconds leaps = leaps_between(from, middle(to) - middle(from.at));
    const nanoseconds utc_least = shortest + down(rate.f, shortest) + leaps - doubt;
    const nanoseconds utc_most = longest + up(rate.f, longest) + leaps + doubt;
    const nanoseconds moved = to.wall - from.at.wall;
    Bound bound;
    bound.state = Bound::State::known;
    bound.low = from.error - from.uncertainty + moved - utc_most;
    bound.high = from.error + from.uncertainty + moved - utc_least;
    return bound;
}

Bound ErrorBound::at(const Reading& now) const {
    Bound all;
    bool slept = false;
    for (const auto& evidence : current_) {
        if (slept_between(evidence.at.asleep, now.asleep)) {
            slept = true;
            continue;
        }
        if (now.after > evidence.good_until) continue;
        const Bound one = carry(evidence, now);
        if (all.state == Bound::State::no_evidence) {
            all.state = Bound::State::known;
            all.low = one.low;
            all.high = one.high;
        } else {
            all.low = std::max(all.low, one.low);
            all.high = std::min(all.high, one.high);
        }
        (evidence.source == Source::tac ? all.by_tac : all.by_reference) = true;
    }
    if (all.state == Bound::State::known && all.low > all.high) all.state = Bound::State::contradiction;
    if (all.state == Bound::State::no_evidence && slept) all.state = Bound::State::slept;
    return all;
}

ErrorBound::Added ErrorBound::add(const Evidence& evidence) {
    const auto is_void = [&](const Evidence& old) {
        return slept_between(old.at.asleep, evidence.at.asleep);
    };
    current_.erase(std::remove_if(current_.begin(), current_.end(), is_void), current_.end());
    for (const auto source : {Source::tac, Source::reference}) {
        const auto& history = history_[index(source)];
        if (std::any_of(history.begin(), history.end(), is_void)) forget_rate(source);
    }

    const auto same_source = [&](const Evidence& old) { return old.source == evidence.source; };
    const auto newest = std::find_if(current_.rbegin(), current_.rend(), same_source);
    Added added = Added::agrees;
    if (newest != current_.rend()) {
        if (evidence.at.before <= newest->at.before) return Added::older;
        const Bound predicted = carry(*newest, evidence.at);
        if (disjoint(predicted.low, predicted.high, evidence.error - evidence.uncertainty,
                     evidence.error + evidence.uncertainty)) {
            added = Added::misses;
            ++misses_;
            forget_rate(evidence.source);
        }
        // The one before the newest is superseded now; three would let an old mistake outlive its correction.
        if (std::count_if(current_.begin(), current_.end(), same_source) > 1)
            current_.erase(std::find_if(current_.begin(), current_.end(), same_source));
    }
    current_.push_back(evidence);
    learn(evidence);
    return added;
}

void ErrorBound::learn(const Evidence& newest) {
    auto& history = history_[index(newest.source)];
    if (history.size() > 1 && newest.at.before - history[history.size() - 2].at.before < rules_.spacing)
        history.pop_back();
    history.push_back(newest);
    const MonoTime horizon = newest.at.before - rules_.memory;
    history.erase(std::remove_if(history.begin(), history.end(),
                                 [&](const Evidence& old) { return old.at.before < horizon; }),
                  history.end());
    Rate& rate = rates_[index(newest.source)];
    rate = Rate{0, rules_.unknown, false};
    if (history.size() < 2) return;

    // The mean rate between the first and the last: whatever lies between can't make it more certain than its
    // ends do.
    const Evidence& first = history.front();
    const nanoseconds by_m = middle(newest.at) - middle(first.at);
    if (by_m <= ns0) return;
    const nanoseconds by_utc =
        (newest.at.wall - newest.error) - (first.at.wall - first.error) - leaps_between(first, by_m);
    const nanoseconds doubt = first.uncertainty + newest.uncertainty + first.at.gap() + newest.at.gap() +
                              longest_sleep_between(first.at.asleep, newest.at.asleep);
    const double span = static_cast<double>(by_m.count());
    const double rho = std::max(rules_.floor, static_cast<double>(doubt.count()) / span + rules_.wander);
    if (rho >= rules_.unknown) return;
    rate = Rate{static_cast<double>((by_utc - by_m).count()) / span, rho, true};
}

void ErrorBound::announce(const LeapSecond& leap) {
    if (std::find(leaps_.begin(), leaps_.end(), leap) != leaps_.end()) return;
    leaps_.push_back(leap);
    // UTC has one every half year at most; a list that grows is a TAA gone wrong.
    if (leaps_.size() > 8) leaps_.erase(leaps_.begin());
}

const LeapSecond* ErrorBound::near_leap(const Reading& now, const Bound& bound) const {
    WallTime earliest = now.wall;
    WallTime latest = now.wall;
    if (bound.state == Bound::State::known) {
        earliest = std::min(earliest, now.wall - bound.high);
        latest = std::max(latest, now.wall - bound.low);
    }
    for (const auto& leap : leaps_)
        if (latest >= leap.midnight - seconds(1) && earliest <= leap.midnight + seconds(1)) return &leap;
    return nullptr;
}

nanoseconds ErrorBound::lasts(const Reading& now, nanoseconds limit, std::optional<Source> only) const {
    const Bound bound = at(now);
    if (bound.state != Bound::State::known || bound.largest() > limit) return ns0;
    // What the best evidence alone can carry; the intersection of all carries no less far.
    nanoseconds longest = ns0;
    for (const auto& evidence : current_) {
        if (only && evidence.source != *only) continue;
        if (slept_between(evidence.at.asleep, now.asleep) || now.after > evidence.good_until) continue;
        const Bound one = carry(evidence, now);
        const double room = static_cast<double>((limit - one.largest()).count());
        if (room <= 0) continue;
        const double until = room / rates_[index(evidence.source)].rho;
        const nanoseconds life = evidence.good_until - now.after;
        longest = std::max(longest, until < static_cast<double>(life.count())
                                        ? nanoseconds(static_cast<std::int64_t>(until))
                                        : life);
    }
    return longest;
}

}  // namespace kokuin::tac::clock
