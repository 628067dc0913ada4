// How what is made here gets its signature: from wherever the key is.
#pragma once

#include <functional>

#include "base/bytes.h"
#include "base/result.h"
#include "pki/hash.h"

namespace kokuin::pki {

/// Signs a message with RSA PKCS#1 v1.5 and this hash.
using SignFunction = std::function<Result<Bytes>(Hash, View message)>;

}  // namespace kokuin::pki
