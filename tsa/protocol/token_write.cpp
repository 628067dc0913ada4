// Writing tokens: TokenProfile.
#include <algorithm>
#include <array>

#include "base/der.h"
#include "pki/public_key.h"
#include "tsa/protocol/backward.h"
#include "tsa/protocol/oids.h"
#include "tsa/protocol/token.h"

namespace kokuin::tsp {
namespace {

constexpr pki::Hash token_hash = pki::Hash::sha512;  // TSA-3, TSA-7

Bytes attribute(std::string_view oid, View value) {
    return der::sequence({der::oid(oid), der::tlv(der::set_tag, value)});
}

// IssuerSerial ::= SEQUENCE { issuer GeneralNames, serialNumber } (RFC 5035 5), the issuer as directoryName
// [4].
Bytes issuer_serial(const pki::Certificate& certificate) {
    const Bytes name = der::tlv(der::context(4, true), certificate.issuer_der());
    return der::sequence({der::sequence({name}), der::integer_octets(certificate.serial())});
}

// SigningCertificate ::= SEQUENCE { certs SEQUENCE OF ESSCertID, … } (RFC 2634 5.4); SigningCertificateV2
// looks the same as long as its hash is SHA-256, the DEFAULT that DER leaves out (RFC 5035 3). The TAC's
// identifier has no issuerSerial, as in the tokens of the field.
Bytes signing_certificate(pki::Hash hash, const pki::Certificate& signer, const Bytes* tac) {
    Bytes ids = der::sequence({der::octets(signer.digest(hash)), issuer_serial(signer)});
    if (tac) append(ids, der::sequence({der::octets(pki::digest(hash, *tac))}));
    return der::sequence({der::tlv(der::sequence_tag, ids)});
}

bool is_one_sequence(View der_octets) {
    der::Reader in(der_octets);
    in.expect(der::sequence_tag, "");
    in.finish("");
    return !in.failed();
}

}  // namespace

Result<TokenProfile> TokenProfile::create(const TokenOptions& options, bool cert_req) {
    const bool in_attribute = options.embed_tac == EmbedTac::signer_attribute;
    const bool in_certificates = cert_req && (options.embed_tac == EmbedTac::certificates_v1 ||
                                              options.embed_tac == EmbedTac::certificates_v2);
    if (options.embed_tac != EmbedTac::none && !is_one_sequence(options.tac)) {
        return Error::usage("token profile: embed_tac = " + std::string(name(options.embed_tac)) +
                            " needs a TAC, one DER SEQUENCE");
    }
    if (auto key = pki::PublicKey::from_certificate(options.signer); !key) return std::move(key).error();

    TokenProfile profile;
    profile.embeds_tac_ = in_attribute || in_certificates;

    // Signed attributes. Their order (X.690 11.6) is decided by lengths and OIDs, never by the digest, so it
    // is the same for all tokens.
    const Bytes digest_attribute =
        attribute(oids::message_digest, der::octets(Bytes(pki::length(token_hash))));
    std::vector<Bytes> attributes{attribute(oids::content_type, der::oid(oids::tst_info)), digest_attribute};
    const Bytes* tac = in_certificates ? &options.tac : nullptr;
    if (options.ess != EssForm::v2) {
        attributes.push_back(
            attribute(oids::signing_certificate, signing_certificate(pki::Hash::sha1, options.signer, tac)));
    }
    if (options.ess != EssForm::v1) {
        attributes.push_back(attribute(oids::signing_certificate_v2,
                                       signing_certificate(pki::Hash::sha256, options.signer, tac)));
    }
    if (in_attribute) {
        // SignerAttribute ::= SEQUENCE OF CHOICE { …, certifiedAttributes [1] AttributeCertificate }:
        // EXPLICIT TAGS (RFC 5126 5.11.3 and A.1).
        attributes.push_back(
            attribute(oids::signer_attribute, der::sequence({der::tlv(der::context(1, true), options.tac)})));
    }
    profile.attributes_ = der::set_of(std::move(attributes));
    const auto found = std::search(profile.attributes_.begin(), profile.attributes_.end(),
                                   digest_attribute.begin(), digest_attribute.end());
    profile.digest_at_ = static_cast<std::size_t>(found - profile.attributes_.begin()) +
                         digest_attribute.size() - pki::length(token_hash);

    // certificates [0] IMPLICIT SET OF CertificateChoices (RFC 5652 10.2.2): sorted, each once.
    if (cert_req) {
        std::vector<Bytes> choices;
        const auto add = [&](View octets) {
            Bytes choice(octets.begin(), octets.end());
            if (std::find(choices.begin(), choices.end(), choice) == choices.end())
                choices.push_back(std::move(choice));
        };
        add(options.signer.der());
        for (const pki::Certificate& certificate : options.chain) add(certificate.der());
        if (in_certificates) {
            Bytes tagged = options.tac;
            tagged[0] = der::context(options.embed_tac == EmbedTac::certificates_v1 ? 1 : 2, true);
            add(tagged);
        }
        std::sort(choices.begin(), choices.end());
        for (const Bytes& choice : choices) append(profile.certificates_, choice);
    }

    // RFC 5652 5.1: 4 with a version 2 attribute certificate, otherwise 3 (eContentType is not id-data).
    const bool v2_certificate = in_certificates && options.embed_tac == EmbedTac::certificates_v2;
    const Bytes digest_algorithm = der::algorithm(pki::oid(token_hash), true);
    profile.before_content_ = der::integer(v2_certificate ? 4 : 3);
    append(profile.before_content_, der::tlv(der::set_tag, digest_algorithm));
    // SignerInfo version 1: issuerAndSerialNumber (RFC 5652 5.3).
    profile.before_attributes_ = der::integer(1);
    append(profile.before_attributes_,
           der::sequence({options.signer.issuer_der(), der::integer_octets(options.signer.serial())}));
    append(profile.before_attributes_, digest_algorithm);
    profile.signature_algorithm_ = der::algorithm(pki::rsa_signature_oid(token_hash), true);
    return profile;
}

Bytes TokenProfile::signed_attributes(View tst_info) const {
    Bytes out = attributes_;
    pki::digest(token_hash, tst_info, std::span(out).subspan(digest_at_, pki::length(token_hash)));
    return out;
}

Bytes TokenProfile::assemble(View tst_info, View attributes, View signature) const {
    static const Bytes content_type = der::oid(oids::tst_info);
    static const Bytes signed_data = der::oid(oids::signed_data);
    Backward out(256 + tst_info.size() + attributes.size() + signature.size() + certificates_.size() +
                 before_content_.size() + before_attributes_.size());
    // signerInfos
    out.element(der::octet_string, signature);
    out.put(signature_algorithm_);
    // signedAttrs [0] IMPLICIT here, SET OF where it is signed (RFC 5652 5.4): only the identifier octet
    // differs.
    out.put(attributes.subspan(1));
    out.put(der::context(0, true));
    out.put(before_attributes_);
    out.wrap(der::sequence_tag, 0);
    out.wrap(der::set_tag, 0);
    if (!certificates_.empty()) out.element(der::context(0, true), certificates_);
    // encapContentInfo
    const std::size_t mark = out.written();
    out.element(der::octet_string, tst_info);
    out.wrap(der::context(0, true), mark);
    out.put(content_type);
    out.wrap(der::sequence_tag, mark);
    out.put(before_content_);
    out.wrap(der::sequence_tag, 0);
    out.wrap(der::context(0, true), 0);
    out.put(signed_data);
    out.wrap(der::sequence_tag, 0);
    return out.take();
}

}  // namespace kokuin::tsp
