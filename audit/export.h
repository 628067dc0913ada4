// The tokens of an archive for those who come with their own tools.
#pragma once

#include <iosfwd>
#include <string>

#include "base/result.h"
#include "store/reader.h"

namespace kokuin::audit {

struct ExportArguments {
    std::string format = "csv";  ///< "csv", "jsonl", "tokens"
    std::string out;             ///< file, of "tokens" folder; empty: `out` of export_tokens
};

/// Writes what matches, oldest first. csv (RFC 4180, a line of names first): serial, gen_time, policy,
/// imprint_algorithm, imprint, tsu, tac, clock_bound_us, number, segment, certificate. jsonl: a find_json() a
/// line, and `certificate`, `token` (base64). tokens: SERIAL.der for each, DER as the client got it; each is
/// checked before it is written (soundness.h). A file appears under its name when all of it is written. Error
/// (no): nothing matched.
Done export_tokens(store::ArchiveReader& reader, const store::Query& query, const ExportArguments& arguments,
                   std::ostream& out);

}  // namespace kokuin::audit
