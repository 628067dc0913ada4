// What X.509 signs the same way everywhere: SEQUENCE { what is signed, algorithm, BIT STRING }. Internal to
// pki.
#pragma once

#include <botan/ber_dec.h>
#include <botan/pk_keys.h>
#include <botan/x509_obj.h>

#include <string>

#include "base/bytes.h"

namespace kokuin::pki {

/// Any such SEQUENCE, for Botan to check the signature of, whatever is in it. The constructor throws as Botan
/// does on what isn't one.
class SignedObject final : public Botan::X509_Object {
  public:
    explicit SignedObject(View der) {
        Botan::BER_Decoder in(der.data(), der.size());
        decode_from(in);
    }
    [[nodiscard]] std::string PEM_label() const override { return "SIGNED"; }

  private:
    void force_decode() override {}
};

/// True if it is signed with SHA-256 or better, or by an algorithm that has its own hash (Ed25519).
inline bool has_strong_hash(const Botan::X509_Object& object, const Botan::Public_Key& key) {
    if (key.algo_name() == "Ed25519") return true;
    const auto hash = object.hash_used_for_signature();
    return hash == "SHA-256" || hash == "SHA-384" || hash == "SHA-512";
}

/// True if this key signed it, with SHA-256 or better. Keys and algorithms of no known kind have signed
/// nothing.
inline bool is_signed_with(const Botan::X509_Object& object, const Botan::Public_Key& key) {
    try {
        return has_strong_hash(object, key) && object.check_signature(key);
    } catch (const std::exception&) {
        return false;
    }
}

}  // namespace kokuin::pki
