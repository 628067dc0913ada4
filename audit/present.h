// How tsaudit shows what it finds: one JSON object per line for machines, text for people. Pure.
#pragma once

#include <string>
#include <string_view>

#include "store/reader.h"
#include "tac/explain.h"

namespace kokuin::audit {

/// "sha256" and the like; an OID we have no name for stays an OID.
std::string hash_name(std::string_view oid);
/// genTime for JSON and people: RFC 3339, UTC, three fractional digits, six if the record knows that many.
std::string time_text(std::int64_t us);
/// µs as seconds or milliseconds with a unit: "31.234 ms", "1.500000 s".
std::string duration_text(std::int64_t us);

/// Keys of design section 7 (serial, gen_time, policy, imprint, imprint_algorithm, tsu, tac, clock_bound_us,
/// segment) and `number`. One line, no line end.
std::string find_json(const store::Found& found);
/// As find_json, and: clock_proof ("holds": the bound was computed again from the evidence and is right;
/// "fails: …"; "none" in records of version 1), clock_evidence (source, applies, offset_us, uncertainty_us,
/// measured_at, age_us, drift_ppm, drift_uncertainty_ppm, note), at, certificate, certificate_subject,
/// tac_sha256, token_sha256, token_octets.
std::string show_json(const store::Shown& shown);
/// number, at, kind, subject, text, fields (octets as hex), blobs (SHA-256, hex), segment.
std::string event_json(const store::Found& found);
/// Keys of design section 7 and the rest of Explanation; `placement`: "signer-attribute", "certificates-v1",
/// "certificates-v2", or "file" for a TAC by itself.
std::string tac_json(const tac::Explanation& tac, std::string_view placement);

/// One line for a list.
std::string find_text(const store::Found& found);
/// All of it, several lines; says in one sentence how wrong the clock could have been.
std::string show_text(const store::Shown& shown);
std::string event_text(const store::Found& found);
std::string tac_text(const tac::Explanation& tac, std::string_view placement);

}  // namespace kokuin::audit
