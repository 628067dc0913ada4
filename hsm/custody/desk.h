// Where operators and custodians meet the running server: its Unix socket.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/net/router.h"
#include "base/result.h"
#include "hsm/custody/activation.h"
#include "hsm/custody/approvals.h"
#include "hsm/custody/keeper.h"
#include "hsm/keytool.h"
#include "hsm/token.h"

namespace kokuin::hsm::custody {

/// Below `path`: "/custody", or custody_path() of a further token of the server.
/// For root and the user the server runs as; 403 for all others. JSON; errors as base/net/outcome.h has them.
/// - GET /custody: {"activated", "refused", "given": [names], "threshold", "text", "challenge"}
/// - POST /custody/share, a Given: the state after it, as above without the challenge
/// - POST /custody/deactivate {"why", "by"}: the state
/// - GET /custody/proposals: [Proposal, …]
/// - POST /custody/approve {"id", "custodian", "signature"[, "officer"]}: {"proposal", "done", "text"}
/// - POST /custody/reshare {"threshold", "custodians": [{"name", "signing_key", "sealing_key"}], "why",
/// "by"}: {"proposal"}
void add_custody_routes(net::Router& router, const std::string& path, const std::string& program,
                        Activation& activation, Approvals& approvals);

/// The keys of a server that keeps no states of them (taad), while only it can open the token:
/// - GET /keys: keys_json()
/// - POST /keys/generate {"label", "type"[, "bits"]}: {"label", "type", "bits", "id"}
/// - POST /keys/csr {"label", "subject"}: {"pem"}
/// - POST /keys/import {"label", "pem"}: {}
/// Each but the first is recorded (key_event()), durably, before it is answered; a key that can't be is
/// destroyed again. `purpose`: what its CSRs ask for.
using Record = std::function<Done(const store::Event&, const std::vector<store::Blob>&)>;
void add_key_routes(net::Router& router, const std::string& program, Token& token, keytool::Purpose purpose,
                    Record record);

/// What a server does about its token when it starts: what its keeper holds (null: it has none) opens it, if
/// the archive's custodians agreed to the settings it runs with; then activate_unattended(). The log says how
/// it ended. Error: an unattended share that couldn't be given, or the archive.
Done open_at_start(Activation& activation, Keeper* keeper, const std::string& archive,
                   const std::vector<std::string>& unattended);

/// What a server's keeper (null: none) is told after `token` (its label) was, or wasn't, opened with a PIN or
/// given new ones: it holds the PIN that opens the token, and none where nobody knows which does.
void tell_keeper(Keeper* keeper, const std::string& token, const Done& opened, const Secret& pin);
void tell_keeper(Keeper* keeper, const std::string& token, const Done& changed, const PinChange& change);

/// A line in the log if custodians still have to come; for a server that listens now.
void say_if_locked(const Activation& activation);

/// For set-ups where nobody is there to type (demo, tests): opens STEM.share with the passphrase in
/// STEM.passphrase for each stem, in this process, until the token is activated. The log says loudly what
/// that is. Error: the first share that couldn't be given.
Done activate_unattended(Activation& activation, const std::vector<std::string>& stems);

}  // namespace kokuin::hsm::custody
