#include "tac/gate.h"

#include <algorithm>
#include <mutex>

namespace kokuin::tac {
namespace {

std::int64_t micros_up(nanoseconds time) {
    const std::int64_t ns = time.count();
    return ns / 1000 + (ns % 1000 > 0 ? 1 : 0);
}

Closed closed(Cause cause, std::string text, bool time_not_available = true) {
    return Closed{cause, time_not_available, std::move(text)};
}

bool valid(const AcceptedTac& tac, const clock::Reading& reading) {
    return reading.wall >= tac.valid_from && reading.wall <= tac.valid_until && reading.after <= tac.deadline;
}

}  // namespace

std::string_view name(Cause cause) {
    switch (cause) {
        case Cause::suspended:
            return "suspended";
        case Cause::key_revoked:
            return "key-revoked";
        case Cause::unheard:
            return "revocation-unknown";
        case Cause::key_not_yet:
            return "key-not-yet";
        case Cause::key_ended:
            return "key-ended";
        case Cause::stopped:
            return "order-to-stop";
        case Cause::slept:
            return "slept";
        case Cause::contradiction:
            return "contradiction";
        case Cause::taa_revoked:
            return "taa-revoked";
        case Cause::no_tac:
            return "no-tac";
        case Cause::tac_not_yet:
            return "tac-not-yet";
        case Cause::tac_ended:
            return "tac-ended";
        case Cause::no_reference:
            return "no-reference";
        case Cause::no_bound:
            return "no-bound";
        case Cause::bound:
            return "bound";
        case Cause::leap_second:
            return "leap-second";
    }
    return "no-bound";
}

Gate::Gate(KeyPeriod key, clock::RateRules rules)
    : state_{key, clock::ErrorBound(rules), nullptr, {}, {}, {}, {}, {}, {}, {}, 0} {}

std::optional<LastTac> Gate::last_of(const State& state) {
    std::optional<LastTac> last = state.remembered;
    if (state.tac) {
        last = LastTac{state.tac->value.tac.ntp_time, state.tac->serial, {}, {}};
        if (const auto& exchange = state.tac->delivered.exchange) {
            last->exchanged = exchange->received.before;
            last->boot_id = exchange->boot_id;
        }
    }
    if (state.stop) {
        const auto told = std::min(state.stop->ntp_time, state.stop->received.wall);
        last = LastTac{last ? std::max(last->ntp_time, told) : told, state.stop->serial,
                       state.stop->received.before, state.stop->boot_id};
    }
    return last;
}

std::optional<LastTac> Gate::last() const {
    const std::shared_lock lock(mutex_);
    return last_of(state_);
}

void Gate::remember(LastTac last) {
    const std::unique_lock lock(mutex_);
    state_.remembered = std::move(last);
}

Gate::Taken Gate::accept(std::shared_ptr<const AcceptedTac> tac) {
    const std::unique_lock lock(mutex_);
    const auto last = last_of(state_);
    const auto& exchange = tac->delivered.exchange;
    if (last &&
        !not_newer(*last, tac->value.tac.ntp_time, tac->serial,
                   exchange ? exchange->received : tac->evidence.at, exchange ? exchange->boot_id : "")
             .empty())
        return Taken::older;
    for (const auto& leap : tac->value.tac.leap_events) state_.error.announce(leap);
    state_.error.add(tac->evidence);
    state_.tac = std::move(tac);
    state_.withdrawn.reset();
    const bool resumed = state_.stop.has_value();
    state_.stop.reset();
    return resumed ? Taken::resumed : Taken::installed;
}

Gate::Taken Gate::stop(StopOrder order) {
    const std::unique_lock lock(mutex_);
    const auto last = last_of(state_);
    if (last && order.ntp_time < last->ntp_time) return Taken::older;
    state_.stop = std::move(order);
    return Taken::installed;
}

bool Gate::withdraw(const AcceptedTac& tac, std::string why) {
    const std::unique_lock lock(mutex_);
    if (state_.tac.get() != &tac) return false;
    auto last = last_of({state_.key, state_.error, state_.tac, {}, {}, {}, {}, {}, state_.remembered, {}, 0});
    state_.remembered = std::move(last);
    state_.tac.reset();
    state_.withdrawn = std::move(why);
    ++state_.withdrawals;
    state_.error.disbelieve(clock::Source::tac);
    return true;
}

clock::ErrorBound::Added Gate::add(const clock::Evidence& evidence) {
    const std::unique_lock lock(mutex_);
    return state_.error.add(evidence);
}

void Gate::announce(const clock::LeapSecond& leap) {
    {
        const std::shared_lock lock(mutex_);
        const auto& known = state_.error.basis()->leaps;
        if (std::find(known.begin(), known.end(), leap) != known.end()) return;
    }
    const std::unique_lock lock(mutex_);
    state_.error.announce(leap);
}

std::shared_ptr<const AcceptedTac> Gate::tac() const {
    const std::shared_lock lock(mutex_);
    return state_.tac;
}

void Gate::suspend(std::string why) {
    const std::unique_lock lock(mutex_);
    state_.suspended = std::move(why);
}

void Gate::resume() {
    const std::unique_lock lock(mutex_);
    state_.suspended.reset();
}

void Gate::restore_withdrawn(std::string why) {
    const std::unique_lock lock(mutex_);
    if (!state_.tac) state_.withdrawn = std::move(why);
}

bool Gate::set_revoked(std::optional<std::string> why) {
    {
        const std::shared_lock lock(mutex_);
        if (state_.revoked == why) return false;
    }
    const std::unique_lock lock(mutex_);
    const bool is_new = state_.revoked.has_value() != why.has_value();
    state_.revoked = std::move(why);
    return is_new;
}

void Gate::set_unknown(std::optional<std::string> key, std::optional<std::string> taa) {
    {
        const std::shared_lock lock(mutex_);
        if (state_.key_unknown == key && state_.taa_unknown == taa) return;
    }
    const std::unique_lock lock(mutex_);
    state_.key_unknown = std::move(key);
    state_.taa_unknown = std::move(taa);
}

Decision Gate::judge(const State& state, const std::shared_ptr<const AcceptedTac>& tac,
                     const clock::Reading& reading, const Demand& demand) {
    if (state.suspended)
        return closed(Cause::suspended, "suspended by the operators: " + *state.suspended, false);
    if (state.revoked) return closed(Cause::key_revoked, *state.revoked, false);
    if (state.key_unknown) return closed(Cause::unheard, *state.key_unknown, false);
    if (state.taa_unknown && demand.require_tac) return closed(Cause::unheard, *state.taa_unknown, false);
    // What is written as genTime is C truncated; its end is the last moment it claims to be possible.
    const nanoseconds unit = clock::truncation(demand.gentime_digits);
    const WallTime gen_time =
        WallTime(reading.wall.time_since_epoch() - ((reading.wall.time_since_epoch() % unit) + unit) % unit);
    if (state.stop) return closed(Cause::stopped, state.stop->text);

    const auto& basis = state.error.basis();
    const clock::Bound bound = basis->at(reading);
    if (bound.state == clock::Bound::State::slept)
        return closed(Cause::slept, "the machine was suspended after the last audit; a new one is needed");
    // Around it pieces of evidence pass the leap second one after the other: that is the cause to name, and
    // not that they contradict each other for a moment.
    if (const auto* leap = basis->near_leap(reading, bound))
        return closed(Cause::leap_second,
                      "within a second of the leap second before " + to_rfc3339(leap->midnight, 0));
    if (bound.state == clock::Bound::State::contradiction)
        return closed(Cause::contradiction,
                      "what is known about the clock contradicts itself; a new audit is needed");
    const bool tac_valid = tac && !state.withdrawn && valid(*tac, reading);
    if (demand.require_tac && !tac_valid) {
        if (state.withdrawn)
            return closed(Cause::taa_revoked, "the TAC isn't believed any more: " + *state.withdrawn);
        if (!tac) return closed(Cause::no_tac, "no TAC was accepted since the machine was booted");
        if (reading.wall < tac->valid_from)
            return closed(Cause::tac_not_yet, "the clock shows " + to_rfc3339(reading.wall, 3) +
                                                  ", before the TAC of " +
                                                  to_rfc3339(tac->value.tac.ntp_time, 3));
        return closed(Cause::tac_ended, "the TAC ended at " + to_rfc3339(tac->valid_until, 3));
    }
    if ((demand.require_reference || !demand.require_tac) && !bound.by_reference)
        return closed(Cause::no_reference, "the independent reference has measured nothing lately");
    if (bound.state != clock::Bound::State::known || (demand.require_tac && !bound.by_tac))
        return closed(Cause::no_bound, "the error of the clock isn't known");
    const std::int64_t bound_us = micros_up(bound.largest() + unit);
    if (bound_us > demand.accuracy.count())
        return closed(Cause::bound, "the clock may be off by " + std::to_string(bound_us) +
                                        " us, the accuracy is " + std::to_string(demand.accuracy.count()) +
                                        " us");
    // The key's time is judged last: only a proved clock can tell it, and an unproved one is the cause to
    // name.
    if (gen_time < state.key.from)
        return closed(Cause::key_not_yet, "the key may sign from " + to_rfc3339(state.key.from, 0), false);
    if (gen_time + demand.accuracy > state.key.until)
        return closed(Cause::key_ended, "the key may sign until " + to_rfc3339(state.key.until, 0), false);
    return Open{bound_us, tac_valid ? tac : nullptr, basis, state.error.misses(), state.withdrawals};
}

Decision Gate::decide(const clock::Reading& reading, const Demand& demand) const {
    const std::shared_lock lock(mutex_);
    return judge(state_, state_.tac, reading, demand);
}

Decision Gate::recheck(const Open& granted, const clock::Reading& stamped, const clock::Reading& now,
                       const Demand& demand) const {
    const std::shared_lock lock(mutex_);
    if (granted.tac && granted.withdrawals != state_.withdrawals)
        return closed(Cause::taa_revoked, "the TAC was taken back while the token was made");
    // A TAC that came meanwhile may not be valid yet at that reading; the token rests on the one it names.
    Decision then = judge(state_, granted.tac, stamped, demand);
    const auto* open = std::get_if<Open>(&then);
    if (!open) return then;
    if (open->bound_us > granted.bound_us && open->misses != granted.misses)
        return closed(Cause::bound,
                      "the proof changed while the token was made: the clock may have been off by " +
                          std::to_string(open->bound_us) + " us, the record says " +
                          std::to_string(granted.bound_us) + " us");
    Decision current = judge(state_, state_.tac, now, demand);
    if (std::holds_alternative<Closed>(current)) return current;
    if (granted.tac && !valid(*granted.tac, now))
        return closed(Cause::tac_ended, "the TAC ended while the token was made");
    return then;
}

std::optional<WallTime> Gate::foretell(const State& state, const clock::Reading& now, const Demand& demand,
                                       bool by_tac_alone) {
    if (!std::holds_alternative<Open>(judge(state, state.tac, now, demand))) return std::nullopt;
    const nanoseconds limit = demand.accuracy - clock::truncation(demand.gentime_digits);
    nanoseconds left =
        by_tac_alone ? state.error.lasts(now, limit, clock::Source::tac) : state.error.lasts(now, limit);
    if (!by_tac_alone && (demand.require_reference || !demand.require_tac))
        left = std::min(left, state.error.lasts(now, limit, clock::Source::reference));
    if ((demand.require_tac || by_tac_alone) && state.tac) {
        left = std::min(left, nanoseconds(state.tac->valid_until - now.wall));
        left = std::min(left, nanoseconds(state.tac->deadline - now.after));
    }
    // Neither a key's end nor a leap second is put off by a new TAC.
    if (by_tac_alone) return now.wall + std::max(left, nanoseconds(0));
    left = std::min(left, nanoseconds(state.key.until - demand.accuracy - now.wall));
    for (const auto& leap : state.error.basis()->leaps)
        if (leap.midnight > now.wall)
            left = std::min(left, nanoseconds(leap.midnight - seconds(1) - now.wall));
    return now.wall + std::max(left, nanoseconds(0));
}

std::optional<WallTime> Gate::closes_at(const clock::Reading& now, const Demand& demand) const {
    const std::shared_lock lock(mutex_);
    return foretell(state_, now, demand, false);
}

std::optional<WallTime> Gate::tac_needed_at(const clock::Reading& now, const Demand& demand) const {
    const std::shared_lock lock(mutex_);
    return foretell(state_, now, demand, true);
}

GateStatus Gate::status(const clock::Reading& now, const Demand& demand) const {
    const std::shared_lock lock(mutex_);
    return GateStatus{state_.tac,
                      state_.stop,
                      state_.suspended,
                      state_.error.rate(clock::Source::tac),
                      state_.error.rate(clock::Source::reference),
                      state_.error.basis(),
                      state_.error.at(now),
                      judge(state_, state_.tac, now, demand),
                      foretell(state_, now, demand, false),
                      foretell(state_, now, demand, true)};
}

}  // namespace kokuin::tac
