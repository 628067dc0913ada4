// Where a certificate says that one can ask whether it is revoked.
#pragma once

#include <string>
#include <vector>

#include "pki/certificate.h"

namespace kokuin::pki {

/// URLs as they stand in the certificate, of any scheme, in its order.
struct Pointers {
    std::vector<std::string> ocsp;  ///< authorityInfoAccess, id-ad-ocsp (RFC 5280 4.2.2.1)
    /// cRLDistributionPoints (RFC 5280 4.2.1.13): the full names of points that are for all reasons and whose
    /// CRL is the issuer's own.
    std::vector<std::string> crls;
};

/// None where the extension isn't there or can't be read. Pure.
Pointers pointers_of(const Certificate& certificate);

}  // namespace kokuin::pki
