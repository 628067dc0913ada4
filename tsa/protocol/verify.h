// Verification of a token by its receiver (TSA-12; RFC 3161 2.2 and 2.3), as a list of named checks.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/time.h"
#include "pki/certificate.h"
#include "pki/public_key.h"
#include "tsa/protocol/token.h"

namespace kokuin::tsp {

enum class Check {
    imprint,              ///< messageImprint is the hash of the data
    nonce,                ///< nonce is the one that was sent
    policy,               ///< policy is the one that was asked for
    accuracy,             ///< an accuracy is stated
    content_type,         ///< signed attribute contentType is id-ct-TSTInfo, once
    message_digest,       ///< signed attribute messageDigest is the digest of the TSTInfo
    signer,               ///< the signer's certificate is there
    certificate_binding,  ///< signingCertificate / signingCertificateV2 name that certificate (all that are
                          ///< present)
    signature,            ///< RSA PKCS#1 v1.5, RSA-PSS or ECDSA, over the signed attributes
    key_usage,            ///< the one extended key usage is timeStamping, critical (RFC 3161 2.3)
    certificate_time,     ///< genTime is inside the certificate's validity
    chain,                ///< certification path to a trust anchor at genTime
    holds_now,            ///< the certificate has not ended since: a token holds until then (KEY-7)
};
/// Stable identifier for machines: "imprint", "certificate_binding", …
std::string_view name(Check check);

enum class Outcome {
    passed,
    flagged,  ///< passed, with something a careful reader should know (SHA-1, no accuracy)
    failed,
    skipped,  ///< nothing to compare with, or an earlier failure leaves nothing to look at
};
std::string_view name(Outcome outcome);

struct Checked {
    Check check;
    Outcome outcome;
    std::string text;  ///< one line for people: what was found
};

/// What the receiver knows. What isn't given isn't checked (`skipped`), except the chain, which fails without
/// anchors.
struct Expectations {
    std::optional<Bytes>
        imprint{};  ///< the digest of the data, under the token's hash algorithm (see imprint_of)
    std::optional<Bytes> nonce{};         ///< content octets
    std::optional<std::string> policy{};  ///< dotted
    std::vector<pki::Certificate> anchors{};
    std::vector<pki::Certificate> more_certificates{};  ///< beside those in the token: signer, intermediates
    std::optional<WallTime> now{};                      ///< for holds_now
    bool tolerate_weak = false;  ///< SHA-1 and short keys in the chain (pki::PathRules)
};

struct Verification {
    std::vector<Checked> checks;             ///< every Check once, in the order above
    std::optional<pki::Certificate> signer;  ///< if it was found
    std::vector<pki::Certificate> path;      ///< signer … anchor, if there is one

    /// True if no check failed.
    [[nodiscard]] bool ok() const;
    [[nodiscard]] const Checked& of(Check check) const;
};

/// All checks, whatever fails. The TAC in the token isn't judged here. Pure and thread-safe.
Verification verify(const Token& token, const Expectations& expected);

/// Why the token isn't one that this signer made: the first of Check::content_type, message_digest,
/// certificate_binding and signature that fails; nothing if all hold. `key` is the signer's, prepared once
/// for many tokens. Pure and thread-safe.
std::optional<std::string> find_fault(const Token& token, const pki::Certificate& signer,
                                      const pki::PublicKey& key);

/// The imprint that `data` should have in this token; nothing if its hash algorithm is unknown.
std::optional<Bytes> imprint_of(const Token& token, View data);

}  // namespace kokuin::tsp
