// Whether a certificate may be issued, and which one: decided before any custodian has typed anything. Pure
// but for the serial number, which the kernel draws.
#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "base/time.h"
#include "ca/config.h"
#include "ca/register.h"
#include "pki/issue.h"
#include "pki/request.h"

namespace kokuin::ca {

/// What an operator asks for.
struct Order {
    Profile profile = Profile::tsu;
    std::optional<pki::CertificationRequest> request;  ///< nothing for the CA's own certificates
    std::optional<nanoseconds> validity;               ///< nothing: as configured
    /// Serial of the certificate whose subject it goes on to bear, with another key (docs/keys.md); empty: it
    /// is the first of its name.
    std::string successor_of;
};

/// A certificate that may be issued; all of it but the signature.
struct Plan {
    Profile profile = Profile::tsu;
    pki::CertificatePlan certificate;
    std::string successor_of;
    /// One line for custodians and operators: "a tsu certificate for CN=TSU 1 until 2036-11-23".
    std::string text;
};

/// Checks the order against the profile (CA-7 was checked when the request was read), the register (no key
/// twice, TSA-18: no subject twice but of a successor), and the issuer's validity (CA-5: refused with the
/// longest that is possible). `spki`: of the CA's own key where there is no request. Error (no).
Result<Plan> make_plan(const Settings& settings, const Register& what_was, const Order& order, View spki,
                       WallTime now);

/// A serial number nobody has: 127 random bits, and such that both GET paths of its OCSP request can be files
/// (pki::ocsp_get_path).
Bytes draw_serial(const Register& what_was, const pki::Certificate* issuer);

}  // namespace kokuin::ca
