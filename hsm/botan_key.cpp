#include "hsm/botan_key.h"

#include <botan/ed25519.h>
#include <botan/exceptn.h>
#include <botan/pk_ops.h>
#include <botan/rsa.h>

#include "pki/public_key.h"

namespace kokuin::hsm {
namespace {

/// Collects the message and hands it to the token whole: the token hashes. `hash`: of an RSA key.
class TokenSignature final : public Botan::PK_Ops::Signature {
  public:
    TokenSignature(Token& token, Key key, std::optional<pki::Hash> hash)
        : token_(token), key_(std::move(key)), hash_(hash) {}
    void update(const std::uint8_t message[], std::size_t size) override {
        message_.insert(message_.end(), message, message + size);
    }
    Botan::secure_vector<std::uint8_t> sign(Botan::RandomNumberGenerator& /*rng*/) override {
        const Bytes message = std::move(message_);
        message_ = {};
        const auto signature =
            hash_ ? token_.sign(key_, *hash_, message) : token_.sign_ed25519(key_, message);
        if (!signature) throw Botan::Exception(signature.error().text);
        return {signature->begin(), signature->end()};
    }
    [[nodiscard]] std::size_t signature_length() const override { return hash_ ? (key_.bits() + 7) / 8 : 64; }

  private:
    Token& token_;
    Key key_;
    std::optional<pki::Hash> hash_;
    Bytes message_;
};

// Public_Key is a virtual base of both: one public half, whose code is Botan's.
template <typename OpenHalf>
class TokenKey final : public Botan::Private_Key, public OpenHalf {
  public:
    TokenKey(Token& token, Key key, OpenHalf open_half)
        : OpenHalf(std::move(open_half)), token_(token), key_(std::move(key)) {}

    [[nodiscard]] Botan::secure_vector<std::uint8_t> private_key_bits() const override {
        throw Botan::Not_Implemented("the private key of '" + key_.label() + "' stays in its token");
    }
    [[nodiscard]] std::unique_ptr<Botan::PK_Ops::Signature> create_signature_op(
        Botan::RandomNumberGenerator& /*rng*/, const std::string& padding,
        const std::string& /*provider*/) const override {
        if (key_.algorithm() == KeyAlgorithm::ed25519) {
            if (padding == "Pure") return std::make_unique<TokenSignature>(token_, key_, std::nullopt);
            throw Botan::Invalid_Argument("a token signs pure Ed25519 only, not " + padding);
        }
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
    if (key.algorithm() == KeyAlgorithm::ed25519) {
        const auto point = View(key.spki()).last(32);
        return std::make_unique<TokenKey<Botan::Ed25519_PublicKey>>(
            token, key, Botan::Ed25519_PublicKey(point.data(), point.size()));
    }
    const auto open_half = pki::PublicKey::from_spki(key.spki());
    if (!open_half) throw Botan::Exception(open_half.error().text);  // it was read when the key was found
    const auto number = [](const Bytes& octets) { return Botan::BigInt(octets.data(), octets.size()); };
    return std::make_unique<TokenKey<Botan::RSA_PublicKey>>(
        token, key, Botan::RSA_PublicKey(number(open_half->modulus()), number(open_half->exponent())));
}

}  // namespace kokuin::hsm
