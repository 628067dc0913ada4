// A key of a token as Botan's private key, so that Botan's PKCS#10, certificate and CRL code signs in the
// token (Debian's Botan is built without its PKCS#11 module).
#pragma once

#include <memory>

#include "hsm/token.h"

namespace Botan {
class Private_Key;
}

namespace kokuin::hsm {

/// The key as a Botan::Private_Key with algorithm "RSA" or "Ed25519". `token` must outlive it and all
/// operations made from it. Paddings: of RSA EMSA3 / PKCS1v15 with SHA-256, SHA-384 or SHA-512; of Ed25519
/// "Pure". Its private half can't be exported: private_key_bits() throws Botan::Not_Implemented. A failing
/// token throws Botan::Exception with Token's text, because that is how Botan's operations fail.
std::unique_ptr<Botan::Private_Key> botan_key(Token& token, const Key& key);

}  // namespace kokuin::hsm
