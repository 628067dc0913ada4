// How wrong the clock could have been when a token was issued: computed again from the evidence that the
// archive keeps with it, not taken from the number that the server wrote. Pure.
#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "store/reader.h"
#include "tac/clock/basis.h"

namespace kokuin::audit {

/// What is kept of a clock's proof, and what comes of it.
struct ClockProof {
    tac::clock::Basis basis;
    tac::clock::Reading reading;  ///< that became genTime
    tac::clock::Bound bound;      ///< computed here
    /// Why the record's bound doesn't follow from its evidence; empty if it does.
    std::string objection;
};

/// Nothing: a record of version 1, which has no proof. Error (environment): what should be the evidence can't
/// be read.
Result<std::optional<ClockProof>> clock_proof(const store::Shown& shown);

/// ClockProof::objection for a record whose evidence is decoded already; empty too where it has none.
std::string clock_objection(const store::Issuance& issuance, const tac::clock::Basis& basis);

/// One sentence: how far the clock could have been off, and by which evidence, how old. `bound_us` is what
/// the record says; `proof` may be null.
std::string clock_sentence(std::int64_t bound_us, const ClockProof* proof);

}  // namespace kokuin::audit
