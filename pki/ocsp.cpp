#include "pki/ocsp.h"

#include <array>

#include "base/der.h"
#include "pki/ocsp_wire.h"

namespace kokuin::pki {

using namespace ocsp;

namespace {

constexpr std::string_view id_pkix_ocsp_basic = "1.3.6.1.5.5.7.48.1.1";
constexpr std::size_t most_ids = 100;

Bytes encode_single(const SingleResponse& one) {
    Bytes state;
    switch (one.state) {
        case SingleResponse::State::good:
            state = der::tlv(der::context(0, false), View());
            break;
        case SingleResponse::State::revoked: {
            Bytes reason;
            // RFC 5280 5.3.1: "unspecified" isn't said.
            if (one.reason && *one.reason != Reason::unspecified) {
                const std::array<std::uint8_t, 1> number{static_cast<std::uint8_t>(*one.reason)};
                reason = der::tlv(der::context(0, true), der::tlv(der::enumerated, number));
            }
            state = der::tlv(der::context(1, true), {der::generalized_time(one.revoked_at, 0), reason});
            break;
        }
        case SingleResponse::State::unknown:
            state = der::tlv(der::context(2, false), View());
            break;
    }
    Bytes next;
    if (one.next_update) next = der::tlv(der::context(0, true), der::generalized_time(*one.next_update, 0));
    return der::sequence({encode_id(one.id), state, der::generalized_time(one.this_update, 0), next});
}

Bytes encode_answer(const OcspAnswer& answer) {
    const Bytes responder = answer.responder_name.empty()
                                ? der::tlv(der::context(2, true), der::octets(answer.responder_key_hash))
                                : der::tlv(der::context(1, true), answer.responder_name);
    Bytes list;
    for (const auto& one : answer.responses) append(list, encode_single(one));
    return der::sequence({responder, der::generalized_time(answer.produced_at, 0), der::sequence({list}),
                          nonce_extensions(der::context(1, true), answer.nonce)});
}

/// Nothing where there is no element of this context tag.
std::optional<Reason> read_reason(der::Reader& in) {
    if (!in.next_is(der::context(0, true))) return std::nullopt;
    der::Reader tagged = in.enter(der::context(0, true), "revocationReason");
    const auto number = tagged.expect(der::enumerated, "revocationReason").content;
    tagged.finish("revocationReason");
    if (tagged.failed()) return std::nullopt;
    const auto reason = number.size() == 1 ? reason_from_number(number[0]) : std::nullopt;
    if (!reason) in.fail("an unknown revocationReason");
    return reason;
}

SingleResponse read_single(der::Reader& in) {
    der::Reader fields = in.enter(der::sequence_tag, "SingleResponse");
    SingleResponse one;
    one.id = read_id(fields);
    if (fields.next_is(der::context(1, true))) {
        one.state = SingleResponse::State::revoked;
        der::Reader info = fields.enter(der::context(1, true), "RevokedInfo");
        one.revoked_at = info.read_generalized_time("revocationTime");
        one.reason = read_reason(info);
        info.finish("RevokedInfo");
    } else {
        const bool good = fields.next_is(der::context(0, false));
        one.state = good ? SingleResponse::State::good : SingleResponse::State::unknown;
        if (!fields.expect(der::context(good ? 0 : 2, false), "certStatus").content.empty())
            fields.fail("a certStatus that isn't NULL");
    }
    one.this_update = fields.read_generalized_time("thisUpdate");
    if (fields.next_is(der::context(0, true))) {
        der::Reader next = fields.enter(der::context(0, true), "nextUpdate");
        one.next_update = next.read_generalized_time("nextUpdate");
        next.finish("nextUpdate");
    }
    read_extensions(fields, der::context(1, true), nullptr);
    fields.finish("SingleResponse");
    return one;
}

OcspAnswer read_answer(der::Reader& fields) {
    OcspAnswer answer;
    // version [0] v1 is the default, which DER doesn't write.
    if (fields.next_is(der::context(1, true))) {
        der::Reader name = fields.enter(der::context(1, true), "responderID");
        answer.responder_name = to_bytes(name.expect(der::sequence_tag, "responder's name").whole);
        name.finish("responderID");
    } else {
        der::Reader key = fields.enter(der::context(2, true), "responderID");
        answer.responder_key_hash = key.read_octets("responder's key hash");
        key.finish("responderID");
    }
    answer.produced_at = fields.read_generalized_time("producedAt");
    der::Reader list = fields.enter(der::sequence_tag, "responses");
    while (!list.at_end()) answer.responses.push_back(read_single(list));
    list.finish("responses");
    read_extensions(fields, der::context(1, true), &answer.nonce);
    fields.finish("ResponseData");
    return answer;
}

/// RSA's parameters are NULL (RFC 4055 5): unlike a certificate's, this algorithm isn't under the signature.
bool odd_parameters(View algorithm) {
    der::Reader whole(algorithm);
    der::Reader fields = whole.enter(der::sequence_tag, "algorithm");
    const auto id = fields.read_oid("algorithm");
    if (fields.failed()) return true;
    if (!hash_from_rsa_signature_oid(id)) return false;
    if (!fields.at_end()) fields.read_null("parameters");
    fields.finish("algorithm");
    return fields.failed();
}

}  // namespace

Bytes key_hash(const Certificate& certificate, Hash hash) {
    der::Reader whole(certificate.spki(), der::Integers::tolerate_long);
    der::Reader fields = whole.enter(der::sequence_tag, "SubjectPublicKeyInfo");
    fields.expect(der::sequence_tag, "algorithm");
    const auto key = fields.read_bit_string("subjectPublicKey");
    return fields.failed() ? Bytes() : digest(hash, key);
}

CertId CertId::of(const Certificate& certificate, const Certificate& issuer, Hash hash) {
    return {std::string(oid(hash)), digest(hash, issuer.subject_der()), pki::key_hash(issuer, hash),
            certificate.serial()};
}

bool CertId::means(const Certificate& certificate, const Certificate& issuer) const {
    const auto hash = hash_from_oid(algorithm);
    return hash && *this == of(certificate, issuer, *hash);
}

Bytes OcspRequest::encode() const {
    Bytes list;
    for (const auto& id : ids) append(list, der::sequence({encode_id(id)}));
    std::optional<Bytes> wrapped;
    if (nonce) wrapped = der::octets(*nonce);
    return der::sequence(
        {der::sequence({der::sequence({list}), nonce_extensions(der::context(2, true), wrapped)})});
}

Result<OcspRequest> OcspRequest::decode(View octets) {
    der::Reader outer(octets);
    der::Reader whole = outer.enter(der::sequence_tag, "OCSPRequest");
    outer.finish("OCSPRequest");
    OcspRequest request;
    std::optional<Bytes> nonce;
    {
        der::Reader tbs = whole.enter(der::sequence_tag, "TBSRequest");
        if (tbs.next_is(der::context(1, true))) tbs.any();  // requestorName
        der::Reader list = tbs.enter(der::sequence_tag, "requestList");
        while (!list.at_end()) {
            der::Reader one = list.enter(der::sequence_tag, "Request");
            request.ids.push_back(read_id(one));
            read_extensions(one, der::context(0, true), nullptr);
            one.finish("Request");
            if (request.ids.size() > most_ids) list.fail("more than 100 certificates at once");
        }
        if (request.ids.empty()) list.fail("no certificate is asked for");
        read_extensions(tbs, der::context(2, true), &nonce);
        tbs.finish("TBSRequest");
    }
    if (whole.next_is(der::context(0, true))) whole.any();  // a signature
    whole.finish("OCSPRequest");
    if (outer.failed()) return Error::no("no OCSP request: " + outer.fault().text());
    if (nonce) request.nonce = bare_nonce(*nonce);
    return request;
}

std::string_view name(OcspStatus status) {
    switch (status) {
        case OcspStatus::successful:
            return "successful";
        case OcspStatus::malformed_request:
            return "malformedRequest";
        case OcspStatus::internal_error:
            return "internalError";
        case OcspStatus::try_later:
            return "tryLater";
        case OcspStatus::signature_required:
            return "sigRequired";
        case OcspStatus::unauthorized:
            return "unauthorized";
    }
    return "internalError";
}

std::string_view name(SingleResponse::State state) {
    switch (state) {
        case SingleResponse::State::good:
            return "good";
        case SingleResponse::State::revoked:
            return "revoked";
        case SingleResponse::State::unknown:
            return "unknown";
    }
    return "unknown";
}

Bytes ocsp_refusal(OcspStatus status) {
    const std::array<std::uint8_t, 1> number{static_cast<std::uint8_t>(status)};
    return der::sequence({der::tlv(der::enumerated, number)});
}

Result<Bytes> make_ocsp_response(const OcspAnswer& answer, Hash hash, const SignFunction& sign,
                                 const std::vector<Certificate>& certificates) {
    auto to_sign = answer;
    if (answer.nonce) to_sign.nonce = der::octets(*answer.nonce);
    const auto data = encode_answer(to_sign);
    const auto signature = sign(hash, data);
    if (!signature) return signature.error();
    Bytes with;
    if (!certificates.empty()) {
        Bytes list;
        for (const auto& one : certificates) append(list, one.der());
        with = der::tlv(der::context(0, true), der::sequence({list}));
    }
    const auto basic =
        der::sequence({data, der::algorithm(rsa_signature_oid(hash), true), der::bits(*signature), with});
    const std::array<std::uint8_t, 1> successful{0};
    return der::sequence(
        {der::tlv(der::enumerated, successful),
         der::tlv(der::context(0, true), der::sequence({der::oid(id_pkix_ocsp_basic), der::octets(basic)}))});
}

Result<OcspResponse> OcspResponse::decode(View octets) {
    OcspResponse response;
    der::Reader outer(octets);
    der::Reader whole = outer.enter(der::sequence_tag, "OCSPResponse");
    outer.finish("OCSPResponse");
    const auto status = whole.expect(der::enumerated, "responseStatus").content;
    const auto refuse = [&outer] { return Error::no("no OCSP response: " + outer.fault().text()); };
    if (outer.failed()) return refuse();
    if (status.size() != 1 || status[0] > 6 || status[0] == 4)
        return Error::no("no OCSP response: an unknown responseStatus");
    response.status_ = static_cast<OcspStatus>(status[0]);
    if (response.status_ != OcspStatus::successful) {
        whole.finish("a response without an answer");
        if (outer.failed()) return refuse();
        return response;
    }
    der::Reader tagged = whole.enter(der::context(0, true), "responseBytes");
    whole.finish("OCSPResponse");
    der::Reader bytes = tagged.enter(der::sequence_tag, "ResponseBytes");
    tagged.finish("responseBytes");
    const auto type = bytes.read_oid("responseType");
    if (!outer.failed() && type != id_pkix_ocsp_basic) bytes.fail("a response of the unknown type " + type);
    const auto inside = bytes.expect(der::octet_string, "response").content;
    bytes.finish("ResponseBytes");
    if (outer.failed()) return refuse();

    der::Reader basic_outer(inside);
    der::Reader basic = basic_outer.enter(der::sequence_tag, "BasicOCSPResponse");
    basic_outer.finish("BasicOCSPResponse");
    const auto data = basic.expect(der::sequence_tag, "ResponseData");
    const auto algorithm = basic.expect(der::sequence_tag, "signature algorithm");
    const auto signature = basic.read_bit_string("signature");
    if (basic.next_is(der::context(0, true))) {
        der::Reader with = basic.enter(der::context(0, true), "certificates");
        der::Reader list = with.enter(der::sequence_tag, "certificates");
        while (!list.at_end())
            response.certificates_.push_back(to_bytes(list.expect(der::sequence_tag, "certificate").whole));
        with.finish("certificates");
    }
    basic.finish("BasicOCSPResponse");
    if (!basic_outer.failed()) {
        der::Reader again(data.whole);
        der::Reader fields = again.enter(der::sequence_tag, "ResponseData");
        response.answer_ = read_answer(fields);
        if (again.failed()) return Error::no("no OCSP response: ResponseData " + again.fault().text());
        if (response.answer_.nonce) response.answer_.nonce = bare_nonce(*response.answer_.nonce);
        if (odd_parameters(algorithm.whole)) basic.fail("a signature algorithm with odd parameters");
    }
    if (basic_outer.failed()) return Error::no("no OCSP response: " + basic_outer.fault().text());
    response.signed_ = der::sequence({data.whole, algorithm.whole, der::bits(signature)});
    return response;
}

}  // namespace kokuin::pki
