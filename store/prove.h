// One record's proof as a file that needs no archive (C2SP tlog-proof).
#pragma once

#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace kokuin::store {

/// What the `extra` of a proof file holds, DER: SEQUENCE { record OCTET STRING, blobs SEQUENCE OF OCTET
/// STRING }.
struct ProvedRecord {
    Bytes record;
    std::vector<Bytes> blobs;  ///< all that the record and its context name
};
Bytes encode(const ProvedRecord& proved);
/// Error (usage) with the octet.
Result<ProvedRecord> decode_proved_record(View der);

/// The proof of the issuance with this serial number against the newest checkpoint. Error (no): no such
/// token, or it is under no checkpoint yet; (environment): the archive is damaged, or isn't what was signed.
Result<std::string> prove(const std::string& dir, View serial);

}  // namespace kokuin::store
