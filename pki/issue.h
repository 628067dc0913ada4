// Making certificates and CRLs (RFC 5280), octet by octet: Botan 2.19's X509_CA drops the criticality of the
// extended key usage, and RFC 3161 2.3 demands it. Pure but for what `sign` does; thread-safe.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "pki/certificate.h"
#include "pki/hash.h"
#include "pki/reason.h"
#include "pki/sign_function.h"

namespace kokuin::pki {

/// One extension (RFC 5280 4.1.2.9).
struct Extension {
    std::string id;  ///< OID, dotted
    bool critical = false;
    Bytes value;  ///< DER: what the extension's OCTET STRING holds
};

/// Bits of keyUsage (RFC 5280 4.2.1.3), to be or-ed.
enum KeyUsage : unsigned {
    digital_signature = 1U << 0U,
    non_repudiation = 1U << 1U,
    key_cert_sign = 1U << 5U,
    crl_sign = 1U << 6U,
};

/// Critical. `path_length`: how many CAs may follow; nothing: any number.
Extension basic_constraints_of_ca(std::optional<unsigned> path_length);
Extension basic_constraints_of_end_entity();  ///< critical, cA FALSE
Extension key_usage(unsigned bits);           ///< critical
Extension extended_key_usage(const std::vector<std::string>& oids, bool critical);
/// RFC 5280 4.2.1.2, method (1): SHA-1 of the public key.
Extension subject_key_identifier(View spki);
/// That of a key whose certificate has such a subject key identifier.
Extension authority_key_identifier(View issuer_spki);
/// `cps`: URI of the practice statement; may be empty.
Extension certificate_policies(const std::string& policy, const std::string& cps);
Extension crl_distribution_points(const std::vector<std::string>& uris);
/// Either may be empty, not both.
Extension authority_information_access(const std::vector<std::string>& ocsp,
                                       const std::vector<std::string>& ca_issuers);
/// GeneralNames as a CSR has them (CertificationRequest::alternative_names()).
Extension subject_alternative_name(View general_names, bool critical);
Extension ocsp_no_check();

struct CertificatePlan {
    Bytes serial;         ///< big-endian magnitude, positive, at most 20 octets as INTEGER (RFC 5280 4.1.2.2)
    Bytes issuer;         ///< DER Name
    Bytes subject;        ///< DER Name
    Bytes spki;           ///< SubjectPublicKeyInfo, DER
    WallTime not_before;  ///< both inclusive, cut to whole seconds
    WallTime not_after;
    std::vector<Extension> extensions;
};
/// A version 3 certificate, signed with RSA and `hash`. Error: what `sign` says; (usage) a plan that makes no
/// certificate.
Result<Certificate> make_certificate(const CertificatePlan& plan, Hash hash, const SignFunction& sign);

/// A certificate that is revoked.
struct CrlEntry {
    Bytes serial;  ///< INTEGER content octets, as Certificate::serial()
    WallTime at;   ///< revocation
    Reason reason = Reason::unspecified;
};
struct CrlPlan {
    Bytes issuer;       ///< DER Name
    Bytes issuer_spki;  ///< for authorityKeyIdentifier
    WallTime this_update;
    WallTime next_update;
    std::int64_t number = 0;  ///< RFC 5280 5.2.3: greater than in all before
    std::vector<CrlEntry> entries;
};
/// A complete CRL, version 2, DER, signed with RSA and `hash`.
Result<Bytes> make_crl(const CrlPlan& plan, Hash hash, const SignFunction& sign);

/// "-----BEGIN LABEL-----…", lines of 64.
std::string to_pem(View der, const std::string& label);

}  // namespace kokuin::pki
