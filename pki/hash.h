// The hash functions this project knows, their OIDs and names.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"

namespace kokuin::pki {

/// SHA-1 is known only so that foreign tokens and TACs can be read, and because signingCertificate v1 (RFC
/// 2634) has no other; nothing of ours is signed over it.
enum class Hash { sha1, sha256, sha384, sha512 };

/// Length of the digest in octets: 20, 32, 48, 64.
std::size_t length(Hash hash);
/// The digest of a message. Thread-safe.
Bytes digest(Hash hash, View message);
/// As digest(), without allocating: `out` has exactly length(hash) octets (otherwise the process ends).
void digest(Hash hash, View message, std::span<std::uint8_t> out);

/// Dotted OID of the hash function (2.16.840.1.101.3.4.2.1 for SHA-256).
std::string_view oid(Hash hash);
/// Dotted OID of RSA PKCS#1 v1.5 with this hash (1.2.840.113549.1.1.13 for SHA-512; RFC 8017 appendix C).
std::string_view rsa_signature_oid(Hash hash);
/// "sha1", "sha256", "sha384", "sha512": as in configurations.
std::string_view name(Hash hash);

/// The hash with this OID; nothing if it is none of ours.
std::optional<Hash> hash_from_oid(std::string_view dotted);
/// The hash of this "…WithRSAEncryption" OID; nothing for rsaEncryption itself and for all others.
std::optional<Hash> hash_from_rsa_signature_oid(std::string_view dotted);
/// Reads "sha256", "SHA-256", "SHA256" and the like.
std::optional<Hash> hash_from_name(std::string_view text);

}  // namespace kokuin::pki
