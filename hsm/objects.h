// Objects of a token and their attributes. Internal to hsm. Every function uses a session that belongs to the
// caller alone while it runs, and reports PKCS#11's own value.
#pragma once

#include <optional>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "hsm/call.h"
#include "hsm/token.h"

namespace kokuin::hsm {

/// A template that owns its values. Not copyable: CK_ATTRIBUTE points into it.
class Template {
  public:
    Template() = default;
    Template(const Template&) = delete;
    Template& operator=(const Template&) = delete;
    Template& number(CK_ATTRIBUTE_TYPE type, CK_ULONG value);
    Template& flag(CK_ATTRIBUTE_TYPE type, bool value);
    Template& octets(CK_ATTRIBUTE_TYPE type, View value);
    Template& text(CK_ATTRIBUTE_TYPE type, const std::string& value) { return octets(type, as_view(value)); }

    /// Valid until the next change.
    CK_ATTRIBUTE* data();
    [[nodiscard]] CK_ULONG size() const { return values_.size(); }

  private:
    struct Value {
        CK_ATTRIBUTE_TYPE type;
        Bytes octets;
    };
    std::vector<Value> values_;
    std::vector<CK_ATTRIBUTE> attributes_;
};

/// The objects with these attributes, at most `most`.
Result<std::vector<CK_OBJECT_HANDLE>, CK_RV> find_objects(const ModuleCall& call, CK_SESSION_HANDLE session,
                                                          Template& attributes, std::size_t most = 4096);

/// The value of an attribute; nothing if the object has none, or doesn't tell it.
Result<std::optional<Bytes>, CK_RV> read_attribute(const ModuleCall& call, CK_SESSION_HANDLE session,
                                                   CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type);

/// Attributes read one after the other: the first failure sticks, and what is read after it is empty.
class AttributeReader {
  public:
    AttributeReader(const ModuleCall& call, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object)
        : call_(call), session_(session), object_(object) {}
    Bytes octets(CK_ATTRIBUTE_TYPE type);
    std::string text(CK_ATTRIBUTE_TYPE type) { return as_text(octets(type)); }
    /// `otherwise`: where the object doesn't tell.
    bool flag(CK_ATTRIBUTE_TYPE type, bool otherwise);
    std::optional<CK_ULONG> number(CK_ATTRIBUTE_TYPE type);
    /// CKR_OK, or why reading stopped.
    [[nodiscard]] CK_RV outcome() const { return outcome_; }

  private:
    const ModuleCall& call_;
    CK_SESSION_HANDLE session_;
    CK_OBJECT_HANDLE object_;
    CK_RV outcome_ = CKR_OK;
};

/// CKA_EC_PARAMS of Ed25519: PKCS#11 3.0 has both, and modules know one of them or both.
Bytes edwards25519_oid();   ///< 1.3.101.112 (RFC 8410)
Bytes edwards25519_name();  ///< PrintableString "edwards25519"

/// What can be known of a key pair.
struct PublicHalf {
    std::optional<KeyAlgorithm> algorithm;  ///< nothing: none that signs here
    Bytes spki;                             ///< DER; empty where the token doesn't tell
};
/// From the private key's own attributes (or a public key's), else from the public key with the same id and
/// label.
Result<PublicHalf, CK_RV> read_public_half(const ModuleCall& call, CK_SESSION_HANDLE session,
                                           CK_OBJECT_HANDLE key);

/// What a SubjectPublicKeyInfo (DER) says of its key.
struct Measure {
    KeyAlgorithm algorithm;
    unsigned bits;  ///< as Key::bits()
};
/// Error (usage): of no key that signs here.
Result<Measure> measure_of(View spki);

}  // namespace kokuin::hsm
