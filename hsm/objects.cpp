#include "hsm/objects.h"

#include <array>
#include <cstring>

#include "base/der.h"

namespace kokuin::hsm {

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

Result<Bytes, CK_RV> read_rsa_spki(const ModuleCall& call, CK_SESSION_HANDLE session,
                                   CK_OBJECT_HANDLE private_key) {
    AttributeReader key(call, session, private_key);
    Bytes modulus = key.octets(CKA_MODULUS);
    Bytes exponent = key.octets(CKA_PUBLIC_EXPONENT);
    const Bytes id = key.octets(CKA_ID);
    const Bytes label = key.octets(CKA_LABEL);
    if (key.outcome() != CKR_OK) return key.outcome();
    if (modulus.empty() || exponent.empty()) {
        Template attributes;
        attributes.number(CKA_CLASS, CKO_PUBLIC_KEY).number(CKA_KEY_TYPE, CKK_RSA);
        attributes.octets(CKA_ID, id).octets(CKA_LABEL, label);
        const auto found = find_objects(call, session, attributes, 2);
        if (!found) return found.error();
        if (found->size() != 1) return Bytes{};
        AttributeReader other(call, session, found->front());
        modulus = other.octets(CKA_MODULUS);
        exponent = other.octets(CKA_PUBLIC_EXPONENT);
        if (other.outcome() != CKR_OK) return other.outcome();
        if (modulus.empty() || exponent.empty()) return Bytes{};
    }
    // RFC 8017 A.1.1 in RFC 5280 4.1.2.7
    const Bytes rsa = der::sequence({der::unsigned_integer(modulus), der::unsigned_integer(exponent)});
    return der::sequence({der::algorithm("1.2.840.113549.1.1.1", true), der::bits(rsa)});
}

}  // namespace kokuin::hsm
