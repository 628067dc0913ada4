// What certificates this CA issues: one named profile for each use (CA-1). Pure.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "pki/certificate.h"
#include "pki/issue.h"
#include "pki/request.h"

namespace kokuin::ca {

enum class Profile {
    root,        ///< the CA's own root, self-signed
    issuing,     ///< the CA's own issuing CA, path length 0
    tsu,         ///< a time-stamping unit's signing key (RFC 3161 2.3, TSA-3)
    taa,         ///< a TAA's signing key: it signs TACs
    archive,     ///< an archive's signing key
    tls_server,  ///< HTTPS of a server
    tls_client,  ///< a TLS client
    channel,     ///< both ends of the audit channel between TSA and TAA (TAA-3): server and client
    ocsp,        ///< a delegated OCSP responder elsewhere (RFC 6960 4.2.2.2)
};
/// As on the command line: "tsu", "tls-server", …
std::string_view name(Profile profile);
std::optional<Profile> profile_from_name(std::string_view name);

/// Those that `issue` may be asked for, in the order of the enumeration.
constexpr std::array<Profile, 7> issued_profiles{Profile::tsu,        Profile::taa,        Profile::archive,
                                                 Profile::tls_server, Profile::tls_client, Profile::channel,
                                                 Profile::ocsp};

/// True where a subject names one thing for good, which may have a successor but no twin (TSA-18).
bool has_unique_subject(Profile profile);
/// How long a certificate holds where the configuration doesn't say: a TSU's as long as its tokens shall
/// (KEY-7).
nanoseconds usual_validity(Profile profile);

/// Where what this CA publishes is found, and under which policy it issues: the same in all certificates.
struct Addresses {
    std::string policy;  ///< OID (CA-1)
    std::string cps;     ///< URI of the practice statement, or empty
    std::vector<std::string> crls;
    std::vector<std::string> ocsp;
    std::vector<std::string> ca_issuers;
};

/// Whether a request can have a certificate of this profile: key, subject, names. Error (no) that says what
/// to change.
Done check_request(Profile profile, const pki::CertificationRequest& request);
/// All extensions of a certificate for this key, by this issuer's key. `alternative_names`: GeneralNames of
/// the request, for the TLS profiles; else it must be empty.
std::vector<pki::Extension> extensions_of(Profile profile, View spki, View issuer_spki,
                                          View alternative_names, const Addresses& addresses);

}  // namespace kokuin::ca
