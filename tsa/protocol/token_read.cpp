// Reading tokens, ours and foreign ones.
#include <botan/x509cert.h>

#include <algorithm>

#include "base/der.h"
#include "tsa/protocol/oids.h"
#include "tsa/protocol/response.h"
#include "tsa/protocol/token.h"

namespace kokuin::tsp {
namespace {

constexpr const char* no_token = "not a time-stamp token";

/// Octets of a token: the first one's number, and how many.
struct Range {
    std::size_t begin = 0;
    std::size_t length = 0;
    [[nodiscard]] std::size_t end() const { return begin + length; }
    [[nodiscard]] View of(View token) const { return token.subspan(begin, length); }
};

/// Where the values stand that differ between tokens of one signer, in the token's order.
struct Places {
    Range tst_info;
    Range attributes;      // signedAttrs, the whole element
    Range message_digest;  // in them; no octets: there is none
    Range signature;
};

Range range_in(View token, View octets) {
    if (octets.empty()) return {};
    return {static_cast<std::size_t>(octets.data() - token.data()), octets.size()};
}

Bytes copy(View octets) {
    return {octets.begin(), octets.end()};
}

Bytes retagged(View element) {
    Bytes out = copy(element);
    if (!out.empty()) out[0] = der::sequence_tag;
    return out;
}

// The same number may be encoded longer than needed in one of two places.
View minimal(View content) {
    while (content.size() > 1 && ((content[0] == 0x00 && (content[1] & 0x80U) == 0) ||
                                  (content[0] == 0xff && (content[1] & 0x80U) != 0))) {
        content = content.subspan(1);
    }
    return content;
}

// An AlgorithmIdentifier. Those that verify() knows have NULL as parameters, or none (RFC 5754 2, RFC 8017
// A.2.4); of others at most one element is taken, into `parameters`.
std::string read_algorithm(der::Reader& in, std::string_view what, Bytes* parameters = nullptr) {
    der::Reader fields = in.enter(der::sequence_tag, what);
    const std::string oid = fields.read_oid(what);
    const bool known =
        pki::hash_from_oid(oid) || pki::hash_from_rsa_signature_oid(oid) || oid == oids::rsa_encryption;
    if (!fields.at_end()) {
        if (known)
            fields.read_null("the parameters of " + oid);
        else if (const auto element = fields.any(); parameters)
            *parameters = copy(element.whole);
    }
    fields.finish(what);
    return oid;
}

EssCertId read_ess_id(der::Reader& in, bool v2) {
    der::Reader fields = in.enter(der::sequence_tag, "certificate identifier");
    EssCertId id;
    id.hash_oid = pki::oid(v2 ? pki::Hash::sha256 : pki::Hash::sha1);
    if (v2 && fields.next_is(der::sequence_tag)) id.hash_oid = read_algorithm(fields, "hashAlgorithm");
    id.hash = fields.read_octets("certHash");
    if (fields.next_is(der::sequence_tag)) {
        der::Reader issuer_serial = fields.enter(der::sequence_tag, "issuerSerial");
        der::Reader names = issuer_serial.enter(der::sequence_tag, "issuer");
        while (!names.at_end()) {
            const der::Element general_name = names.any();
            if (general_name.tag == der::context(4, true)) id.issuer_der = copy(general_name.content);
        }
        id.serial = issuer_serial.read_integer("serialNumber");
    }
    fields.finish("certificate identifier");
    return id;
}

std::vector<EssCertId> read_ess(der::Reader& value, bool v2) {
    der::Reader signing_certificate = value.enter(der::sequence_tag, "signing certificate");
    der::Reader ids = signing_certificate.enter(der::sequence_tag, "certs");
    std::vector<EssCertId> all;
    while (!ids.at_end()) all.push_back(read_ess_id(ids, v2));
    if (all.empty()) ids.fail("no certificate identifier");
    return all;
}

// The attribute certificates in a SignerAttribute (RFC 5126 5.11.3). Its tags are EXPLICIT; writers that took
// them for IMPLICIT exist, and their content is told apart by its three elements.
std::vector<Bytes> certified_attributes(View value) {
    std::vector<Bytes> all;
    der::Reader in(value, der::Integers::tolerate_long);
    der::Reader choices = in.enter(der::sequence_tag, "SignerAttribute");
    while (!choices.at_end()) {
        const der::Element choice = choices.any();
        if (choice.tag != der::context(1, true)) continue;
        der::Reader inside(choice.content, der::Integers::tolerate_long);
        const der::Element first = inside.any();
        if (inside.failed() || first.tag != der::sequence_tag) continue;
        all.push_back(inside.at_end() ? copy(first.whole) : retagged(choice.whole));
    }
    return all;
}

/// `digest`: the octets of messageDigest, where they stand.
void read_attributes(der::Reader& set, Token& token, std::vector<Bytes>& certified, View& digest) {
    std::vector<std::string> seen;
    while (!set.at_end()) {
        der::Reader attribute = set.enter(der::sequence_tag, "signed attribute");
        const std::string oid = attribute.read_oid("attribute type");
        der::Reader values = attribute.enter(der::set_tag, "attribute values");
        attribute.finish("signed attribute");
        if (set.failed()) return;
        // RFC 5652 11.1 and 11.2, RFC 5035 3: each at most once.
        if (std::find(seen.begin(), seen.end(), oid) != seen.end())
            set.fail("signed attribute " + oid + " twice");
        seen.push_back(oid);

        bool single = true;
        if (oid == oids::content_type) {
            token.content_type = values.read_oid("contentType");
        } else if (oid == oids::message_digest) {
            digest = values.expect(der::octet_string, "messageDigest").content;
            token.message_digest = copy(digest);
        } else if (oid == oids::signing_certificate) {
            token.ess_v1 = read_ess(values, false);
        } else if (oid == oids::signing_certificate_v2) {
            token.ess_v2 = read_ess(values, true);
        } else {
            token.other_attributes.push_back(oid);
            if (oid == oids::signer_attribute) {
                while (!values.at_end()) {
                    for (Bytes& der : certified_attributes(values.any().whole))
                        certified.push_back(std::move(der));
                }
            }
            single = false;
        }
        if (single) values.finish("the one value of signed attribute " + oid);
    }
}

void read_certificates(der::Reader& in, Token& token, TokenCertificates which) {
    while (!in.at_end()) {
        const der::Element choice = in.any();
        if (in.failed()) return;
        if (choice.tag == der::sequence_tag) {
            if (which == TokenCertificates::skip) continue;
            if (auto certificate = pki::Certificate::from_der(choice.whole))
                token.certificates.push_back(std::move(*certificate));
        } else if (choice.tag == der::context(1, true)) {
            token.tacs.push_back({retagged(choice.whole), name(EmbedTac::certificates_v1)});
        } else if (choice.tag == der::context(2, true)) {
            token.tacs.push_back({retagged(choice.whole), name(EmbedTac::certificates_v2)});
        }
    }
}

void read_signer(der::Reader& infos, Token& token, Places& places) {
    der::Reader signer = infos.enter(der::sequence_tag, "SignerInfo");
    infos.finish("the one SignerInfo");  // RFC 3161 2.4.2: no signature but the TSA's
    signer.read_int64("SignerInfo version");
    if (signer.next_is(der::context(0, false))) {
        token.signer_key_id = copy(signer.any().content);
    } else {
        der::Reader issuer_and_serial = signer.enter(der::sequence_tag, "signer identifier");
        token.signer_issuer_der = copy(issuer_and_serial.expect(der::sequence_tag, "issuer").whole);
        token.signer_serial = issuer_and_serial.read_integer("serialNumber");
        issuer_and_serial.finish("signer identifier");
    }
    token.digest_oid = read_algorithm(signer, "digestAlgorithm");
    const der::Element attributes = signer.expect(der::context(0, true), "signedAttrs");
    token.signature_oid = read_algorithm(signer, "signatureAlgorithm", &token.signature_parameters);
    const View signature = signer.expect(der::octet_string, "signature").content;
    token.signature = copy(signature);
    if (signer.next_is(der::context(1, true))) signer.any();  // unsignedAttrs: nothing we rely on
    signer.finish("SignerInfo");
    if (signer.failed()) return;

    token.signed_attributes = copy(attributes.whole);
    token.signed_attributes[0] = der::set_tag;  // RFC 5652 5.4
    der::Reader own = signer.inside(attributes);
    std::vector<Bytes> certified;
    View digest;
    read_attributes(own, token, certified, digest);
    for (Bytes& der : certified) token.tacs.push_back({std::move(der), name(EmbedTac::signer_attribute)});

    places.attributes = range_in(token.der, attributes.whole);
    places.message_digest = range_in(token.der, digest);
    places.signature = range_in(token.der, signature);
}

Result<Token> parse(View der_octets, TokenCertificates which, Places& places) {
    Token token;
    token.der = copy(der_octets);
    der::Reader outer(token.der, der::Integers::tolerate_long);
    der::Reader content_info = outer.enter(der::sequence_tag, "ContentInfo");
    outer.finish("ContentInfo");
    if (content_info.read_oid("contentType") != oids::signed_data)
        content_info.fail("the content is not SignedData");
    der::Reader content = content_info.enter(der::context(0, true), "content");
    content_info.finish("ContentInfo");
    der::Reader in = content.enter(der::sequence_tag, "SignedData");
    content.finish("SignedData");

    const std::int64_t version = in.read_int64("SignedData version");
    token.version = version >= 0 && version <= 5 ? static_cast<int>(version) : -1;
    if (token.version < 0) in.fail("an unknown version of SignedData");
    std::vector<std::string> digests;
    der::Reader algorithms = in.enter(der::set_tag, "digestAlgorithms");
    while (!algorithms.at_end()) digests.push_back(read_algorithm(algorithms, "digestAlgorithms"));
    der::Reader encapsulated = in.enter(der::sequence_tag, "encapContentInfo");
    if (encapsulated.read_oid("eContentType") != oids::tst_info)
        encapsulated.fail("the content is not a TSTInfo");
    der::Reader explicit_content = encapsulated.enter(der::context(0, true), "eContent");
    const View tst_info = explicit_content.expect(der::octet_string, "eContent").content;
    token.tst_info_der = copy(tst_info);
    places.tst_info = range_in(token.der, tst_info);
    explicit_content.finish("eContent");
    encapsulated.finish("encapContentInfo");
    if (in.next_is(der::context(0, true))) {
        der::Reader certificates = in.enter(der::context(0, true), "certificates");
        read_certificates(certificates, token, which);
    }
    if (in.next_is(der::context(1, true))) in.any();  // crls
    der::Reader infos = in.enter(der::set_tag, "signerInfos");
    in.finish("the fields of SignedData");
    read_signer(infos, token, places);
    // RFC 5652 5.3: the signer's is among them.
    if (std::find(digests.begin(), digests.end(), token.digest_oid) == digests.end())
        in.fail("digestAlgorithms lacks the signer's, " + token.digest_oid);
    if (outer.failed()) return Error::usage(outer.fault().text()).in(no_token);

    auto info = parse_tst_info(token.tst_info_der, places.tst_info.begin);
    if (!info) return std::move(info).error().in(no_token);
    token.tst_info = std::move(*info);
    return token;
}

/// True if everything outside these places is the same. (Then so are all lengths and tags, and the values
/// stand in the same places.)
bool alike(View a, View b, const Places& places) {
    if (places.message_digest.length == 0 || places.signature.length == 0) return false;
    std::size_t from = 0;
    for (const Range& range : {places.tst_info, places.message_digest, places.signature}) {
        if (!equal(a.subspan(from, range.begin - from), b.subspan(from, range.begin - from))) return false;
        from = range.end();
    }
    return equal(a.subspan(from), b.subspan(from));
}

/// Some kilobytes each.
constexpr std::size_t most_known = 64;

}  // namespace

Result<Token> parse_token(View der_octets, TokenCertificates which) {
    Places places;
    return parse(der_octets, which, places);
}

struct TokenParser::Known {
    Token token;
    Places places;
};

TokenParser::TokenParser(TokenCertificates certificates) : certificates_(certificates) {}
TokenParser::~TokenParser() = default;
TokenParser::TokenParser(TokenParser&&) noexcept = default;

Result<const Token*> TokenParser::read(View der_octets) {
    const auto found = known_.find(der_octets.size());
    if (found != known_.end() && alike(found->second.token.der, der_octets, found->second.places)) {
        auto& [token, places] = found->second;
        auto info = parse_tst_info(places.tst_info.of(der_octets), places.tst_info.begin);
        if (!info) return std::move(info).error().in(no_token);
        token.tst_info = std::move(*info);
        const auto take = [&](const Range& from, Bytes& to, std::size_t at = 0) {
            const View octets = from.of(der_octets);
            std::copy(octets.begin(), octets.end(), to.begin() + static_cast<std::ptrdiff_t>(at));
        };
        const std::pair<Range, Bytes&> values[] = {{places.tst_info, token.tst_info_der},
                                                   {places.message_digest, token.message_digest},
                                                   {places.signature, token.signature}};
        for (const auto& [range, value] : values) {
            take(range, token.der, range.begin);
            take(range, value);
        }
        take(places.message_digest, token.signed_attributes,
             places.message_digest.begin - places.attributes.begin);
        return &token;
    }
    Known fresh;
    auto token = parse(der_octets, certificates_, fresh.places);
    if (!token) return std::move(token).error();
    fresh.token = std::move(*token);
    if (known_.size() >= most_known) known_.clear();
    return &known_.insert_or_assign(der_octets.size(), std::move(fresh)).first->second.token;
}

Result<Token> parse_token_or_response(View der_octets) {
    // ContentInfo starts with an OID, TimeStampResp with the SEQUENCE PKIStatusInfo.
    der::Reader outer(der_octets);
    if (!outer.enter(der::sequence_tag, "").next_is(der::sequence_tag)) return parse_token(der_octets);
    auto response = parse_response(der_octets);
    if (!response) return std::move(response).error();
    if (!response->token) return Error::no("a response without a token: " + response->text());
    return parse_token(*response->token);
}

std::optional<pki::Certificate> Token::signer(const std::vector<pki::Certificate>& more) const {
    const auto is_signer = [&](const pki::Certificate& certificate) {
        if (!signer_key_id.empty()) {
            const auto& id = certificate.botan().subject_key_id();
            return equal(View(id.data(), id.size()), signer_key_id);
        }
        return certificate.issuer_der() == signer_issuer_der &&
               equal(minimal(certificate.serial()), minimal(signer_serial));
    };
    for (const auto* list : {&certificates, &more}) {
        const auto found = std::find_if(list->begin(), list->end(), is_signer);
        if (found != list->end()) return *found;
    }
    return std::nullopt;
}

}  // namespace kokuin::tsp
