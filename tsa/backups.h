// What the archive keeps of its own backups (ARC-6).
#pragma once

#include "base/net/router.h"
#include "tsa/journal.h"

namespace kokuin::tsa {

/// POST /archive/backed-up on the Unix socket, for root and the user that tsad runs as: `tsactl archive
/// backup` has made one, JSON {"dir", "records", "checkpoint", …}; becomes the event "archive.backed-up",
/// durable before the answer. `journal` must outlive the router.
void add_backup_route(net::Router& router, Journal& journal);

}  // namespace kokuin::tsa
