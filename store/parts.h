// Parts: how a record holds a token byte for byte without repeating what every token of its TSU repeats. The
// store knows nothing of CMS: it cuts wherever a known blob, the imprint or the serial number happens to
// stand. Pure; thread-safe.
#pragma once

#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "store/blob.h"

namespace kokuin::store {

/// Octets that stand in the token as they are; never empty.
struct Literal {
    Bytes octets;
    bool operator==(const Literal&) const = default;
};
/// Here stands the whole content of this blob.
struct BlobReference {
    BlobId id{};
    bool operator==(const BlobReference&) const = default;
};
/// Here stands a field of the same record.
enum class Field : std::uint8_t {
    imprint = 0,  ///< the imprint's octets
    serial = 1,   ///< the content octets of the serial number's INTEGER (minimal two's complement)
};
using Part = std::variant<Literal, BlobReference, Field>;
/// In the token's order; no two literals are neighbours.
using Parts = std::vector<Part>;

/// Cuts `token` so that join() gives it back, octet for octet: that is checked here, each time, and whatever
/// the arguments are it holds. `known`: blobs worth a reference (shorter than 40 octets they aren't, and are
/// passed over); where they overlap, the longer wins. `serial`: unsigned big-endian magnitude, as in
/// Issuance. The order of `known` doesn't matter.
Parts split(View token, const std::vector<Blob>& known, View imprint, View serial);

/// The token that `parts` describe. Error (environment: the archive is damaged) if a blob is missing; whether
/// a blob's content has the SHA-256 it is named by is the source's business (ArchiveReader checks it).
Result<Bytes> join(const Parts& parts, const BlobSource& blobs, View imprint, View serial);

}  // namespace kokuin::store
