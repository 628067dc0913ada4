#include "audit/clock_proof.h"

#include <algorithm>
#include <limits>

#include "audit/present.h"

namespace kokuin::audit {
namespace {

using tac::clock::Basis;
using tac::clock::Bound;
using tac::clock::Source;

std::int64_t us_up(nanoseconds time) {
    return std::chrono::ceil<microseconds>(time).count();
}

/// What a basis says of one reading of the clocks.
struct Carried {
    tac::clock::Reading reading;
    Bound bound{};
    std::string objection{};
};

std::string objection_to(const store::Issuance& issuance, const Carried& proof) {
    // Microseconds that nanoseconds can hold.
    constexpr std::int64_t latest_us = 7'000'000'000'000'000;
    if (issuance.gen_time_us < 0 || issuance.gen_time_us > latest_us) return "genTime is out of range";
    const auto behind = proof.reading.wall - from_unix_us(issuance.gen_time_us);
    if (behind < nanoseconds(0) || behind >= seconds(1))
        return "the clock showed " + to_rfc3339(proof.reading.wall, 6) + ", which isn't genTime cut off";
    switch (proof.bound.state) {
        case Bound::State::known:
            break;
        case Bound::State::contradiction:
            return "the pieces of evidence exclude each other";
        case Bound::State::no_evidence:
        case Bound::State::slept:
            return "no evidence applies to that moment";
    }
    const auto least = us_up(proof.bound.largest() + behind);
    if (issuance.clock_bound_us < least)
        return "the evidence allows " + duration_text(least) + ", the record says " +
               duration_text(issuance.clock_bound_us);
    return "";
}

Carried carry(const store::Issuance& issuance, const Basis& basis) {
    const auto& kept = *issuance.clock;
    Carried proof;
    // What is beyond them is far beyond what can be carried as well.
    constexpr std::int64_t most = std::numeric_limits<std::int64_t>::max() / 2;
    proof.reading.before = MonoTime(nanoseconds(std::clamp(kept.m_ns, -most, most)));
    proof.reading.after = proof.reading.before + nanoseconds(std::clamp(kept.gap_ns, std::int64_t{0}, most));
    proof.reading.wall = WallTime(nanoseconds(kept.c_ns));
    proof.reading.asleep = {nanoseconds(kept.asleep_low_ns), nanoseconds(kept.asleep_high_ns)};
    if (!tac::clock::can_be_carried(proof.reading)) {
        proof.objection = "its reading of the clocks is out of range";
        return proof;
    }
    proof.bound = basis.at(proof.reading);
    proof.objection = objection_to(issuance, proof);
    return proof;
}

std::string ago(nanoseconds age) {
    const auto s = std::chrono::duration_cast<seconds>(age).count();
    if (s < 120) return std::to_string(s) + " s";
    if (s < 7200) return std::to_string(s / 60) + " min";
    return std::to_string(s / 3600) + " h " + std::to_string(s % 3600 / 60) + " min";
}

std::string said(const Basis::Piece& piece, const tac::clock::Reading& reading) {
    const auto& evidence = piece.evidence;
    const auto off = std::chrono::duration_cast<microseconds>(evidence.error).count();
    std::string text = evidence.source == Source::tac ? "an audit by the TAA" : "the independent reference";
    if (!evidence.note.empty()) text += " (" + evidence.note + ")";
    text += " had found it " + duration_text(off < 0 ? -off : off) + (off < 0 ? " behind" : " ahead") +
            ", +/- " + duration_text(us_up(evidence.uncertainty)) + ", ";
    const auto age = reading.before - evidence.at.after;
    // Evidence is published a moment after it was measured; a token in between has it the other way round.
    return text + (age < nanoseconds(0) ? ago(-age) + " after" : ago(age) + " before");
}

}  // namespace

Result<std::optional<ClockProof>> clock_proof(const store::Shown& shown) {
    const auto& issuance = shown.found.issuance();
    if (!issuance.clock || !shown.basis) return std::optional<ClockProof>();
    auto basis = Basis::decode(*shown.basis);
    if (!basis) return std::move(basis).error();
    auto [reading, bound, objection] = carry(issuance, *basis);
    return std::optional(ClockProof{std::move(*basis), reading, bound, std::move(objection)});
}

std::string clock_objection(const store::Issuance& issuance, const Basis& basis) {
    return issuance.clock ? carry(issuance, basis).objection : "";
}

std::string clock_sentence(std::int64_t bound_us, const ClockProof* proof) {
    std::string text = "When this token was issued, its clock could not have been more than " +
                       duration_text(bound_us) + " from UTC";
    if (!proof) return text + ".";
    if (!proof->objection.empty())
        return "The record says that the clock was right within " + duration_text(bound_us) +
               ", BUT ITS EVIDENCE DOESN'T PROVE IT: " + proof->objection + ".";
    const char* join = ": ";
    for (const auto source : {Source::reference, Source::tac}) {
        const auto* piece = proof->basis.newest(source, proof->reading);
        if (!piece) continue;
        text += join + said(*piece, proof->reading);
        join = "; ";
    }
    return text + ".";
}

}  // namespace kokuin::audit
