#include "pki/ecdsa.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include <memory>
#include <string>

namespace kokuin::pki {
namespace {

constexpr int least_curve = 224;

template <auto free>
struct Freed {
    template <typename T>
    void operator()(T* object) const {
        free(object);
    }
};

}  // namespace

std::optional<Hash> hash_from_ecdsa_signature_oid(std::string_view dotted) {
    if (dotted == "1.2.840.10045.4.3.2") return Hash::sha256;
    if (dotted == "1.2.840.10045.4.3.3") return Hash::sha384;
    if (dotted == "1.2.840.10045.4.3.4") return Hash::sha512;
    return std::nullopt;
}

bool verify_ecdsa(View spki, Hash hash, View message, View signature) {
    const std::uint8_t* at = spki.data();
    const std::unique_ptr<EVP_PKEY, Freed<EVP_PKEY_free>> key(
        d2i_PUBKEY(nullptr, &at, static_cast<long>(spki.size())));
    const std::unique_ptr<EVP_MD_CTX, Freed<EVP_MD_CTX_free>> context(EVP_MD_CTX_new());
    const EVP_MD* md = EVP_get_digestbyname(std::string(name(hash)).c_str());
    const bool good =
        key && context && md && at == spki.data() + spki.size() &&
        EVP_PKEY_get_base_id(key.get()) == EVP_PKEY_EC && EVP_PKEY_get_bits(key.get()) >= least_curve &&
        EVP_DigestVerifyInit(context.get(), nullptr, md, nullptr, key.get()) == 1 &&
        EVP_DigestVerify(context.get(), signature.data(), signature.size(), message.data(), message.size()) ==
            1;
    if (!good) ERR_clear_error();
    return good;
}

}  // namespace kokuin::pki
