// A key in the token as Botan sees keys, so that Botan's PKCS#10 code (and later its CA) signs in the token.
#pragma once

#include <botan/pk_keys.h>

#include <memory>

#include "base/result.h"
#include "hsm/token.h"

namespace kokuin::hsm {

/// The private key of this label, for Botan. Its public half is what the token tells; its private half stays
/// there: exporting it throws Botan::Not_Implemented. `token` must outlive it. A signature that fails throws
/// Botan::Exception with the token's words.
Result<std::unique_ptr<Botan::Private_Key>> as_botan_key(Token& token, const std::string& label);

}  // namespace kokuin::hsm
