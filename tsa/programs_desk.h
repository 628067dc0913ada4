// Where operators look at the programs of a running tsad, and accept others: `tsactl programs …` over its
// Unix socket (ARC-7, ARC-9).
#pragma once

#include "base/net/router.h"
#include "tsa/hsms.h"
#include "tsa/programs.h"

namespace kokuin::tsa {

/// For root and the user tsad runs as; JSON in and out; errors as base/net/outcome.h has them. Both look
/// anew.
/// - GET /programs: {"list", "counts", "stops", "files": [{"path", "sha256", "counts", "state"[, "why"]}],
///   "joined": [{"path", "sha256"}], "troubles": [text…], "text"}: digests of the lists of the files as they
///   are and as they should be, "text" the former as sha256sum(1) has it; what isn't there is null
/// - POST /programs/accept {"why", "by"}: the files as they are now count from now on. Asks the custodians
///   ({"proposal", "hsm"}) of the first HSM that has some, or is done at once ({"text"})
/// Both must outlive the router.
void add_programs_routes(net::Router& router, Programs& programs, Hsms& hsms);

}  // namespace kokuin::tsa
