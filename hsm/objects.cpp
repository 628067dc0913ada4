#include "hsm/objects.h"

#include <array>
#include <cstring>

#include "base/der.h"
#include "pki/public_key.h"

namespace kokuin::hsm {
namespace {

constexpr std::string_view ed25519 = "1.3.101.112";  // id-Ed25519, RFC 8410 3

}  // namespace

Template& Template::number(CK_ATTRIBUTE_TYPE type, CK_ULONG value) {
    Bytes octets(sizeof value);
    std::memcpy(octets.data(), &value, sizeof value);
    values_.push_back({type, std::move(octets)});
    return *this;
}

Template& Template::flag(CK_ATTRIBUTE_TYPE type, bool value) {
    values_.push_back({type, Bytes{value ? std::uint8_t{CK_TRUE} : std::uint8_t{CK_FALSE}}});
    return *this;
}

Template& Template::octets(CK_ATTRIBUTE_TYPE type, View value) {
    values_.push_back({type, Bytes(value.begin(), value.end())});
    return *this;
}

CK_ATTRIBUTE* Template::data() {
    attributes_.clear();
    for (Value& value : values_)
        attributes_.push_back({value.type, value.octets.data(), value.octets.size()});
    return attributes_.data();
}

Result<std::vector<CK_OBJECT_HANDLE>, CK_RV> find_objects(const ModuleCall& call, CK_SESSION_HANDLE session,
                                                          Template& attributes, std::size_t most) {
    CK_RV rv = call->C_FindObjectsInit(session, attributes.data(), attributes.size());
    if (rv != CKR_OK) return rv;
    std::vector<CK_OBJECT_HANDLE> found;
    std::array<CK_OBJECT_HANDLE, 64> batch{};
    while (found.size() < most) {
        CK_ULONG count = 0;
        rv = call->C_FindObjects(session, batch.data(), batch.size(), &count);
        if (rv != CKR_OK || count == 0) break;
        found.insert(found.end(), batch.begin(), batch.begin() + static_cast<std::ptrdiff_t>(count));
    }
    // Ends the search also where it failed: an operation left active would spoil the session.
    const CK_RV end = call->C_FindObjectsFinal(session);
    if (rv != CKR_OK) return rv;
    if (end != CKR_OK) return end;
    if (found.size() > most) found.resize(most);
    return found;
}

Result<std::optional<Bytes>, CK_RV> read_attribute(const ModuleCall& call, CK_SESSION_HANDLE session,
                                                   CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type) {
    using Value = std::optional<Bytes>;
    CK_ATTRIBUTE attribute{type, nullptr, 0};
    CK_RV rv = call->C_GetAttributeValue(session, object, &attribute, 1);
    if (rv == CKR_ATTRIBUTE_SENSITIVE || rv == CKR_ATTRIBUTE_TYPE_INVALID) return Value{};
    if (rv != CKR_OK) return rv;
    if (attribute.ulValueLen == CK_UNAVAILABLE_INFORMATION) return Value{};
    Bytes octets(attribute.ulValueLen);
    if (octets.empty()) return Value{octets};
    attribute.pValue = octets.data();
    rv = call->C_GetAttributeValue(session, object, &attribute, 1);
    if (rv != CKR_OK) return rv;
    octets.resize(std::min<std::size_t>(octets.size(), attribute.ulValueLen));
    return Value{std::move(octets)};
}

Bytes AttributeReader::octets(CK_ATTRIBUTE_TYPE type) {
    if (outcome_ != CKR_OK) return {};
    auto value = read_attribute(call_, session_, object_, type);
    if (!value) {
        outcome_ = value.error();
        return {};
    }
    return value->value_or(Bytes{});
}

bool AttributeReader::flag(CK_ATTRIBUTE_TYPE type, bool otherwise) {
    const Bytes value = octets(type);
    return value.size() == sizeof(CK_BBOOL) ? value[0] != CK_FALSE : otherwise;
}

std::optional<CK_ULONG> AttributeReader::number(CK_ATTRIBUTE_TYPE type) {
    const Bytes value = octets(type);
    CK_ULONG number = 0;
    if (value.size() != sizeof number) return std::nullopt;
    std::memcpy(&number, value.data(), sizeof number);
    return number;
}

Bytes edwards25519_oid() {
    return der::oid(ed25519);
}

Bytes edwards25519_name() {
    return der::tlv(der::printable_string, as_view("edwards25519"));
}

namespace {

Bytes ed25519_spki(View point) {
    return der::sequence({der::algorithm(ed25519, false), der::bits(point)});  // RFC 8410 4
}

// Of an object's own attributes; empty if it doesn't tell.
Bytes own_spki(AttributeReader& object, KeyAlgorithm algorithm) {
    if (algorithm == KeyAlgorithm::rsa) {
        const Bytes modulus = object.octets(CKA_MODULUS);
        const Bytes exponent = object.octets(CKA_PUBLIC_EXPONENT);
        if (modulus.empty() || exponent.empty()) return {};
        // RFC 8017 A.1.1 in RFC 5280 4.1.2.7
        const Bytes rsa = der::sequence({der::unsigned_integer(modulus), der::unsigned_integer(exponent)});
        return der::sequence({der::algorithm("1.2.840.113549.1.1.1", true), der::bits(rsa)});
    }
    // Nothing is around it in PKCS#11 3.1, a BIT STRING in 3.0, an OCTET STRING in SoftHSM.
    const Bytes told = object.octets(CKA_EC_POINT);
    if (told.size() < 32) return {};
    const View point = View(told).last(32);
    const bool known = told.size() == 32 || told == der::bits(point) || told == der::octets(point);
    return known ? ed25519_spki(point) : Bytes{};
}

}  // namespace

Result<PublicHalf, CK_RV> read_public_half(const ModuleCall& call, CK_SESSION_HANDLE session,
                                           CK_OBJECT_HANDLE key) {
    AttributeReader own(call, session, key);
    const auto type = own.number(CKA_KEY_TYPE);
    PublicHalf half;
    if (type == CKK_RSA) half.algorithm = KeyAlgorithm::rsa;
    if (type == CKK_EC_EDWARDS) {
        // One that doesn't tell its curve is judged by the length of its point.
        const Bytes curve = own.octets(CKA_EC_PARAMS);
        if (curve.empty() || curve == edwards25519_oid() || curve == edwards25519_name())
            half.algorithm = KeyAlgorithm::ed25519;
    }
    if (half.algorithm) half.spki = own_spki(own, *half.algorithm);
    const Bytes id = own.octets(CKA_ID);
    const Bytes label = own.octets(CKA_LABEL);
    if (own.outcome() != CKR_OK) return own.outcome();
    if (!half.algorithm || !half.spki.empty()) return half;
    Template attributes;
    attributes.number(CKA_CLASS, CKO_PUBLIC_KEY).number(CKA_KEY_TYPE, *type);
    attributes.octets(CKA_ID, id).octets(CKA_LABEL, label);
    const auto found = find_objects(call, session, attributes, 2);
    if (!found) return found.error();
    if (found->size() != 1) return half;
    AttributeReader other(call, session, found->front());
    half.spki = own_spki(other, *half.algorithm);
    if (other.outcome() != CKR_OK) return other.outcome();
    return half;
}

Result<Measure> measure_of(View spki) {
    if (spki.size() == 44 && equal(spki, ed25519_spki(spki.last(32))))
        return Measure{KeyAlgorithm::ed25519, 255};
    const auto rsa = pki::PublicKey::from_spki(spki);
    if (!rsa) return rsa.error();
    return Measure{KeyAlgorithm::rsa, rsa->bits()};
}

}  // namespace kokuin::hsm
