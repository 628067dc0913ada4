// TimeStampToken: CMS SignedData (RFC 5652) around a TSTInfo, written after TSA-7 and read from anywhere.
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "pki/certificate.h"
#include "pki/hash.h"
#include "tsa/protocol/policy.h"
#include "tsa/protocol/tst_info.h"

namespace kokuin::tsp {

/// What all tokens of one TSU under one policy, with one TAC, have in common.
struct TokenOptions {
    pki::Certificate signer;                ///< of the TSU; its key is RSA
    std::vector<pki::Certificate> chain{};  ///< put beside it when certificates are asked for; may be empty
    EssForm ess = EssForm::both;
    EmbedTac embed_tac = EmbedTac::none;
    Bytes tac{};  ///< AttributeCertificate, DER (0x30 …); must be there unless embed_tac is none
};

/// Writes tokens. Built once for each (TSU, policy, TAC, certReq); everything but the TSTInfo, its digest and
/// the signature is encoded when it is built, so that a token costs two allocations here. Immutable and
/// thread-safe.
///   signed_attributes(info) → sign with RSA PKCS#1 v1.5 SHA-512 → assemble(info, attributes, signature)
class TokenProfile {
  public:
    /// `cert_req` as in the request: without it there is no `certificates` field (RFC 3161 2.4.1), so that
    /// only signer_attribute embeds the TAC. The error says what of the options doesn't fit together.
    static Result<TokenProfile> create(const TokenOptions& options, bool cert_req);

    /// The signed attributes as the DER SET OF (0x31 …) that the signature covers (RFC 5652 5.4):
    /// contentType, messageDigest (SHA-512 of the TSTInfo), signingCertificate and/or signingCertificateV2,
    /// and signer-attributes where the TAC goes there. Where the TAC goes into `certificates` each
    /// signing-certificate attribute has a second identifier: the hash of the TAC re-tagged 0x30.
    [[nodiscard]] Bytes signed_attributes(View tst_info) const;

    /// The token: ContentInfo, DER. `signed_attributes` is what signed_attributes() gave for this TSTInfo,
    /// `signature` the signature over it.
    [[nodiscard]] Bytes assemble(View tst_info, View signed_attributes, View signature) const;

    /// The content of the `certificates` field (sorted as a DER SET OF), without its header; empty without
    /// certReq. The archive keeps its parts as blobs.
    [[nodiscard]] View certificates() const { return certificates_; }
    /// True if tokens of this profile carry the TAC.
    [[nodiscard]] bool embeds_tac() const { return embeds_tac_; }

  private:
    TokenProfile() = default;

    Bytes attributes_;           // the whole SET OF, digest octets zero
    std::size_t digest_at_ = 0;  // where in it the digest goes
    Bytes certificates_;         // content of [0]
    Bytes before_content_;       // version, digestAlgorithms
    Bytes before_attributes_;    // SignerInfo: version, sid, digestAlgorithm
    Bytes signature_algorithm_;
    bool embeds_tac_ = false;
};

/// ESSCertID (RFC 2634 5.4) or ESSCertIDv2 (RFC 5035 3).
struct EssCertId {
    std::string hash_oid;  ///< SHA-1 for v1
    Bytes hash;
    Bytes issuer_der;  ///< Name in issuerSerial; empty if there is none
    Bytes serial;      ///< INTEGER content octets in issuerSerial; empty if there is none
};

struct EmbeddedTac {
    Bytes der;  ///< AttributeCertificate re-tagged to 0x30: what TAC tools read and hashes cover
    std::string_view placement;  ///< "signer-attribute", "certificates-v1" or "certificates-v2"
};

/// A token as read. Whether anything in it is true is for verify() (verify.h).
struct Token {
    Bytes der;  ///< the ContentInfo
    int version = 0;
    Bytes tst_info_der;  ///< eContent
    TstInfo tst_info;
    std::vector<pki::Certificate> certificates;  ///< as in the token; those that can't be read are left out
    std::vector<EmbeddedTac> tacs;  ///< attribute certificates, in the order they stand in the token

    // The one SignerInfo. It names its certificate either by issuer and serial or by key identifier.
    Bytes signer_issuer_der;
    Bytes signer_serial;  ///< INTEGER content octets
    Bytes signer_key_id;  ///< subjectKeyIdentifier; empty if named by issuer and serial
    std::string digest_oid;
    std::string signature_oid;
    Bytes
        signature_parameters;  ///< the element behind that OID; empty: none, or NULL behind one that is known
    Bytes signed_attributes;   ///< DER SET OF (0x31 …): what the signature covers
    Bytes signature;

    // From the signed attributes; empty or nothing if absent.
    std::string content_type;
    Bytes message_digest;
    std::optional<std::vector<EssCertId>> ess_v1;
    std::optional<std::vector<EssCertId>> ess_v2;
    std::vector<std::string> other_attributes;  ///< OIDs of the rest

    /// The signer's certificate among `certificates` and `more`; nothing if it isn't there.
    [[nodiscard]] std::optional<pki::Certificate> signer(
        const std::vector<pki::Certificate>& more = {}) const;
    /// The TAC, if the token carries one: the first attribute certificate.
    [[nodiscard]] const EmbeddedTac* tac() const { return tacs.empty() ? nullptr : &tacs.front(); }
};

/// Reads a TimeStampToken, ours or a foreign one (tokens since 2005 are tested). Definite lengths throughout;
/// integers may be longer than needed. Refused: anything that isn't SignedData with id-ct-TSTInfo, exactly
/// one SignerInfo (RFC 3161 2.4.2) and signed attributes. Takes anything.
/// `certificates`: where many tokens of a signer who is known are read, theirs needn't be.
enum class TokenCertificates { read, skip };
Result<Token> parse_token(View der, TokenCertificates certificates = TokenCertificates::read);

/// Reads tokens one after the other, each as parse_token() does. Those of one signer differ in what they say
/// and in their signature alone: whatever else is octet for octet that of a token that was read before isn't
/// parsed again, since it would say the same. One thread at a time.
class TokenParser {
  public:
    explicit TokenParser(TokenCertificates certificates);
    ~TokenParser();
    TokenParser(TokenParser&&) noexcept;
    /// Valid until the next call. Errors: those of parse_token().
    Result<const Token*> read(View der);

  private:
    struct Known;
    TokenCertificates certificates_;
    std::map<std::size_t, Known> known_;  // by length, which says nearly always which one is alike
};

/// As parse_token(), but also takes a granted TimeStampResp (as files in the field hold either).
Result<Token> parse_token_or_response(View der);

}  // namespace kokuin::tsp
