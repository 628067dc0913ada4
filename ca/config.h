// The configuration of tsca (conf/tsca.toml is the sample with every key).
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "ca/profile.h"
#include "hsm/settings.h"
#include "pki/hash.h"

namespace kokuin::ca {

/// One of the two CAs.
struct CaSettings {
    std::string key;      ///< label in the token
    std::string subject;  ///< "C=JP,O=Example,CN=Example Root CA"
    nanoseconds validity{};
    std::vector<std::string> crls;        ///< URLs of its CRL, in the certificates that it issues
    std::vector<std::string> ca_issuers;  ///< URLs of its certificate, likewise
    nanoseconds next_update{};            ///< how long its CRL and its OCSP responses hold
};

struct Settings {
    std::string digest;  ///< SHA-256 of the file, hex: what custodians agree to
    std::string archive;
    hsm::Settings hsm;
    std::string policy;  ///< OID of the certificates (CA-1)
    std::string cps;     ///< URI, or empty
    pki::Hash signature = pki::Hash::sha512;
    std::vector<std::string> ocsp;  ///< URLs of the repository's OCSP
    CaSettings root;
    CaSettings issuing;
    std::map<Profile, nanoseconds> validity;  ///< of the profiles in issued_profiles

    /// What stands in a certificate that `issuer` issues.
    [[nodiscard]] Addresses addresses(const CaSettings& issuer) const {
        return {policy, cps, issuer.crls, ocsp, issuer.ca_issuers};
    }
};

Result<Settings> load_settings(const std::string& path);
/// The same of a text; `file` is what problems name.
Result<Settings> parse_settings(std::string_view text, const std::string& file);

}  // namespace kokuin::ca
