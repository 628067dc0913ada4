#include "hsm/botan_key.h"

#include <botan/data_src.h>
#include <botan/exceptn.h>
#include <botan/pk_ops.h>
#include <botan/rsa.h>

#include "pki/public_key.h"

namespace kokuin::hsm {
namespace {

/// Collects the message and hands it to the token whole: the token hashes.
class TokenSignature final : public Botan::PK_Ops::Signature {
  public:
    TokenSignature(Token& token, std::string label, pki::Hash hash, std::size_t length)
        : token_(token), label_(std::move(label)), hash_(hash), length_(length) {}
    void update(const std::uint8_t message[], std::size_t size) override {
        message_.insert(message_.end(), message, message + size);
    }
    Botan::secure_vector<std::uint8_t> sign(Botan::RandomNumberGenerator& /*rng*/) override {
        const auto signature = token_.sign(label_, hash_, message_);
        message_.clear();
        if (!signature) throw Botan::Invalid_State(signature.error().text);
        return {signature->begin(), signature->end()};
    }
    [[nodiscard]] std::size_t signature_length() const override { return length_; }

  private:
    Token& token_;
    std::string label_;
    pki::Hash hash_;
    std::size_t length_;
    Bytes message_;
};

class TokenKey final : public virtual Botan::Private_Key, public virtual Botan::RSA_PublicKey {
  public:
    TokenKey(Token& token, std::string label, const pki::PublicKey& key)
        : Botan::RSA_PublicKey(Botan::BigInt(key.modulus().data(), key.modulus().size()),
                               Botan::BigInt(key.exponent().data(), key.exponent().size())),
          token_(token),
          label_(std::move(label)) {}

    [[nodiscard]] Botan::secure_vector<std::uint8_t> private_key_bits() const override {
        throw Botan::Not_Implemented("the private key stays in the token");
    }
    [[nodiscard]] std::unique_ptr<Botan::PK_Ops::Signature> create_signature_op(
        Botan::RandomNumberGenerator& /*rng*/, const std::string& padding,
        const std::string& /*provider*/) const override {
        for (const auto hash : {pki::Hash::sha256, pki::Hash::sha384, pki::Hash::sha512})
            if (padding == "EMSA3(SHA-" + std::string(pki::name(hash)).substr(3) + ")" ||
                padding == "EMSA_PKCS1(SHA-" + std::string(pki::name(hash)).substr(3) + ")")
                return std::make_unique<TokenSignature>(token_, label_, hash, (key_length() + 7) / 8);
        throw Botan::Invalid_Argument("the token signs RSA PKCS#1 v1.5 with SHA-2 only, not " + padding);
    }
    [[nodiscard]] bool check_key(Botan::RandomNumberGenerator& rng, bool strong) const override {
        return Botan::RSA_PublicKey::check_key(rng, strong);
    }

  private:
    Token& token_;
    std::string label_;
};

}  // namespace

Result<std::unique_ptr<Botan::Private_Key>> as_botan_key(Token& token, const std::string& label) {
    const auto info = token.key(label);
    if (!info) return info.error();
    const auto key = pki::PublicKey::from_spki(info->public_key);
    if (!key) return key.error();
    return std::unique_ptr<Botan::Private_Key>(std::make_unique<TokenKey>(token, label, *key));
}

}  // namespace kokuin::hsm
