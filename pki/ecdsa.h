// ECDSA signatures of other people's time-stamps. Nothing of ours is signed so (TSA-3).
#pragma once

#include <optional>
#include <string_view>

#include "base/bytes.h"
#include "pki/hash.h"

namespace kokuin::pki {

/// The hash of this "ecdsa-with-SHA…" OID (RFC 5758 3.2); nothing if it is none.
std::optional<Hash> hash_from_ecdsa_signature_oid(std::string_view dotted);

/// True if `signature` (DER, RFC 5480) is that of `message` with this hash under the key of a DER
/// SubjectPublicKeyInfo. False for anything else: another kind of key, a curve below 224 bits, a signature
/// that can't be read. Thread-safe.
bool verify_ecdsa(View spki, Hash hash, View message, View signature);

}  // namespace kokuin::pki
