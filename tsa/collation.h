// Collation (照合, ARC-5): whoever holds a token asks whether this TSA has issued it, and gets its record
// back.
#pragma once

#include <string>

#include "base/net/router.h"
#include "base/time.h"
#include "tsa/holding.h"
#include "tsa/key_life.h"

namespace kokuin::tsa {

/// What it works with; all of it must outlive the router.
struct CollationParts {
    std::string archive;  ///< its folder
    const KeyLife& life;
    AlgorithmEnds ends{};
};

/// POST /collate: a token, a TimeStampResp or a VerifyReq (ISO/IEC 18014-1) in DER, at most 64 KiB, of any
/// media type. 200 whatever the result is; 503 if the archive can't be asked now. JSON:
/// - result: "matches" (the very octets that were issued) · "altered" (this serial number was issued, with
/// other
///   content) · "not-issued-here" · "removed" (no such record, and those of its time were removed after
///   theirs) · "malformed" (no token)
/// - detail: one line: what was found; of a malformed one at which octet
/// - differs: of an altered one what differs (tsp::differences)
/// - serial (hex): of the presented token; absent if malformed
/// and, where the serial number was issued here, of the record: gen_time, policy, imprint, imprint_algorithm,
/// tsu, record (number), clock_bound_us, token_sha256, tac ({serial, path} or null), holds_until (RFC 3339)
/// and holds_until_because (tsa/holding.h; ARC-13), key_compromised (when that was recorded, or null: then
/// the token holds no more), proof (a C2SP tlog-proof, text; null while no checkpoint covers it). A VerifyReq
/// is answered with a VerifyResp (application/octet-stream) unless the request accepts application/json:
/// granted if it matches, otherwise a rejection whose statusString is result and detail.
void add_collation_routes(net::Router& router, CollationParts parts);

}  // namespace kokuin::tsa
