// An archive as one SQLite file that answers questions in SQL (docs/sql.md).
#pragma once

#include <string>

#include "base/result.h"
#include "store/reader.h"

namespace kokuin::audit {

/// Writes the tokens that match; the events with `from` ≤ at < `to` and number ≥ `first`; the TACs and keys
/// up to `to`, the certificates that any of these name, and all segments, checkpoints and cosignatures. The
/// file appears under its name when all of it is written, and replaces what was there. `dir`: the archive's
/// folder, which `reader` reads. Error (no): neither tokens nor events matched.
Done export_sqlite(const std::string& dir, store::ArchiveReader& reader, const store::Query& query,
                   const std::string& out);

}  // namespace kokuin::audit
