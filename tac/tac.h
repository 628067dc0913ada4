// The time audit certificate (TAC) as a value: the attribute certificate of the Seiko policy, chapter 8
// (TAC-7). Pure; no I/O.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "pki/hash.h"
#include "tac/clock/bound.h"

namespace kokuin::tac {

/// OIDs of the profile.
inline constexpr std::string_view oid_timing_metrics = "1.3.6.1.4.1.601.10.4.1";
inline constexpr std::string_view oid_timing_policy = "1.3.6.1.4.1.601.10.4.2";

/// An AlgorithmIdentifier whose parameters are NULL or absent (both are met in the field; others are
/// malformed).
struct Algorithm {
    std::string oid;
    bool null_parameters = true;
    friend bool operator==(const Algorithm&, const Algorithm&) = default;
};
/// RSA PKCS#1 v1.5 with this hash, NULL parameters (RFC 8017 A.2.4).
Algorithm rsa_with(pki::Hash hash);
/// A hash function, without parameters (RFC 5754 2).
Algorithm plain(pki::Hash hash);

/// AuthorityKeyIdentifier (RFC 5280 4.2.1.1, IMPLICIT tags). The profile wants all three.
struct AuthorityKey {
    Bytes key_identifier;  ///< empty: absent
    Bytes issuer;          ///< DER Name of who issued the TAA's certificate; empty: absent
    Bytes serial;          ///< content octets of that certificate's INTEGER serial; empty: absent
    friend bool operator==(const AuthorityKey&, const AuthorityKey&) = default;
};

/// What a TAC says. Times are UTC by the TAA's clock, durations in µs.
struct Tac {
    Bytes holder_name;  ///< DER Name of the TSU (entityName, one directoryName)
    Algorithm digest_algorithm;
    Bytes holder_digest;  ///< digest of the whole TSU certificate, DER (objectDigestInfo, publicKeyCert)
    Bytes issuer_name;    ///< DER Name of the TAA (v2Form)
    Algorithm signature_algorithm;  ///< as inside the signed part
    Bytes serial;           ///< INTEGER content octets; real ones are negative or zero-padded at times
    WallTime not_before{};  ///< whole seconds
    WallTime not_after{};
    WallTime ntp_time{};     ///< the audit: middle of T1 and T4 of the sample that counts
    microseconds offset{0};  ///< as written; ours: TSU − TAA, + = TSU ahead
    microseconds delay{0};   ///< network delay there and back
    WallTime expiration{};
    std::vector<clock::LeapSecond> leap_events;
    std::vector<std::string> policies;  ///< dotted OIDs, at least one
    std::optional<microseconds> max_offset;
    std::optional<microseconds> max_delay;
    std::optional<AuthorityKey> authority_key;  ///< absent in real ones
    bool no_rev_avail = false;                  ///< absent in real ones, TAC-6
    std::vector<std::string>
        unknown_critical;  ///< OIDs of critical extensions that mean nothing to us; never encoded

    friend bool operator==(const Tac&, const Tac&) = default;
};

/// A TAC with the octets it came in.
struct SignedTac {
    Tac tac;
    Algorithm outer_algorithm;  ///< beside the signature; must equal tac.signature_algorithm
    Bytes der;                  ///< all of it
    Bytes info;                 ///< AttributeCertificateInfo exactly as received: what is signed
    Bytes signature;
};

/// Sets the four times of a TAC so that they agree: ntpTime and expiration to whole µs, notBefore and
/// notAfter to the seconds they lie in. A life of 0 makes an order to stop (design section 3).
void set_validity(Tac& tac, WallTime audited, nanoseconds life);

/// The AttributeCertificateInfo in strict DER: what the TAA signs. Refuses (Error::usage) what our profile
/// doesn't have: SHA-1, an unknown digest length, a serial that isn't positive or beyond 20 octets, no
/// policy, missing AKI or noRevAvail, a negative delay or limit, times that disagree.
Result<Bytes> encode_info(const Tac& tac);
/// The AttributeCertificate: info, algorithm, signature (BIT STRING).
Bytes assemble(View info, const Algorithm& algorithm, View signature);

/// Reads a TAC, ours or one from the field: non-minimal INTEGERs, seconds ≥ 2³¹ as negative four-byte ones,
/// negative serials, no extensions. All else is strict DER of at most 16 KB. The error names octet and field.
Result<SignedTac> decode(View der);

/// Serial for people, URLs and JSON: its octets in lower-case hex without leading zeros ("0" if it is zero).
std::string serial_hex(View serial);

}  // namespace kokuin::tac
