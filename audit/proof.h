// One token's proof as a file that needs no archive (C2SP tlog-proof): what was issued, where it stands in
// the tree, and the checkpoint that covers it.
#pragma once

#include <string>

#include "audit/token_check.h"
#include "audit/trust.h"
#include "base/bytes.h"
#include "base/result.h"
#include "store/reader.h"

namespace kokuin::audit {

/// Writes the proof of the token with this serial number against the newest checkpoint that covers it. The
/// `extra` of the file is DER: SEQUENCE { record OCTET STRING, blobs SEQUENCE OF OCTET STRING }, all blobs
/// that the record names. Error (no): no such token, or no checkpoint over it yet; (environment): the archive
/// is damaged.
Result<std::string> prove(const std::string& dir, View serial);

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
