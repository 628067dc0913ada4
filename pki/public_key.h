// Checking RSA signatures, fast: every token is checked before it leaves (design section 4, step 7).
#pragma once

#include <memory>

#include "base/bytes.h"
#include "base/result.h"
#include "pki/certificate.h"
#include "pki/hash.h"

namespace kokuin::pki {

/// An RSA public key. Immutable and thread-safe; a copy costs a reference count.
class PublicKey {
  public:
    /// The key of a certificate; an error if it isn't RSA, or shorter than 1024 or longer than 16384 bits.
    static Result<PublicKey> from_certificate(const Certificate& certificate);
    /// The key of a DER SubjectPublicKeyInfo.
    static Result<PublicKey> from_spki(View spki);

    /// True if `signature` is the RSA PKCS#1 v1.5 signature (RFC 8017 8.2) of `message` with this hash.
    /// Anything else (wrong length, wrong padding, a failing library) is false. Callable from many threads at
    /// once.
    [[nodiscard]] bool verify(Hash hash, View message, View signature) const;

    /// Length of the modulus in bits; a signature has (bits + 7) / 8 octets.
    [[nodiscard]] unsigned bits() const;
    /// Modulus and public exponent, big-endian without leading zeros: as PKCS#11 has them (CKA_MODULUS,
    /// CKA_PUBLIC_EXPONENT).
    [[nodiscard]] const Bytes& modulus() const;
    [[nodiscard]] const Bytes& exponent() const;

  private:
    struct Content;
    explicit PublicKey(std::shared_ptr<const Content> content) : content_(std::move(content)) {}
    std::shared_ptr<const Content> content_;
};

}  // namespace kokuin::pki
