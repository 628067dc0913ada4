// Signatures of other people's time-stamps, in what isn't RSA PKCS#1 v1.5. Nothing of ours is signed so
// (TSA-3).
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "pki/hash.h"

namespace kokuin::pki {

/// How something is signed, by its AlgorithmIdentifier.
struct ForeignSignature {
    enum class Kind {
        ecdsa,    ///< RFC 5758 3.2
        rsa_pss,  ///< RFC 4055 3.1, RFC 4056
    };
    Kind kind = Kind::ecdsa;
    Hash hash = Hash::sha512;       ///< of the message
    Hash mask_hash = Hash::sha512;  ///< RSA-PSS: that of MGF1
    unsigned salt = 0;              ///< RSA-PSS: its length in octets

    /// `dotted`: the OID; `parameters`: the element behind it, DER, or empty. Nothing: it is none of these,
    /// or its parameters can't be read, or name hash functions that nobody here knows.
    static std::optional<ForeignSignature> read(std::string_view dotted, View parameters);

    /// True if `signature` is that of `message` under the key of a DER SubjectPublicKeyInfo. False for
    /// anything else: another kind of key, a curve below 224 bits, RSA of less than 1024 bits or more than
    /// 16384, a key that is for RSA-PSS alone (Botan doesn't read their certificates), a signature that can't
    /// be read. Thread-safe.
    [[nodiscard]] bool verify(View spki, View message, View signature) const;
    /// "ECDSA with sha256", for people.
    [[nodiscard]] std::string text() const;
};

}  // namespace kokuin::pki
