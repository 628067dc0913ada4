// What a TSA policy fixes, and the judgement of a request under it.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "pki/hash.h"
#include "tsa/protocol/request.h"

namespace kokuin::tsp {

/// Where a token carries the TAC (TSA-7, TSA-10; design section 3 "TAC in the token").
enum class EmbedTac {
    none,
    signer_attribute,  ///< signed attribute 1.2.840.113549.1.9.16.2.18 (RFC 5126 5.11.3), certifiedAttributes
    certificates_v1,   ///< SignedData.certificates, tag [1] (v1AttrCert), CMS version 3
    certificates_v2,   ///< SignedData.certificates, tag [2] (v2AttrCert), CMS version 4
};
/// "none", "signer-attribute", "certificates-v1", "certificates-v2".
std::string_view name(EmbedTac form);
std::optional<EmbedTac> embed_tac_from_name(std::string_view text);

/// Which signing-certificate attribute a token has: signingCertificate (RFC 2634 5.4, SHA-1),
/// signingCertificateV2 (RFC 5035 3, SHA-256), or both.
enum class EssForm { v1, v2, both };
/// "v1", "v2", "both".
std::string_view name(EssForm form);
std::optional<EssForm> ess_form_from_name(std::string_view text);

struct Policy {
    std::string name;  ///< as in the configuration and in the route /tsa/{name}
    std::string oid;   ///< dotted, taken by der::is_oid()
    std::vector<pki::Hash> hashes{pki::Hash::sha256, pki::Hash::sha384, pki::Hash::sha512};  ///< TSA-1
    std::chrono::microseconds accuracy{
        1'000'000};          ///< in the token (TSA-7), and the limit of the gate; positive
    int gentime_digits = 3;  ///< fractional digits of genTime, 0…6
    EmbedTac embed_tac = EmbedTac::none;
    bool require_tac = true;
    bool require_reference = false;  ///< the independent reference must have spoken lately (TSA-6)
    EssForm ess = EssForm::both;
};

/// The policies a route offers. The first is what a request without reqPolicy gets.
struct PolicyRules {
    std::vector<const Policy*> offered;     ///< at least one; must outlive this value
    std::vector<std::string> extensions{};  ///< OIDs of request extensions that are understood; normally none
};

/// Judges a readable request, in the order of its fields; the first fault decides: hash unknown: badAlg;
/// imprint of another length than the hash's: badDataFormat; reqPolicy not offered: unacceptedPolicy; hash
/// not accepted under the policy: badAlg; any extension that isn't understood, critical or not:
/// unacceptedExtension (RFC 3161 2.4.1). Otherwise the policy to stamp under. Thread-safe.
Result<const Policy*, Rejection> check(const Request& request, const PolicyRules& rules);

}  // namespace kokuin::tsp
