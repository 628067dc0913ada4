// EvidenceRecord (RFC 4998): proves that octets existed at a time, and goes on to prove it when keys and hash
// functions have aged. Values and their DER; nothing here is judged (check.h). Pure; thread-safe.
#pragma once

#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "pki/hash.h"

namespace kokuin::evidence {

/// PartialHashtree: hashes that have one father in a hash tree (RFC 4998 4.1).
using HashList = std::vector<Bytes>;

/// ArchiveTimeStamp (RFC 4998 4.1): a time-stamp, and the way from an object's hash to its imprint.
struct ArchiveTimeStamp {
    pki::Hash hash = pki::Hash::sha512;  ///< digestAlgorithm
    /// reducedHashtree, from the leaf's list up. Empty: the imprint is the hash of the object itself.
    std::vector<HashList> reduced;
    Bytes time_stamp;  ///< TimeStampToken (ContentInfo), DER
};

/// ArchiveTimeStampChain (RFC 4998 5.1): each but the first is over those before it. All of one hash.
struct Chain {
    std::vector<ArchiveTimeStamp> stamps;  ///< at least one, oldest first
    Bytes der;                             ///< as it stands in the record: what a later chain is over
};
Chain make_chain(std::vector<ArchiveTimeStamp> stamps);

/// Oldest first; each but the first is over the object and all chains before it (RFC 4998 5.2).
using Sequence = std::vector<Chain>;

/// The ArchiveTimeStampSequence of the first `count` chains, DER.
Bytes encode_sequence(const Sequence& chains, std::size_t count);
/// An EvidenceRecord, DER, with neither cryptoInfos nor encryptionInfo.
Bytes encode_record(const Sequence& chains);

/// Reads an EvidenceRecord in strict DER, ours or a foreign one: attributes and cryptoInfos are passed over.
/// Error (usage) with the octet: not DER, not this structure, encrypted objects (RFC 4998 6), a hash function
/// that isn't known, a chain of several. Takes anything.
Result<Sequence> parse_record(View der);

}  // namespace kokuin::evidence
