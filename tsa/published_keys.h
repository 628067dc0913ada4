// What whoever verifies needs of this server itself, for everybody (TSA-11): the certificates of its TSUs,
// the key of its log, its policy.
#pragma once

#include <string>

#include "base/net/router.h"
#include "tsa/key_life.h"

namespace kokuin::tsa {

/// - GET /repository/certificates: PEM, the newest certificate of every TSU's key that ever had one (of keys
/// that had one label after the other, of the last), each with a line "# TSU NAME, STATE" before it, then
/// those above them, each once
/// - GET /repository/log-key: a line for each key that has signed checkpoints, oldest first, as a trust file
///   takes it (`log_keys`, docs/audit.md); 404 if there is none
/// - GET /repository/policy: the file `policy` as it is now; 404 if it is empty
/// `archive`: its folder; `life` outlives the router.
void add_key_routes(net::Router& router, const KeyLife& life, const std::string& archive,
                    const std::string& policy);

}  // namespace kokuin::tsa
