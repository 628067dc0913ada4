// The HTTP routes of tsad (design section 7).
#pragma once

#include <string>
#include <vector>

#include "base/net/router.h"
#include "tsa/audit.h"
#include "tsa/log_tiles.h"
#include "tsa/protocol/policy.h"
#include "tsa/stamper.h"
#include "tsa/status.h"
#include "tsa/tac_repository.h"

namespace kokuin::tsa {

/// POST / and /tsa (default policy; a reqPolicy may name any), POST /tsa/{policy} (this one only). `policies`
/// and `stamper` must outlive the router.
void add_stamping_routes(net::Router& router, Stamper& stamper, const std::vector<tsp::Policy>& policies);

/// GET /repository/tac/{serial}: the TAC with this serial number, in hexadecimal, as it arrived (DER,
/// RFC 5877); 404 for what was never accepted and for what is no serial number (TSA-10).
void add_repository_routes(net::Router& router, const TacRepository& tacs);

/// The archive's log (C2SP tlog-tiles under the prefix /repository; its entries aren't public):
/// - GET /repository/checkpoint: the newest signed checkpoint (tlog-checkpoint, text/plain); 404 while there
///   is none.
/// - GET /repository/checkpoint/witnessed: the newest one that a witness has cosigned, with the cosignatures;
///   404 while there is none.
/// - GET /repository/tile/{level}/{path...}: a tile, see LogTiles.
/// `tiles` must outlive the server's last answer.
void add_log_routes(net::Router& router, const store::Archive& archive, LogTiles& tiles);

/// GET /healthz, /readyz, /metrics.
void add_health_routes(net::Router& router, const Status& status);

/// POST /audit/clock, PUT /audit/tac, for the TAA whose channel certificate carries the DNS name `peer`; 403
/// for all others.
void add_audit_routes(net::Router& router, Audited& audited, const std::string& peer);

/// GET /status, /keys on the Unix socket, for root and the user that tsad runs as; 403 for all others.
void add_control_routes(net::Router& router, const Status& status);

}  // namespace kokuin::tsa
