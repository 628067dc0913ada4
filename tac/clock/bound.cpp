#include "tac/clock/bound.h"

#include <algorithm>
#include <cmath>

namespace kokuin::tac::clock {
namespace {

bool disjoint(const Bound& a, const Evidence& b) {
    return a.high < b.error - b.uncertainty || b.error + b.uncertainty < a.low;
}

// How fast the error grows that this evidence shows, apart from its widening: C against M since then, less
// what is known of M. A clock that somebody disciplines runs like UTC, and its error doesn't grow. A step in
// between looks like a mad rate: no kernel slews faster than 500 ppm.
double drift_since(const Basis::Piece& piece, const Reading& now) {
    constexpr nanoseconds long_enough = seconds(10);
    constexpr double fastest = 500e-6;
    const nanoseconds by_m = now.middle() - piece.evidence.at.middle();
    if (by_m < long_enough) return 0;
    const nanoseconds by_c = now.wall - piece.evidence.at.wall;
    const double rate = static_cast<double>((by_c - by_m).count()) / static_cast<double>(by_m.count());
    return std::clamp(rate, -fastest, fastest) - piece.rate.f;
}

}  // namespace

ErrorBound::ErrorBound(RateRules rules) : rules_(rules), basis_(std::make_shared<const Basis>()) {
    for (const auto source : {Source::tac, Source::reference}) forget_rate(source);
}

void ErrorBound::forget_rate(Source source) {
    rates_[index(source)] = Rate{0, rules_.unknown, false};
    history_[index(source)].clear();
}

void ErrorBound::publish(Basis basis) {
    for (auto& piece : basis.pieces) piece.rate = rates_[index(piece.evidence.source)];
    basis_ = std::make_shared<const Basis>(std::move(basis));
}

ErrorBound::Added ErrorBound::add(const Evidence& evidence) {
    const auto is_void = [&](const Evidence& old) {
        return slept_between(old.at.asleep, evidence.at.asleep);
    };
    Basis next = *basis_;
    auto& pieces = next.pieces;
    pieces.erase(std::remove_if(pieces.begin(), pieces.end(),
                                [&](const Basis::Piece& piece) { return is_void(piece.evidence); }),
                 pieces.end());
    for (const auto source : {Source::tac, Source::reference}) {
        const auto& history = history_[index(source)];
        if (std::any_of(history.begin(), history.end(), is_void)) forget_rate(source);
    }

    const auto same_source = [&](const Basis::Piece& old) { return old.evidence.source == evidence.source; };
    const auto newest = std::find_if(pieces.rbegin(), pieces.rend(), same_source);
    Added added = Added::agrees;
    if (newest != pieces.rend()) {
        if (evidence.at.before <= newest->evidence.at.before) {
            publish(std::move(next));
            return Added::older;
        }
        newest->rate = rates_[index(evidence.source)];
        if (disjoint(next.carry(*newest, evidence.at), evidence)) {
            added = Added::misses;
            ++misses_;
            forget_rate(evidence.source);
        }
        // The one before the newest is superseded now; three would let an old mistake outlive its correction.
        if (std::count_if(pieces.begin(), pieces.end(), same_source) > 1)
            pieces.erase(std::find_if(pieces.begin(), pieces.end(), same_source));
    }
    pieces.push_back({evidence, {}});
    learn(evidence);
    publish(std::move(next));
    return added;
}

void ErrorBound::disbelieve(Source source) {
    Basis next = *basis_;
    auto& pieces = next.pieces;
    pieces.erase(
        std::remove_if(pieces.begin(), pieces.end(),
                       [source](const Basis::Piece& piece) { return piece.evidence.source == source; }),
        pieces.end());
    forget_rate(source);
    ++misses_;
    publish(std::move(next));
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
    const nanoseconds by_m = newest.at.middle() - first.at.middle();
    if (by_m <= nanoseconds::zero()) return;
    const nanoseconds by_utc =
        (newest.at.wall - newest.error) - (first.at.wall - first.error) - basis_->leaps_between(first, by_m);
    const nanoseconds doubt = first.uncertainty + newest.uncertainty + first.at.gap() + newest.at.gap() +
                              longest_sleep_between(first.at.asleep, newest.at.asleep);
    const double span = static_cast<double>(by_m.count());
    const double rho = std::max(rules_.floor, static_cast<double>(doubt.count()) / span + rules_.wander);
    if (rho >= rules_.unknown) return;
    // Written down exactly, and ρ makes up for what is cut off f.
    rate = Rate{std::round(static_cast<double>((by_utc - by_m).count()) / span * ppt) / ppt,
                (std::ceil(rho * ppt) + 1) / ppt, true};
}

void ErrorBound::announce(const LeapSecond& leap) {
    Basis next = *basis_;
    auto& leaps = next.leaps;
    if (std::find(leaps.begin(), leaps.end(), leap) != leaps.end()) return;
    leaps.push_back(leap);
    // UTC has one every half year at most; a list that grows is a TAA gone wrong.
    if (leaps.size() > 8) leaps.erase(leaps.begin());
    publish(std::move(next));
}

nanoseconds ErrorBound::lasts(const Reading& now, nanoseconds limit, std::optional<Source> only) const {
    const Bound bound = at(now);
    if (bound.state != Bound::State::known || bound.largest() > limit) return nanoseconds::zero();
    // What the best evidence alone can carry; the intersection of all carries no less far.
    double longest = 0;
    for (const auto& piece : basis_->pieces) {
        if (only && piece.evidence.source != *only) continue;
        if (!piece.applies(now)) continue;
        const Bound here = basis_->carry(piece, now);
        const double drift = drift_since(piece, now);
        double life = static_cast<double>((piece.evidence.good_until - now.after).count());
        // Each end of the interval reaches the limit in its own time, or never.
        const auto reaches = [&life](nanoseconds room, double speed) {
            if (room <= nanoseconds::zero()) life = 0;
            if (speed > 0) life = std::min(life, static_cast<double>(room.count()) / speed);
        };
        reaches(limit - here.high, piece.rate.rho + drift);
        reaches(limit + here.low, piece.rate.rho - drift);
        longest = std::max(longest, life);
    }
    return nanoseconds(static_cast<std::int64_t>(longest));
}

}  // namespace kokuin::tac::clock
