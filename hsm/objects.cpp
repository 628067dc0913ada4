#include "hsm/objects.h"

#include <cstring>
#include <utility>

namespace kokuin::hsm {

Session::Session(std::shared_ptr<Module> module, CK_SESSION_HANDLE handle)
    : module_(std::move(module)), handle_(handle), generation_(module_->generation()) {}

Result<Session> Session::open(const std::shared_ptr<Module>& module, CK_SLOT_ID slot, bool writing) {
    CK_SESSION_HANDLE handle = 0;
    const CK_FLAGS flags = CKF_SERIAL_SESSION | (writing ? CKF_RW_SESSION : 0UL);
    const CK_RV done = module->functions().C_OpenSession(slot, flags, nullptr, nullptr, &handle);
    if (done != CKR_OK) return Error::environment("C_OpenSession failed: " + words(done));
    return Session(module, handle);
}

Session::~Session() {
    close();
}

Session::Session(Session&& other) noexcept
    : module_(std::move(other.module_)), handle_(other.handle_), generation_(other.generation_) {}

Session& Session::operator=(Session&& other) noexcept {
    if (this != &other) {
        close();
        module_ = std::move(other.module_);
        handle_ = other.handle_;
        generation_ = other.generation_;
    }
    return *this;
}

void Session::close() noexcept {
    if (module_ && module_->generation() == generation_) module_->functions().C_CloseSession(handle_);
    module_.reset();
}

Attribute Attribute::flag(CK_ATTRIBUTE_TYPE type, bool value) {
    return {type, Bytes{static_cast<std::uint8_t>(value ? CK_TRUE : CK_FALSE)}};
}

Attribute Attribute::number(CK_ATTRIBUTE_TYPE type, CK_ULONG value) {
    Bytes octets(sizeof value);
    std::memcpy(octets.data(), &value, sizeof value);
    return {type, std::move(octets)};
}

Attribute Attribute::octets(CK_ATTRIBUTE_TYPE type, View value) {
    return {type, Bytes(value.begin(), value.end())};
}

std::vector<CK_ATTRIBUTE> as_template(std::vector<Attribute>& attributes) {
    std::vector<CK_ATTRIBUTE> made;
    made.reserve(attributes.size());
    for (auto& attribute : attributes)
        made.push_back(
            {attribute.type, attribute.value.data(), static_cast<CK_ULONG>(attribute.value.size())});
    return made;
}

Result<std::vector<CK_OBJECT_HANDLE>, CK_RV> find_objects(const Session& session,
                                                          std::vector<Attribute> wanted) {
    auto search = as_template(wanted);
    auto& pkcs11 = session.functions();
    if (const CK_RV done = pkcs11.C_FindObjectsInit(session.handle(), search.data(), search.size());
        done != CKR_OK)
        return done;
    std::vector<CK_OBJECT_HANDLE> found;
    CK_RV done = CKR_OK;
    while (true) {
        CK_OBJECT_HANDLE batch[16];
        CK_ULONG count = 0;
        done = pkcs11.C_FindObjects(session.handle(), batch, std::size(batch), &count);
        if (done != CKR_OK || count == 0) break;
        found.insert(found.end(), batch, batch + count);
    }
    pkcs11.C_FindObjectsFinal(session.handle());
    if (done != CKR_OK) return done;
    return found;
}

Result<Bytes, CK_RV> read_attribute(const Session& session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type) {
    auto& pkcs11 = session.functions();
    CK_ATTRIBUTE attribute{type, nullptr, 0};
    if (const CK_RV done = pkcs11.C_GetAttributeValue(session.handle(), object, &attribute, 1);
        done != CKR_OK)
        return done;
    if (attribute.ulValueLen == CK_UNAVAILABLE_INFORMATION) return CK_RV{CKR_ATTRIBUTE_TYPE_INVALID};
    Bytes value(attribute.ulValueLen);
    attribute.pValue = value.data();
    if (const CK_RV done = pkcs11.C_GetAttributeValue(session.handle(), object, &attribute, 1);
        done != CKR_OK)
        return done;
    value.resize(attribute.ulValueLen);
    return value;
}

}  // namespace kokuin::hsm
