#include "tsa/protocol/verify.h"

#include <algorithm>
#include <cstdlib>

#include "pki/foreign_signature.h"
#include "pki/path.h"
#include "pki/public_key.h"
#include "tsa/protocol/oids.h"

namespace kokuin::tsp {
namespace {

struct Finding {
    Outcome outcome;
    std::string text;
};

Finding passed(std::string text) {
    return {Outcome::passed, std::move(text)};
}
Finding flagged(std::string text) {
    return {Outcome::flagged, std::move(text)};
}
Finding failed(std::string text) {
    return {Outcome::failed, std::move(text)};
}
Finding skipped(std::string text) {
    return {Outcome::skipped, std::move(text)};
}

// SHA-1 still shows that nobody changed the token by accident, but no longer that nobody forged it.
Finding passed_with(pki::Hash hash, std::string text) {
    if (hash == pki::Hash::sha1) return flagged(std::move(text) + ", with SHA-1, which is broken");
    return passed(std::move(text));
}

Finding check_imprint(const Token& token, const Expectations& expected) {
    const auto hash = token.tst_info.hash();
    if (!hash) return failed("unknown hash algorithm " + token.tst_info.hash_oid);
    if (token.tst_info.imprint.size() != pki::length(*hash)) return failed("an imprint of the wrong length");
    if (!expected.imprint) return skipped("no data to compare with");
    if (!equal(token.tst_info.imprint, *expected.imprint)) return failed("the token is for other data");
    return passed_with(*hash, "the token is for this data");
}

Finding check_nonce(const Token& token, const Expectations& expected) {
    if (!expected.nonce) return skipped("no nonce to compare with");
    if (!token.tst_info.nonce) return failed("there is no nonce in the token");
    if (!equal(*token.tst_info.nonce, *expected.nonce)) return failed("another nonce than was sent");
    return passed("the nonce that was sent");
}

Finding check_policy(const Token& token, const Expectations& expected) {
    if (!expected.policy) return skipped("policy " + token.tst_info.policy);
    if (token.tst_info.policy != *expected.policy) {
        return failed("policy " + token.tst_info.policy + " instead of " + *expected.policy);
    }
    return passed("policy " + token.tst_info.policy);
}

Finding check_accuracy(const Token& token) {
    if (!token.tst_info.accuracy) return flagged("no accuracy stated; the policy may state one");
    return passed("accuracy " + std::to_string(token.tst_info.accuracy->count()) + " microseconds");
}

// Where a fault_of_…() says why something doesn't hold, nothing means that it does.
using Fault = std::optional<std::string>;

Fault fault_of_content_type(const Token& token) {
    if (token.content_type.empty()) return "no contentType attribute";
    if (token.content_type != oids::tst_info) return "contentType " + token.content_type;
    return {};
}

Finding check_content_type(const Token& token) {
    if (auto fault = fault_of_content_type(token)) return failed(std::move(*fault));
    return passed("id-ct-TSTInfo");
}

Fault fault_of_message_digest(const Token& token) {
    const auto hash = pki::hash_from_oid(token.digest_oid);
    if (!hash) return "unknown digest algorithm " + token.digest_oid;
    if (token.message_digest.empty()) return "no messageDigest attribute";
    if (!equal(pki::digest(*hash, token.tst_info_der), token.message_digest))
        return "messageDigest is not the digest of the TSTInfo";
    return {};
}

Finding check_message_digest(const Token& token) {
    if (auto fault = fault_of_message_digest(token)) return failed(std::move(*fault));
    return passed_with(*pki::hash_from_oid(token.digest_oid), "messageDigest is the digest of the TSTInfo");
}

bool names(const EssCertId& id, const pki::Certificate& certificate) {
    const auto hash = pki::hash_from_oid(id.hash_oid);
    if (!hash || !equal(certificate.digest(*hash), id.hash)) return false;
    if (!id.issuer_der.empty() && id.issuer_der != certificate.issuer_der()) return false;
    return id.serial.empty() || id.serial == certificate.serial();
}

bool names(const std::vector<EssCertId>& ids, const EmbeddedTac& tac) {
    return std::any_of(ids.begin(), ids.end(), [&](const EssCertId& id) {
        const auto hash = pki::hash_from_oid(id.hash_oid);
        return hash && equal(pki::digest(*hash, tac.der), id.hash);
    });
}

// RFC 5035 5.4: the first identifier is that of the signer's certificate.
Fault fault_of_binding(const Token& token, const pki::Certificate& signer) {
    if (!token.ess_v1 && !token.ess_v2) return "neither signingCertificate nor signingCertificateV2";
    if (token.ess_v1 && !names(token.ess_v1->front(), signer))
        return "signingCertificate names another certificate";
    if (token.ess_v2 && !names(token.ess_v2->front(), signer))
        return "signingCertificateV2 names another certificate";
    return {};
}

Finding check_binding(const Token& token, const pki::Certificate& signer) {
    if (auto fault = fault_of_binding(token, signer)) return failed(std::move(*fault));
    std::string text = token.ess_v1 && token.ess_v2 ? "signingCertificate and signingCertificateV2"
                       : token.ess_v1               ? "signingCertificate"
                                                    : "signingCertificateV2";
    text += token.ess_v1 && token.ess_v2 ? " name" : " names";
    text += " the signer's certificate";
    // In a signed attribute the TAC is bound by the signature itself, in certificates only by its identifier.
    for (const EmbeddedTac& tac : token.tacs) {
        if (tac.placement == name(EmbedTac::signer_attribute)) continue;
        const bool bound =
            (token.ess_v1 && names(*token.ess_v1, tac)) || (token.ess_v2 && names(*token.ess_v2, tac));
        if (!bound) return flagged(text + ", but nothing signed names the TAC in the token");
    }
    return token.ess_v2 ? passed(std::move(text)) : passed_with(pki::Hash::sha1, std::move(text));
}

// rsaEncryption leaves the hash to digestAlgorithm (RFC 3370 3.2).
std::optional<pki::Hash> hash_of_rsa_signature(const Token& token) {
    return token.signature_oid == oids::rsa_encryption
               ? pki::hash_from_oid(token.digest_oid)
               : pki::hash_from_rsa_signature_oid(token.signature_oid);
}

Fault fault_of_signature(const Token& token, const pki::PublicKey& key) {
    const auto hash = hash_of_rsa_signature(token);
    if (!hash)
        return "unknown signature algorithm " + token.signature_oid +
               " (RSA PKCS#1 v1.5, RSA-PSS and ECDSA are known)";
    if (!key.verify(*hash, token.signed_attributes, token.signature)) return "the signature is wrong";
    return {};
}

Finding check_signature(const Token& token, const pki::Certificate& signer) {
    if (const auto how = pki::ForeignSignature::read(token.signature_oid, token.signature_parameters))
        return how->verify(signer.spki(), token.signed_attributes, token.signature)
                   ? passed_with(how->hash, how->text())
                   : failed("the signature is wrong");
    const auto key = pki::PublicKey::from_certificate(signer);
    if (!key) return failed(key.error().text);
    if (auto fault = fault_of_signature(token, *key)) return failed(std::move(*fault));
    const pki::Hash hash = *hash_of_rsa_signature(token);
    return passed_with(hash, "RSA-" + std::to_string(key->bits()) + " with " + std::string(pki::name(hash)));
}

Finding check_key_usage(const pki::Certificate& signer) {
    if (!signer.is_time_stamping_only()) {
        return failed(
            "the certificate's extended key usage is not timeStamping alone and critical (RFC 3161 2.3)");
    }
    return passed("timeStamping alone, critical");
}

Finding check_certificate_time(const Token& token, const pki::Certificate& signer) {
    const WallTime at = token.tst_info.gen_time;
    const std::string validity =
        to_rfc3339(signer.not_before(), 0) + " to " + to_rfc3339(signer.not_after(), 0);
    const std::string text = "genTime " + to_rfc3339(at) + ", certificate valid from " + validity;
    return signer.valid_at(at) ? passed(text) : failed(text);
}

Finding check_chain(const Token& token, const Expectations& expected, const pki::Certificate& signer,
                    std::vector<pki::Certificate>& path) {
    if (expected.anchors.empty()) return failed("no trust anchor given");
    std::vector<pki::Certificate> intermediates = token.certificates;
    intermediates.insert(intermediates.end(), expected.more_certificates.begin(),
                         expected.more_certificates.end());
    pki::PathRules rules;
    rules.tolerate_weak = expected.tolerate_weak;
    auto found = pki::validate_path(signer, intermediates, expected.anchors, token.tst_info.gen_time, rules);
    if (!found) return failed(found.error().text);
    path = std::move(*found);
    return passed("signed under " + path.back().subject_text());
}

Finding check_holds_now(const Expectations& expected, const pki::Certificate& signer) {
    const std::string end = to_rfc3339(signer.not_after(), 0);
    if (!expected.now) return skipped("the token holds until " + end);
    if (*expected.now >= signer.not_after() + std::chrono::seconds{1})
        return failed("the token held until " + end);
    return passed("the token holds until " + end);
}

}  // namespace

std::string_view name(Check check) {
    switch (check) {
        case Check::imprint:
            return "imprint";
        case Check::nonce:
            return "nonce";
        case Check::policy:
            return "policy";
        case Check::accuracy:
            return "accuracy";
        case Check::content_type:
            return "content_type";
        case Check::message_digest:
            return "message_digest";
        case Check::signer:
            return "signer";
        case Check::certificate_binding:
            return "certificate_binding";
        case Check::signature:
            return "signature";
        case Check::key_usage:
            return "key_usage";
        case Check::certificate_time:
            return "certificate_time";
        case Check::chain:
            return "chain";
        case Check::holds_now:
            return "holds_now";
    }
    std::abort();
}

std::string_view name(Outcome outcome) {
    switch (outcome) {
        case Outcome::passed:
            return "passed";
        case Outcome::flagged:
            return "flagged";
        case Outcome::failed:
            return "failed";
        case Outcome::skipped:
            return "skipped";
    }
    std::abort();
}

bool Verification::ok() const {
    return std::none_of(checks.begin(), checks.end(),
                        [](const Checked& checked) { return checked.outcome == Outcome::failed; });
}

const Checked& Verification::of(Check check) const {
    for (const Checked& checked : checks) {
        if (checked.check == check) return checked;
    }
    std::abort();
}

Verification verify(const Token& token, const Expectations& expected) {
    Verification result;
    const auto add = [&](Check check, Finding finding) {
        result.checks.push_back({check, finding.outcome, std::move(finding.text)});
    };
    add(Check::imprint, check_imprint(token, expected));
    add(Check::nonce, check_nonce(token, expected));
    add(Check::policy, check_policy(token, expected));
    add(Check::accuracy, check_accuracy(token));
    add(Check::content_type, check_content_type(token));
    add(Check::message_digest, check_message_digest(token));

    result.signer = token.signer(expected.more_certificates);
    if (!result.signer) {
        add(Check::signer, failed("the signer's certificate is neither in the token nor given"));
        for (const Check check : {Check::certificate_binding, Check::signature, Check::key_usage,
                                  Check::certificate_time, Check::chain, Check::holds_now}) {
            add(check, skipped("without the signer's certificate"));
        }
        return result;
    }
    const pki::Certificate& signer = *result.signer;
    add(Check::signer, passed(signer.subject_text()));
    add(Check::certificate_binding, check_binding(token, signer));
    add(Check::signature, check_signature(token, signer));
    add(Check::key_usage, check_key_usage(signer));
    add(Check::certificate_time, check_certificate_time(token, signer));
    add(Check::chain, check_chain(token, expected, signer, result.path));
    add(Check::holds_now, check_holds_now(expected, signer));
    return result;
}

std::optional<std::string> find_fault(const Token& token, const pki::Certificate& signer,
                                      const pki::PublicKey& key) {
    if (auto fault = fault_of_content_type(token)) return fault;
    if (auto fault = fault_of_message_digest(token)) return fault;
    if (auto fault = fault_of_binding(token, signer)) return fault;
    return fault_of_signature(token, key);
}

std::optional<Bytes> imprint_of(const Token& token, View data) {
    const auto hash = token.tst_info.hash();
    if (!hash) return std::nullopt;
    return pki::digest(*hash, data);
}

}  // namespace kokuin::tsp
