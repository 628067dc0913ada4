// What a CA has published in a folder, for everybody (CA-2, TSA-11): its certificates, CRLs and OCSP
// responses. No key is near.
#pragma once

#include <string>

#include "base/net/router.h"
#include "base/time.h"

namespace kokuin::tsa {

/// `folder`: as `tsca publish` writes it (docs/ca.md); it may be replaced at any time, and is read for each
/// request.
/// - GET /repository/{file}: root.pem, issuing.crl and so on: its *.pem, *.crt, *.crl, *.json and SHA256SUMS
/// - POST /repository/ocsp (application/ocsp-request): the response for the one certificate that is asked
/// about
///   (pki::answer_from_folder); 200 with application/ocsp-response for whatever comes, as RFC 6960 A.2 has it
///   (OCSP by GET is a web server's, from the same folder: its paths hold %2F, which ours takes for an
///   attack.)
/// Cacheable as long as what it says holds (RFC 9919 7.2). What an operator should mend is a line in the log.
/// `wall` outlives the router.
void add_publication_routes(net::Router& router, const std::string& folder, const WallClock& wall);

}  // namespace kokuin::tsa
