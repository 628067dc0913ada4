// Objects of a token, through one session. Internal to hsm.
#pragma once

#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "hsm/module.h"

namespace kokuin::hsm {

/// An open session. Closes itself; not copyable, or it would be closed twice. A handle of another generation
/// of the module means nothing any more and closing it does nothing.
class Session {
  public:
    static Result<Session> open(const std::shared_ptr<Module>& module, CK_SLOT_ID slot, bool writing);
    ~Session();
    Session(Session&& other) noexcept;
    Session& operator=(Session&& other) noexcept;
    Session(const Session&) = delete;
    Session& operator=(const Session&) = delete;

    [[nodiscard]] CK_SESSION_HANDLE handle() const { return handle_; }
    [[nodiscard]] CK_FUNCTION_LIST& functions() const { return module_->functions(); }

  private:
    Session(std::shared_ptr<Module> module, CK_SESSION_HANDLE handle);
    void close() noexcept;
    std::shared_ptr<Module> module_;
    CK_SESSION_HANDLE handle_;
    std::uint64_t generation_;
};

/// One attribute of a search or a new object. Owns its value.
struct Attribute {
    CK_ATTRIBUTE_TYPE type;
    Bytes value;
    static Attribute flag(CK_ATTRIBUTE_TYPE type, bool value);
    static Attribute number(CK_ATTRIBUTE_TYPE type, CK_ULONG value);
    static Attribute octets(CK_ATTRIBUTE_TYPE type, View value);
};
/// The attributes as PKCS#11 takes them; valid as long as `attributes` is.
std::vector<CK_ATTRIBUTE> as_template(std::vector<Attribute>& attributes);

/// All objects that match. Failures carry the CK_RV.
Result<std::vector<CK_OBJECT_HANDLE>, CK_RV> find_objects(const Session& session,
                                                          std::vector<Attribute> wanted);
/// The value of an attribute.
Result<Bytes, CK_RV> read_attribute(const Session& session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type);

}  // namespace kokuin::hsm
