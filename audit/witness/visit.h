// A visit: the witness fetches what it needs from a log by itself (C2SP tlog-tiles).
#pragma once

#include <functional>
#include <string>

#include "audit/witness/cosigner.h"
#include "base/net/http.h"
#include "base/result.h"
#include "store/tlog/note.h"

namespace kokuin::audit::witness {

/// GET of a path below the log's prefix ("checkpoint", "tile/0/000.p/17").
using Get = std::function<Result<net::Response>(const std::string& path)>;

/// Fetches the log's checkpoint, proves out of its tiles that it goes on from the one that was cosigned last,
/// and cosigns it: the note with both signatures. A log that was never seen is believed. Error: (no) its key
/// hasn't signed what it shows, or its history was rewritten or rolled back: both checkpoints are kept as
/// files, and named; (environment) it can't be asked, or its answers are no log's.
Result<tlog::Note> visit(Cosigner& cosigner, const tlog::VerifierKey& log, const Get& get);

}  // namespace kokuin::audit::witness
