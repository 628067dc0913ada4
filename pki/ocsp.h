// OCSP (RFC 6960) as values: requests, responses, and whether a response can be believed. Pure; thread-safe;
// no network. Written by ourselves over base/der.h, because Botan 2.19's OCSP::Response keeps neither the
// time nor the reason of a revocation, reads BER, and asks with SHA-1 only.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "pki/certificate.h"
#include "pki/hash.h"
#include "pki/reason.h"
#include "pki/sign_function.h"

namespace kokuin::pki {

/// Which certificate is meant (RFC 6960 4.1.1, CertID).
struct CertId {
    std::string algorithm;   ///< OID of the hash, dotted; may be one this project doesn't know
    Bytes issuer_name_hash;  ///< of the issuer's Name, DER
    Bytes issuer_key_hash;   ///< of the issuer's public key: the BIT STRING's octets, without its first
    Bytes serial;            ///< INTEGER content octets, as Certificate::serial()
    bool operator==(const CertId&) const = default;

    static CertId of(const Certificate& certificate, const Certificate& issuer, Hash hash);
    /// True if it means this certificate of this issuer; false too if the hash isn't known.
    [[nodiscard]] bool means(const Certificate& certificate, const Certificate& issuer) const;
};

/// SHA-1 of a certificate's public key as OCSP has it (RFC 6960 4.2.1, KeyHash), and with other hashes as
/// CertID::issuerKeyHash. Empty if the SubjectPublicKeyInfo can't be read.
Bytes key_hash(const Certificate& certificate, Hash hash);

/// What a client asks.
struct OcspRequest {
    std::vector<CertId> ids;  ///< at least one
    /// Value of the nonce extension (its OCTET STRING's content; RFC 8954); those who sign ahead of time
    /// ignore it.
    std::optional<Bytes> nonce;

    /// DER. RFC 9919 (which replaces RFC 5019) wants one id and no nonce, so that it may be asked by GET.
    [[nodiscard]] Bytes encode() const;
    /// Strict DER, nothing after it. A signature and the requestor's name are passed over. Error (no): no
    /// request, none of version 1, no id or more than 100, or an unknown critical extension.
    static Result<OcspRequest> decode(View der);
};

/// OCSPResponseStatus (RFC 6960 4.2.1).
enum class OcspStatus : std::uint8_t {
    successful = 0,
    malformed_request = 1,
    internal_error = 2,
    try_later = 3,
    signature_required = 5,
    unauthorized = 6,
};
std::string_view name(OcspStatus status);
/// The whole response that says only this; not for `successful`.
Bytes ocsp_refusal(OcspStatus status);

/// What a response says of one certificate.
struct SingleResponse {
    enum class State { good, revoked, unknown };
    CertId id;
    State state = State::unknown;
    WallTime revoked_at{};         ///< only if revoked
    std::optional<Reason> reason;  ///< only if revoked, and said
    WallTime this_update{};
    std::optional<WallTime> next_update;
};
/// "good", "revoked", "unknown".
std::string_view name(SingleResponse::State state);

/// ResponseData: what is signed.
struct OcspAnswer {
    /// Who signs: the DER Name, or the SHA-1 of the public key; one of the two is empty.
    Bytes responder_name;
    Bytes responder_key_hash;
    WallTime produced_at{};
    std::vector<SingleResponse> responses;
    std::optional<Bytes> nonce;
};

/// A whole response, DER: `answer` with times in whole seconds, signed; `certificates`: the delegated
/// responder's, none if the issuer itself signs. Only what `sign` says goes wrong.
Result<Bytes> make_ocsp_response(const OcspAnswer& answer, Hash hash, const SignFunction& sign,
                                 const std::vector<Certificate>& certificates = {});

/// How strictly check() looks.
struct OcspRules {
    /// How far the responder's clock may be from ours.
    nanoseconds tolerance = std::chrono::minutes(5);
    /// How long a response without nextUpdate counts, from its thisUpdate on.
    nanoseconds without_next = std::chrono::hours(24);
};
/// A verdict that can be believed.
struct OcspVerdict {
    SingleResponse response;
    /// The delegated responder that signed; nothing: the issuer itself did.
    std::optional<Certificate> delegate;
    /// True if somebody must still look whether `delegate` is revoked: its certificate doesn't say that
    /// nobody needs to (id-pkix-ocsp-nocheck, RFC 6960 4.2.2.2.1).
    bool delegate_unchecked = false;
    /// "CN=TSU 1 is revoked since 2026-11-26T12:00:00Z (keyCompromise)"; nothing unless revoked.
    [[nodiscard]] std::optional<std::string> revoked_text(const Certificate& certificate) const;
};

/// A response as it came; who signed it is judged when it is asked (check()). Immutable.
class OcspResponse {
  public:
    /// Strict DER, nothing after it. Error (no): no OCSP response, or one of another kind than
    /// id-pkix-ocsp-basic.
    static Result<OcspResponse> decode(View der);

    [[nodiscard]] OcspStatus status() const { return status_; }
    /// Only if status() is successful; not to be believed before check().
    [[nodiscard]] const OcspAnswer& answer() const { return answer_; }

    /// What it says of `certificate` at `at`. Believed is what is signed, with SHA-256 or better, by `issuer`
    /// itself, or by a certificate that comes with it, that `issuer` has issued directly for OCSP signing
    /// (id-kp-OCSPSigning, RFC 6960 4.2.2.2) and that is valid at `at`; and only from thisUpdate to
    /// nextUpdate. `issuer` must be the certificate's issuer, which the caller has validated. "unknown" is a
    /// verdict too. Error (no) that says why it counts for nothing.
    [[nodiscard]] Result<OcspVerdict> check(const Certificate& certificate, const Certificate& issuer,
                                            WallTime at, const OcspRules& rules = {}) const;

  private:
    OcspStatus status_ = OcspStatus::internal_error;
    OcspAnswer answer_;
    Bytes signed_;  // SEQUENCE of ResponseData, algorithm and signature, without the certificates
    std::vector<Bytes> certificates_;
};

}  // namespace kokuin::pki
