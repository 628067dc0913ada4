// The record: the archive's only truth. One canonical, versioned byte string (DER) with a gap-free global
// number, later the leaf of the Merkle tree at that index. docs/archive.md holds the ASN.1 module. No
// personal data is ever in a record (design section 5). Pure; thread-safe.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "store/blob.h"
#include "store/parts.h"

namespace kokuin::store {

/// Global over all segments, gap-free, from 0: the index of the record's leaf.
using RecordNumber = std::int64_t;
/// 128 random bits; see Record::salt.
using Salt = std::array<std::uint8_t, 16>;

/// The TAC a token was issued under.
struct TacReference {
    BlobId blob{};  ///< its DER is this blob of the segment
    Bytes serial;   ///< unsigned big-endian magnitude; encode() drops leading zeros
    bool operator==(const TacReference&) const = default;
};

/// How the error of the clock was known when a token was issued: enough to compute it again.
struct ClockProof {
    BlobId basis{};  ///< the evidence, as tac::clock::Basis encodes it, is this blob of the segment
    /// The reading that was judged and became genTime: M, C (since 1970, POSIX) and M again in ns, and how
    /// long the machine had been asleep, at least and at most.
    std::int64_t m_ns = 0;
    std::int64_t c_ns = 0;
    std::int64_t gap_ns = 0;  ///< ≥ 0
    std::int64_t asleep_low_ns = 0;
    std::int64_t asleep_high_ns = 0;
    bool operator==(const ClockProof&) const = default;
};

/// One token went out (or was about to: the record comes first, design section 4 step 8).
struct Issuance {
    Bytes serial;  ///< unsigned big-endian magnitude, positive; encode() drops leading zeros
    std::int64_t gen_time_us =
        0;  ///< genTime of the TSTInfo, µs since 1970 (POSIX); the token may be coarser or finer
    std::string policy;                 ///< OID, dotted
    std::string imprint_algorithm;      ///< OID of the hash, dotted
    Bytes imprint;                      ///< 1 to 1024 octets
    std::string tsu;                    ///< configured name of the TSU, UTF-8, 1 to 256 octets, one line
    std::optional<TacReference> tac;    ///< nothing if issued without a TAC (`require_tac = false`)
    std::int64_t clock_bound_us = 0;    ///< largest |error| the clock could have had at genTime, µs, ≥ 0
    std::optional<ClockProof> clock{};  ///< nothing: no evidence is kept of how right it was
    BlobId certificate{};               ///< the TSU's signing certificate, DER, is this blob of the segment
    Parts token;  ///< rebuilds the token (the ContentInfo, DER) byte for byte; see split()
    bool operator==(const Issuance&) const = default;
};

/// UTF-8 text, an integer, or octets.
using FieldValue = std::variant<std::string, std::int64_t, Bytes>;

/// Anything else worth keeping: "tac.accepted", "tac.stop", "gate.closed", "gate.opened", "audit",
/// "server.started", "refusals", …
struct Event {
    std::string kind;     ///< 1 to 64 of a–z, 0–9, '.', '-', '_'
    std::string subject;  ///< whom it concerns, e.g. the TSU's name; UTF-8, one line, at most 256 octets, may
                          ///< be empty
    std::string text;     ///< for people; UTF-8, one line, at most 4096 octets, may be empty
    std::map<std::string, FieldValue> fields;  ///< for programs; keys: UTF-8, one line, 1 to 64 octets
    std::vector<BlobId> blobs;                 ///< blobs of the segment that belong to it, e.g. the TAC

    /// The field of this name, if it is a T (std::string, std::int64_t, Bytes); null: there is none, or it is
    /// another type: events may be of another version, or anybody's. Valid as long as the event.
    template <typename T>
    [[nodiscard]] const T* find(const std::string& key) const {
        const auto at = fields.find(key);
        return at == fields.end() ? nullptr : std::get_if<T>(&at->second);
    }
    /// The same, for whom none and T() are the same.
    template <typename T>
    [[nodiscard]] T value(const std::string& key) const {
        const T* found = find<T>(key);
        return found ? *found : T();
    }
    bool operator==(const Event&) const = default;
};

using Body = std::variant<Issuance, Event>;

struct Record {
    RecordNumber number = 0;
    std::int64_t at_us =
        0;  ///< when it was handed to the archive by the caller's clock, µs since 1970 (POSIX)
    /// In everything but issuances, whose imprint is unguessable already: once a record is removed after its
    /// time, the leaf hash that stays must not let anybody guess it back.
    std::optional<Salt> salt;
    Body body;
    bool operator==(const Record&) const = default;
};

/// What an issuance's record holds by itself. The rest is in a blob that it names and that many share: its
/// context (context.h). The fields are those of Issuance.
struct OwnIssuance {
    BlobId context{};
    Bytes serial;
    std::int64_t gen_time_us = 0;
    Bytes imprint;
    std::int64_t clock_bound_us = 0;
    std::optional<ClockProof> clock{};
    std::vector<Bytes> literals;  ///< the literal parts of the token, in their order
};
/// A record as it stands, without its context: what is left to read where that is lost.
struct BareRecord {
    RecordNumber number = 0;
    std::int64_t at_us = 0;
    std::optional<Salt> salt;
    std::variant<OwnIssuance, Event> body;
};

/// The one encoding of `record`; of an issuance it names the context that encode_body() gives. Error (usage)
/// that names the field if something is outside the ranges above.
Result<Bytes> encode(const Record& record);
/// A body alone, and the version of a record that holds it.
struct EncodedBody {
    std::int64_t version = 1;
    Bytes der;
    std::optional<Blob> context{};  ///< of an issuance: belongs into the record's segment
};
/// The encoding of the body alone; what encode() puts last.
Result<EncodedBody> encode_body(const Issuance& body);
Result<EncodedBody> encode_body(const Event& body);
/// The record around a body that encode_body() made.
Bytes encode_around(RecordNumber number, std::int64_t at_us, const std::optional<Salt>& salt,
                    const EncodedBody& body);

class Contexts;

/// Strict: octets that decode are exactly those that encode() makes of the result, and the context is the one
/// that encode_body() makes of it. Error (environment: the archive is damaged, or newer than this program)
/// with the offset and what was wrong, or the context that `blobs` lacks, or that isn't what its name says.
/// `contexts`: see there.
Result<Record> decode(View record, Contexts& contexts, const BlobLookup& blobs);
/// The two steps of it, for whoever has to say something of a record whose context is lost, or needs none.
Result<BareRecord> decode_bare(View record);
Result<Record> complete(BareRecord record, Contexts& contexts, const BlobLookup& blobs);

/// Every blob that the body names, each once; an issuance's context, which only encode_body() and
/// OwnIssuance name, is none of them.
std::vector<BlobId> blobs_of(const Issuance& body);
std::vector<BlobId> blobs_of(const Event& body);

}  // namespace kokuin::store
