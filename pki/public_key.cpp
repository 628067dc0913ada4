#include "pki/public_key.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include <array>
#include <string>

namespace kokuin::pki {
namespace {

struct FreeKey {
    void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};
struct FreeContext {
    void operator()(EVP_PKEY_CTX* context) const { EVP_PKEY_CTX_free(context); }
};
using Key = std::unique_ptr<EVP_PKEY, FreeKey>;
using Context = std::unique_ptr<EVP_PKEY_CTX, FreeContext>;

// A context that is ready to verify digests of this hash. Nothing if the library refuses.
Context verifier(EVP_PKEY* key, Hash hash) {
    Context context(EVP_PKEY_CTX_new_from_pkey(nullptr, key, nullptr));
    const EVP_MD* md = EVP_get_digestbyname(std::string(name(hash)).c_str());
    if (!context || !md || EVP_PKEY_verify_init(context.get()) != 1 ||
        EVP_PKEY_CTX_set_rsa_padding(context.get(), RSA_PKCS1_PADDING) != 1 ||
        EVP_PKEY_CTX_set_signature_md(context.get(), md) != 1) {
        return nullptr;
    }
    return context;
}

Bytes number(EVP_PKEY* key, const char* parameter) {
    BIGNUM* value = nullptr;
    if (EVP_PKEY_get_bn_param(key, parameter, &value) != 1) return {};
    Bytes out(static_cast<std::size_t>(BN_num_bytes(value)));
    BN_bn2bin(value, out.data());
    BN_free(value);
    return out;
}

}  // namespace

struct PublicKey::Content {
    Key key;
    unsigned bits = 0;
    Bytes modulus, exponent;
    // One prepared context for each hash, never used itself: verify() works on a duplicate, which is several
    // times cheaper than preparing one, and leaves this object untouched by all threads.
    std::array<Context, 4> prepared;
};

Result<PublicKey> PublicKey::from_certificate(const Certificate& certificate) {
    auto key = from_spki(certificate.spki());
    if (!key) return std::move(key).error().in("certificate of " + certificate.subject_text());
    return key;
}

Result<PublicKey> PublicKey::from_spki(View spki) {
    auto content = std::make_shared<Content>();
    const std::uint8_t* at = spki.data();
    content->key.reset(d2i_PUBKEY(nullptr, &at, static_cast<long>(spki.size())));
    const bool readable = content->key && at == spki.data() + spki.size();
    ERR_clear_error();
    if (!readable) return Error::usage("unreadable public key");
    EVP_PKEY* key = content->key.get();
    if (EVP_PKEY_get_base_id(key) != EVP_PKEY_RSA) return Error::usage("the public key is not an RSA key");
    content->bits = static_cast<unsigned>(EVP_PKEY_get_bits(key));
    // Below there is no security left, above a verification takes so long that a foreign token could stop us
    // with it.
    if (content->bits < 1024 || content->bits > 16384) {
        return Error::usage("an RSA key of " + std::to_string(content->bits) +
                            " bits; 1024 to 16384 are accepted");
    }
    content->modulus = number(key, OSSL_PKEY_PARAM_RSA_N);
    content->exponent = number(key, OSSL_PKEY_PARAM_RSA_E);
    for (const Hash hash : {Hash::sha1, Hash::sha256, Hash::sha384, Hash::sha512}) {
        content->prepared[static_cast<std::size_t>(hash)] = verifier(key, hash);
    }
    ERR_clear_error();
    return PublicKey(std::move(content));
}

bool PublicKey::verify(Hash hash, View message, View signature) const {
    const Context& prepared = content_->prepared[static_cast<std::size_t>(hash)];
    if (!prepared || signature.size() != (content_->bits + 7) / 8) return false;
    std::array<std::uint8_t, 64> value{};
    const std::span<std::uint8_t> digest_of_message(value.data(), length(hash));
    digest(hash, message, digest_of_message);
    const Context context(EVP_PKEY_CTX_dup(prepared.get()));
    const bool good = context && EVP_PKEY_verify(context.get(), signature.data(), signature.size(),
                                                 digest_of_message.data(), digest_of_message.size()) == 1;
    if (!good) ERR_clear_error();
    return good;
}

unsigned PublicKey::bits() const {
    return content_->bits;
}
const Bytes& PublicKey::modulus() const {
    return content_->modulus;
}
const Bytes& PublicKey::exponent() const {
    return content_->exponent;
}

}  // namespace kokuin::pki
