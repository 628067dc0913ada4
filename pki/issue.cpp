#include "pki/issue.h"

#include <algorithm>
#include <array>

#include "base/der.h"

namespace kokuin::pki {
namespace {

Bytes general_uri(const std::string& uri) {
    return der::tlv(der::context(6, false), as_view(uri));
}

/// subjectPublicKey's octets (RFC 5280 4.2.1.2: "excluding the tag, length, and number of unused bits").
Bytes key_identifier(View spki) {
    der::Reader whole(spki, der::Integers::tolerate_long);
    der::Reader fields = whole.enter(der::sequence_tag, "SubjectPublicKeyInfo");
    fields.expect(der::sequence_tag, "algorithm");
    const auto key = fields.read_bit_string("subjectPublicKey");
    return digest(Hash::sha1, key);
}

/// Time ::= CHOICE: UTCTime through 2049, then GeneralizedTime (RFC 5280 4.1.2.5).
Bytes time(WallTime at) {
    const auto text = to_generalized_time(at, 0);
    if (text >= "1950" && text < "2050") return der::tlv(der::utc_time, as_view(text.substr(2)));
    return der::tlv(der::generalized_time_tag, as_view(text));
}

Bytes encode(const std::vector<Extension>& extensions) {
    Bytes list;
    for (const auto& one : extensions) {
        const Bytes critical = one.critical ? der::boolean_true() : Bytes();
        append(list, der::sequence({der::oid(one.id), critical, der::octets(one.value)}));
    }
    return der::sequence({list});
}

Result<Bytes> sign_whole(View to_sign, View algorithm, Hash hash, const SignFunction& sign) {
    const auto signature = sign(hash, to_sign);
    if (!signature) return signature.error();
    return der::sequence({to_sign, algorithm, der::bits(*signature)});
}

}  // namespace

Extension basic_constraints_of_ca(std::optional<unsigned> path_length) {
    const Bytes length = path_length ? der::integer(*path_length) : Bytes();
    return {"2.5.29.19", true, der::sequence({der::boolean_true(), length})};
}

Extension basic_constraints_of_end_entity() {
    return {"2.5.29.19", true, der::sequence({})};  // FALSE is the default, which DER doesn't write
}

Extension key_usage(unsigned bits) {
    // X.690 11.2.2: a named bit list without zeros at its end. All bits here are in the first octet.
    std::uint8_t octet = 0;
    std::uint8_t unused = 8;
    for (std::uint8_t i = 0; i < 8; ++i)
        if ((bits & (1U << i)) != 0) {
            octet = static_cast<std::uint8_t>(octet | (0x80U >> i));
            unused = static_cast<std::uint8_t>(7 - i);
        }
    const std::array<std::uint8_t, 2> content{unused, octet};
    return {"2.5.29.15", true, der::tlv(der::bit_string, content)};
}

Extension extended_key_usage(const std::vector<std::string>& oids, bool critical) {
    Bytes list;
    for (const auto& one : oids) append(list, der::oid(one));
    return {"2.5.29.37", critical, der::sequence({list})};
}

Extension subject_key_identifier(View spki) {
    return {"2.5.29.14", false, der::octets(key_identifier(spki))};
}

Extension authority_key_identifier(View issuer_spki) {
    return {"2.5.29.35", false,
            der::sequence({der::tlv(der::context(0, false), key_identifier(issuer_spki))})};
}

Extension certificate_policies(const std::string& policy, const std::string& cps) {
    Bytes qualifiers;
    if (!cps.empty())
        qualifiers = der::sequence(
            {der::sequence({der::oid("1.3.6.1.5.5.7.2.1"), der::tlv(der::ia5_string, as_view(cps))})});
    return {"2.5.29.32", false, der::sequence({der::sequence({der::oid(policy), qualifiers})})};
}

Extension crl_distribution_points(const std::vector<std::string>& uris) {
    Bytes names;
    for (const auto& uri : uris) append(names, general_uri(uri));
    // One point, reached by any of them: [0] DistributionPointName, [0] fullName.
    return {"2.5.29.31", false,
            der::sequence(
                {der::sequence({der::tlv(der::context(0, true), der::tlv(der::context(0, true), names))})})};
}

Extension authority_information_access(const std::vector<std::string>& ocsp,
                                       const std::vector<std::string>& ca_issuers) {
    Bytes list;
    for (const auto& uri : ocsp)
        append(list, der::sequence({der::oid("1.3.6.1.5.5.7.48.1"), general_uri(uri)}));
    for (const auto& uri : ca_issuers)
        append(list, der::sequence({der::oid("1.3.6.1.5.5.7.48.2"), general_uri(uri)}));
    return {"1.3.6.1.5.5.7.1.1", false, der::sequence({list})};
}

Extension subject_alternative_name(View general_names, bool critical) {
    return {"2.5.29.17", critical, Bytes(general_names.begin(), general_names.end())};
}

Extension ocsp_no_check() {
    return {"1.3.6.1.5.5.7.48.1.5", false, der::null()};
}

Result<Certificate> make_certificate(const CertificatePlan& plan, Hash hash, const SignFunction& sign) {
    const auto serial = der::unsigned_integer(plan.serial);
    if (serial.size() < 3 || serial.size() > longest_serial + 2 || (serial.size() == 3 && serial[2] == 0))
        return Error::usage("a certificate's serial number is positive and has at most 20 octets");
    if (plan.not_after < plan.not_before) return Error::usage("a certificate that ends before it begins");
    const auto algorithm = der::algorithm(rsa_signature_oid(hash), true);
    const auto tbs =
        der::sequence({der::tlv(der::context(0, true), der::integer(2)), serial, algorithm, plan.issuer,
                       der::sequence({time(plan.not_before), time(plan.not_after)}), plan.subject, plan.spki,
                       der::tlv(der::context(3, true), encode(plan.extensions))});
    const auto made = sign_whole(tbs, algorithm, hash, sign);
    if (!made) return made.error();
    return Certificate::from_der(*made);
}

Result<Bytes> make_crl(const CrlPlan& plan, Hash hash, const SignFunction& sign) {
    const auto algorithm = der::algorithm(rsa_signature_oid(hash), true);
    Bytes list;
    for (const auto& entry : plan.entries) {
        Bytes extensions;
        // RFC 5280 5.3.1: "unspecified" isn't said.
        if (entry.reason != Reason::unspecified) {
            const std::array<std::uint8_t, 1> number{static_cast<std::uint8_t>(entry.reason)};
            extensions = encode({{"2.5.29.21", false, der::tlv(der::enumerated, number)}});
        }
        append(list, der::sequence({der::integer_octets(entry.serial), time(entry.at), extensions}));
    }
    // RFC 5280 5.1.2.6: an empty list isn't there.
    const Bytes revoked = list.empty() ? Bytes() : der::sequence({list});
    const auto extensions =
        encode({authority_key_identifier(plan.issuer_spki), {"2.5.29.20", false, der::integer(plan.number)}});
    const auto tbs =
        der::sequence({der::integer(1), algorithm, plan.issuer, time(plan.this_update),
                       time(plan.next_update), revoked, der::tlv(der::context(0, true), extensions)});
    return sign_whole(tbs, algorithm, hash, sign);
}

std::string to_pem(View der, const std::string& label) {
    const auto base64 = to_base64(der);
    std::string out = "-----BEGIN " + label + "-----\n";
    for (std::size_t i = 0; i < base64.size(); i += 64) out += base64.substr(i, 64) + '\n';
    return out + "-----END " + label + "-----\n";
}

}  // namespace kokuin::pki
