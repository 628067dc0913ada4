// What a TSU's certificate must be before it is taken over (KEY-3, TSA-3, CA-5).
#pragma once

#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "pki/certificate.h"

namespace kokuin::pki {

/// Judges a new TSU certificate: RSA-2048 or more; timeStamping as the sole, critical extended key usage (RFC
/// 3161 2.3); for signing and nothing else; valid at `now`; under one of the roots among `configured`,
/// through these and `given`; each validity inside its issuer's. The path, itself first, root last. Error
/// (no) that says what is wrong. Pure.
Result<std::vector<Certificate>> check_tsu_certificate(const Certificate& certificate,
                                                       const std::vector<Certificate>& given,
                                                       const std::vector<Certificate>& configured,
                                                       WallTime now);

}  // namespace kokuin::pki
