#include "pki/foreign_signature.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include <memory>

#include "base/der.h"

namespace kokuin::pki {
namespace {

constexpr std::string_view mgf1 = "1.2.840.113549.1.1.8";
constexpr int least_curve = 224;
// As public_key.h has them.
constexpr int least_rsa = 1024;
constexpr int most_rsa = 16384;

template <auto free>
struct Freed {
    template <typename T>
    void operator()(T* object) const {
        free(object);
    }
};

/// The hash that an AlgorithmIdentifier names; nothing, and a fault, if nobody here knows it.
Hash read_hash(der::Reader& in) {
    der::Reader fields = in.enter(der::sequence_tag, "HashAlgorithm");
    const auto hash = hash_from_oid(fields.read_oid("HashAlgorithm"));
    if (!hash) fields.fail("unknown hash function");
    if (!fields.at_end()) fields.read_null("HashAlgorithm");
    fields.finish("HashAlgorithm");
    return hash.value_or(Hash::sha1);
}

/// RFC 4055 3.1: RSASSA-PSS-params; what stands at its default may be left away.
std::optional<ForeignSignature> read_pss(View parameters) {
    ForeignSignature pss{ForeignSignature::Kind::rsa_pss, Hash::sha1, Hash::sha1, 20};
    der::Reader outer(parameters);
    der::Reader in = outer.enter(der::sequence_tag, "RSASSA-PSS-params");
    outer.finish("RSASSA-PSS-params");
    if (in.next_is(der::context(0, true))) {
        der::Reader of = in.enter(der::context(0, true), "hashAlgorithm");
        pss.hash = read_hash(of);
        of.finish("hashAlgorithm");
    }
    if (in.next_is(der::context(1, true))) {
        der::Reader of = in.enter(der::context(1, true), "maskGenAlgorithm");
        der::Reader mask = of.enter(der::sequence_tag, "maskGenAlgorithm");
        if (mask.read_oid("maskGenAlgorithm") != mgf1) mask.fail("not MGF1");
        pss.mask_hash = read_hash(mask);
        mask.finish("maskGenAlgorithm");
        of.finish("maskGenAlgorithm");
    }
    if (in.next_is(der::context(2, true))) {
        der::Reader of = in.enter(der::context(2, true), "saltLength");
        const auto salt = of.read_int64("saltLength");
        if (salt < 0 || salt > most_rsa / 8) of.fail("no length of a salt");
        of.finish("saltLength");
        pss.salt = static_cast<unsigned>(salt);
    }
    if (in.next_is(der::context(3, true))) {
        der::Reader of = in.enter(der::context(3, true), "trailerField");
        if (of.read_int64("trailerField") != 1) of.fail("another trailer than BC");
        of.finish("trailerField");
    }
    in.finish("RSASSA-PSS-params");
    if (outer.failed()) return std::nullopt;
    return pss;
}

const EVP_MD* digest_of(Hash hash) {
    return EVP_get_digestbyname(std::string(name(hash)).c_str());
}

bool is_key_for(const ForeignSignature& how, const EVP_PKEY* key) {
    const auto kind = EVP_PKEY_get_base_id(key);
    const auto bits = EVP_PKEY_get_bits(key);
    switch (how.kind) {
        case ForeignSignature::Kind::ecdsa:
            return kind == EVP_PKEY_EC && bits >= least_curve;
        case ForeignSignature::Kind::rsa_pss:
            return kind == EVP_PKEY_RSA && bits >= least_rsa && bits <= most_rsa;
    }
    return false;
}

bool set_pss(const ForeignSignature& how, EVP_PKEY_CTX* context) {
    return EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PSS_PADDING) == 1 &&
           EVP_PKEY_CTX_set_rsa_mgf1_md(context, digest_of(how.mask_hash)) == 1 &&
           EVP_PKEY_CTX_set_rsa_pss_saltlen(context, static_cast<int>(how.salt)) == 1;
}

}  // namespace

std::optional<ForeignSignature> ForeignSignature::read(std::string_view dotted, View parameters) {
    if (dotted == "1.2.840.10045.4.3.2") return ForeignSignature{Kind::ecdsa, Hash::sha256};
    if (dotted == "1.2.840.10045.4.3.3") return ForeignSignature{Kind::ecdsa, Hash::sha384};
    if (dotted == "1.2.840.10045.4.3.4") return ForeignSignature{Kind::ecdsa, Hash::sha512};
    if (dotted == "1.2.840.113549.1.1.10") return read_pss(parameters);
    return std::nullopt;
}

bool ForeignSignature::verify(View spki, View message, View signature) const {
    const std::uint8_t* at = spki.data();
    const std::unique_ptr<EVP_PKEY, Freed<EVP_PKEY_free>> key(
        d2i_PUBKEY(nullptr, &at, static_cast<long>(spki.size())));
    const std::unique_ptr<EVP_MD_CTX, Freed<EVP_MD_CTX_free>> context(EVP_MD_CTX_new());
    EVP_PKEY_CTX* own = nullptr;  // the context's
    const bool good = key && context && at == spki.data() + spki.size() && is_key_for(*this, key.get()) &&
                      EVP_DigestVerifyInit(context.get(), &own, digest_of(hash), nullptr, key.get()) == 1 &&
                      (kind != Kind::rsa_pss || set_pss(*this, own)) &&
                      EVP_DigestVerify(context.get(), signature.data(), signature.size(), message.data(),
                                       message.size()) == 1;
    if (!good) ERR_clear_error();
    return good;
}

std::string ForeignSignature::text() const {
    const std::string with = " with " + std::string(name(hash));
    return kind == Kind::ecdsa ? "ECDSA" + with
                               : "RSA-PSS" + with + ", salt of " + std::to_string(salt) + " octets";
}

}  // namespace kokuin::pki
