#include "hsm/botan_key.h"

#include <botan/exceptn.h>
#include <botan/pk_ops.h>
#include <botan/rsa.h>

#include "pki/public_key.h"

namespace kokuin::hsm {
namespace {

/// Collects the message and hands it to the token whole: the token hashes.
class TokenSignature final : public Botan::PK_Ops::Signature {
  public:
    TokenSignature(Token& token, Key key, pki::Hash hash)
        : token_(token), key_(std::move(key)), hash_(hash) {}
    void update(const std::uint8_t message[], std::size_t size) override {
        message_.insert(message_.end(), message, message + size);
    }
    Botan::secure_vector<std::uint8_t> sign(Botan::RandomNumberGenerator& /*rng*/) override {
        const Bytes message = std::move(message_);
        message_ = {};
        const auto signature = token_.sign(key_, hash_, message);
        if (!signature) throw Botan::Exception(signature.error().text);
        return {signature->begin(), signature->end()};
    }
    [[nodiscard]] std::size_t signature_length() const override { return (key_.bits() + 7) / 8; }

  private:
    Token& token_;
    Key key_;
    pki::Hash hash_;
    Bytes message_;
};

// Public_Key is a virtual base of both: one public half, whose RSA code is Botan's.
class TokenKey final : public Botan::Private_Key, public Botan::RSA_PublicKey {
  public:
    TokenKey(Token& token, Key key, const pki::PublicKey& open_half)
        : Botan::RSA_PublicKey(Botan::BigInt(open_half.modulus().data(), open_half.modulus().size()),
                               Botan::BigInt(open_half.exponent().data(), open_half.exponent().size())),
          token_(token),
          key_(std::move(key)) {}

    [[nodiscard]] Botan::secure_vector<std::uint8_t> private_key_bits() const override {
        throw Botan::Not_Implemented("the private key of '" + key_.label() + "' stays in its token");
    }
    [[nodiscard]] std::unique_ptr<Botan::PK_Ops::Signature> create_signature_op(
        Botan::RandomNumberGenerator& /*rng*/, const std::string& padding,
        const std::string& /*provider*/) const override {
        // Botan has had three names for the same padding.
        for (const auto& [hash, name] : {std::pair{pki::Hash::sha256, "(SHA-256)"},
                                         {pki::Hash::sha384, "(SHA-384)"},
                                         {pki::Hash::sha512, "(SHA-512)"}})
            for (const char* scheme : {"EMSA3", "EMSA_PKCS1", "PKCS1v15"})
                if (padding == std::string(scheme) + name)
                    return std::make_unique<TokenSignature>(token_, key_, hash);
        throw Botan::Invalid_Argument("a token signs RSA PKCS#1 v1.5 with SHA-2 only, not " + padding);
    }

  private:
    Token& token_;
    Key key_;
};

}  // namespace

std::unique_ptr<Botan::Private_Key> botan_key(Token& token, const Key& key) {
    auto open_half = pki::PublicKey::from_spki(key.spki());
    if (!open_half) throw Botan::Exception(open_half.error().text);  // it was read when the key was found
    return std::make_unique<TokenKey>(token, key, *open_half);
}

}  // namespace kokuin::hsm
