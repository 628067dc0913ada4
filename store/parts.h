// Parts: how a record holds a token byte for byte without repeating what every token of its TSU repeats. The
// store knows nothing of CMS: it cuts wherever a known blob, the imprint, the serial number or a digest of
// octets further ahead happens to stand. Pure; thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
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
    serial = 1,   ///< the serial number's INTEGER, DER: identifier, length and content octets
};
/// Here stands the digest of octets that come further ahead in the same token.
struct Digest {
    std::string algorithm;    ///< OID of the hash, dotted: one that can_digest()
    std::int64_t begin = 0;   ///< the first of these octets, counted from 0 at the token's beginning
    std::int64_t length = 0;  ///< how many, 1 or more; the last one comes before the digest
    bool operator==(const Digest&) const = default;
};
/// SHA-256, SHA-384 and SHA-512.
bool can_digest(std::string_view oid);

using Part = std::variant<Literal, BlobReference, Field, Digest>;
/// In the token's order; no two literals are neighbours.
using Parts = std::vector<Part>;

/// Cuts `token` so that join() gives it back, octet for octet: that is checked here, each time, and whatever
/// the arguments are it holds. `known`: blobs worth a reference (shorter than 40 octets they aren't, and are
/// passed over); where they overlap, the longer wins. `serial`: unsigned big-endian magnitude, as in
/// Issuance. `digest`: of which octets the token holds a digest, and by which hash; nothing: none is known.
/// The order of `known` doesn't matter.
Parts split(View token, const std::vector<Blob>& known, View imprint, View serial,
            const std::optional<Digest>& digest = {});

/// The token that `parts` describe. Error (environment: the archive is damaged) if a blob is missing, or a
/// digest is of octets that don't come before it; whether a blob's content has the SHA-256 it is named by is
/// the source's business (ArchiveReader checks it).
Result<Bytes> join(const Parts& parts, const BlobSource& blobs, View imprint, View serial);

}  // namespace kokuin::store
