#include "pki/hash.h"

#include <openssl/evp.h>

#include <array>
#include <cctype>
#include <cstdlib>

namespace kokuin::pki {
namespace {

struct Facts {
    Hash hash;
    std::size_t length;
    std::string_view oid;
    std::string_view rsa_oid;
    std::string_view name;
    const char* openssl_name;
};

// OIDs: RFC 3370 2.1, RFC 5754 2, RFC 8017 appendix C.
constexpr std::array<Facts, 4> facts{{
    {Hash::sha1, 20, "1.3.14.3.2.26", "1.2.840.113549.1.1.5", "sha1", "SHA1"},
    {Hash::sha256, 32, "2.16.840.1.101.3.4.2.1", "1.2.840.113549.1.1.11", "sha256", "SHA256"},
    {Hash::sha384, 48, "2.16.840.1.101.3.4.2.2", "1.2.840.113549.1.1.12", "sha384", "SHA384"},
    {Hash::sha512, 64, "2.16.840.1.101.3.4.2.3", "1.2.840.113549.1.1.13", "sha512", "SHA512"},
}};

const Facts& of(Hash hash) {
    return facts[static_cast<std::size_t>(hash)];
}

// Fetched once: EVP_sha512() would look the implementation up at every call (OpenSSL 3 crypto(7), "explicit
// fetching").
const EVP_MD* implementation(Hash hash) {
    static const std::array<EVP_MD*, 4> fetched = [] {
        std::array<EVP_MD*, 4> all{};
        for (std::size_t i = 0; i < all.size(); ++i)
            all[i] = EVP_MD_fetch(nullptr, facts[i].openssl_name, nullptr);
        return all;
    }();
    return fetched[static_cast<std::size_t>(hash)];
}

}  // namespace

std::size_t length(Hash hash) {
    return of(hash).length;
}
std::string_view oid(Hash hash) {
    return of(hash).oid;
}
std::string_view rsa_signature_oid(Hash hash) {
    return of(hash).rsa_oid;
}
std::string_view name(Hash hash) {
    return of(hash).name;
}

void digest(Hash hash, View message, std::span<std::uint8_t> out) {
    if (out.size() != length(hash)) std::abort();
    unsigned written = 0;
    const EVP_MD* md = implementation(hash);
    // A digest that can't be computed would be a wrong imprint or signature: the process must not go on.
    if (!md || EVP_Digest(message.data(), message.size(), out.data(), &written, md, nullptr) != 1 ||
        written != out.size()) {
        std::abort();
    }
}

Bytes digest(Hash hash, View message) {
    Bytes out(length(hash));
    digest(hash, message, out);
    return out;
}

std::optional<Hash> hash_from_oid(std::string_view dotted) {
    for (const auto& f : facts) {
        if (f.oid == dotted) return f.hash;
    }
    return std::nullopt;
}

std::optional<Hash> hash_from_rsa_signature_oid(std::string_view dotted) {
    for (const auto& f : facts) {
        if (f.rsa_oid == dotted) return f.hash;
    }
    return std::nullopt;
}

std::optional<Hash> hash_from_name(std::string_view text) {
    std::string plain;
    for (const char c : text) {
        if (c != '-') plain += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    }
    for (const auto& f : facts) {
        if (f.name == plain) return f.hash;
    }
    return std::nullopt;
}

}  // namespace kokuin::pki
