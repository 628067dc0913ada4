// Checking a token's proof (store/prove.h) with no archive at all.
#pragma once

#include <string>

#include "audit/token_check.h"
#include "audit/trust.h"
#include "base/bytes.h"
#include "base/result.h"
#include "store/reader.h"

namespace kokuin::audit {

/// What a proof says, and what is wrong with it.
struct ProofReport {
    store::Shown shown;                 ///< segment: empty
    std::string origin;                 ///< of the log
    std::uint64_t size = 0;             ///< of its checkpoint
    std::vector<Objection> objections;  ///< empty: it holds, as far as anchored
    bool anchored = false;              ///< a trust file with log_keys and anchors was there
};
/// Checks a proof with no archive at all: inclusion, the checkpoint's signature by a log key of the trust
/// file, and the token as TokenCheck does (the state of its key excepted: that takes the archive). Without a
/// trust file nobody says whose signature the checkpoint must have. Error (usage): no proof file.
Result<ProofReport> check_proof(std::string_view file, const Trust* trust);

}  // namespace kokuin::audit
