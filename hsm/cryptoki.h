// PKCS#11's own types and its return values in words. Internal to hsm: nobody outside includes pkcs11.h.
#pragma once

#include <p11-kit/pkcs11.h>

#include <string>
#include <string_view>

#include "base/result.h"

namespace kokuin::hsm {

/// "CKR_DEVICE_ERROR"; "CKR_VENDOR_DEFINED+0x12" or "CKR 0x3ff" where the standard has no name.
std::string name_of(CK_RV rv);

/// "TRIED: CKR_DEVICE_ERROR (the device reported a fault); WHAT TO DO", as environment.
Error failure(CK_RV rv, const std::string& tried);

/// True if the session, the login, the token or the module may be gone, so that only opening the token anew
/// helps. False where the request itself was at fault and the session is as good as before. What is in doubt
/// counts as lost.
bool is_loss(CK_RV rv);

/// True if the token says no to the PIN itself. Trying again would use up its counter.
bool is_pin_refusal(CK_RV rv);

/// A text of a fixed-length field of PKCS#11: padded with blanks, not terminated. Control characters become
/// "?".
std::string field_text(const CK_UTF8CHAR* field, std::size_t length);

}  // namespace kokuin::hsm
