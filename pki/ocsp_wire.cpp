#include "pki/ocsp_wire.h"

namespace kokuin::pki::ocsp {
namespace {

constexpr std::string_view id_pkix_ocsp_nonce = "1.3.6.1.5.5.7.48.1.2";

}  // namespace

void read_extensions(der::Reader& in, std::uint8_t tag, std::optional<Bytes>* nonce) {
    if (!in.next_is(tag)) return;
    der::Reader tagged = in.enter(tag, "extensions");
    der::Reader list = tagged.enter(der::sequence_tag, "extensions");
    while (!list.at_end()) {
        der::Reader one = list.enter(der::sequence_tag, "extension");
        const auto id = one.read_oid("extension identifier");
        const bool critical = one.next_is(der::boolean) && one.read_boolean("critical");
        auto value = one.read_octets("extension value");
        one.finish("extension");
        if (id == id_pkix_ocsp_nonce && nonce)
            *nonce = std::move(value);
        else if (critical)
            list.fail("an unknown critical extension " + id);
    }
    list.finish("extensions");
    tagged.finish("extensions");
}

Bytes nonce_extensions(std::uint8_t tag, const std::optional<Bytes>& nonce) {
    if (!nonce) return {};
    return der::tlv(tag, der::sequence({der::sequence({der::oid(id_pkix_ocsp_nonce), der::octets(*nonce)})}));
}

Bytes bare_nonce(const Bytes& value) {
    der::Reader in(value);
    auto inner = in.read_octets("nonce");
    in.finish("nonce");
    return in.failed() ? value : inner;
}

Bytes encode_id(const CertId& id) {
    return der::sequence({der::algorithm(id.algorithm, true), der::octets(id.issuer_name_hash),
                          der::octets(id.issuer_key_hash), der::integer_octets(id.serial)});
}

CertId read_id(der::Reader& in) {
    der::Reader fields = in.enter(der::sequence_tag, "CertID");
    CertId id;
    {
        der::Reader algorithm = fields.enter(der::sequence_tag, "hash algorithm");
        id.algorithm = algorithm.read_oid("hash algorithm");
        if (!algorithm.failed() && !der::is_oid(id.algorithm))
            algorithm.fail("a hash algorithm with huge numbers");
        if (!algorithm.at_end()) algorithm.read_null("hash algorithm's parameters");
        algorithm.finish("hash algorithm");
    }
    id.issuer_name_hash = fields.read_octets("issuerNameHash");
    id.issuer_key_hash = fields.read_octets("issuerKeyHash");
    id.serial = fields.read_integer("serialNumber");
    fields.finish("CertID");
    return id;
}

}  // namespace kokuin::pki::ocsp
