#include "tsa/audit_wish.h"

#include <algorithm>

namespace kokuin::tsa {
namespace {

/// Whether a new TAC can open the gate again. For any other cause an audit would only cost the TAA a
/// signature.
bool cured_by_tac(tac::Cause cause) {
    switch (cause) {
        case tac::Cause::stopped:
        case tac::Cause::slept:
        case tac::Cause::contradiction:
        case tac::Cause::no_tac:
        case tac::Cause::tac_not_yet:
        case tac::Cause::tac_ended:
        case tac::Cause::no_bound:
        case tac::Cause::bound:
            return true;
        // It stays revoked until a person has acted; the TAA comes by its schedule anyway.
        case tac::Cause::taa_revoked:
        case tac::Cause::suspended:
        case tac::Cause::key_revoked:
        case tac::Cause::unheard:
        case tac::Cause::leap_second:
        case tac::Cause::no_reference:
        case tac::Cause::key_not_yet:
        case tac::Cause::key_ended:
            return false;
    }
    return false;
}

/// Whether a TAC alone, fresh, can prove what is demanded: its uncertainty is the TAA's bound at least. By
/// some room, or it would be asked for again and again.
bool provable(const tac::Demand& demand) {
    constexpr nanoseconds room = milliseconds(10);
    return demand.accuracy - tac::clock::truncation(demand.gentime_digits) > tac::Rules().taa_bound + room;
}

}  // namespace

std::optional<std::string> audit_wish(const tac::Gate& gate, const tac::Demand& demand,
                                      const tac::clock::Reading& now, nanoseconds before) {
    const auto decision = gate.decide(now, demand);
    if (const auto* closed = std::get_if<tac::Closed>(&decision)) {
        if (!cured_by_tac(closed->cause)) return std::nullopt;
        // An order to stop holds for all; else who needs no TAC isn't helped by one.
        if (!demand.require_tac && closed->cause != tac::Cause::stopped) return std::nullopt;
        if (closed->cause == tac::Cause::bound && !provable(demand)) return std::nullopt;
        return "the gate is closed";
    }
    if (!demand.require_tac) return std::nullopt;
    // What TACs alone can't prove needs the reference; of the TAC only its life counts.
    const auto tac = gate.tac();
    const auto life =
        tac ? std::min<nanoseconds>(tac->valid_until - now.wall, tac->deadline - now.after) : nanoseconds(0);
    auto left = life;
    if (provable(demand))
        if (const auto needed = gate.tac_needed_at(now, demand))
            left = std::min<nanoseconds>(left, *needed - now.wall);
    if (left > before) return std::nullopt;
    return "the gate closes soon";
}

}  // namespace kokuin::tsa
