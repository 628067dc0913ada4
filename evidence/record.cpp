#include "evidence/record.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "base/der.h"
#include "tsa/protocol/token.h"

namespace kokuin::evidence {
namespace {

/// Renewals are years apart; each chain costs a hash over all before it.
constexpr std::size_t most_chains = 100;
constexpr std::size_t most_stamps = 1000;

Bytes algorithm(pki::Hash hash) {
    return der::algorithm(pki::oid(hash), false);
}

Bytes encode(const ArchiveTimeStamp& stamp) {
    Bytes content;
    // DEFINITIONS IMPLICIT TAGS: [0] takes the place of the SEQUENCE's tag.
    Bytes named = algorithm(stamp.hash);
    named[0] = der::context(0, true);
    append(content, named);
    if (!stamp.reduced.empty()) {
        Bytes lists;
        for (const HashList& list : stamp.reduced) {
            Bytes hashes;
            for (const Bytes& hash : list) append(hashes, der::octets(hash));
            append(lists, der::tlv(der::sequence_tag, hashes));
        }
        append(content, der::tlv(der::context(2, true), lists));
    }
    append(content, stamp.time_stamp);
    return der::tlv(der::sequence_tag, content);
}

std::optional<pki::Hash> read_algorithm(der::Reader& reader, std::uint8_t tag) {
    der::Reader inner = reader.enter(tag, "digestAlgorithm");
    const std::string oid = inner.read_oid("its OID");
    if (!inner.at_end()) inner.read_null("its parameters");
    inner.finish("digestAlgorithm");
    if (inner.failed()) return std::nullopt;
    return pki::hash_from_oid(oid);
}

/// That of a time-stamp's imprint: it counts where the ArchiveTimeStamp names none (RFC 4998 4.1).
std::optional<pki::Hash> hash_of(View time_stamp) {
    const auto token = tsp::parse_token(time_stamp, tsp::TokenCertificates::skip);
    return token ? pki::hash_from_oid(token->tst_info.hash_oid) : std::nullopt;
}

ArchiveTimeStamp read_stamp(der::Reader& chain, std::optional<pki::Hash> before) {
    ArchiveTimeStamp stamp;
    der::Reader reader = chain.enter(der::sequence_tag, "ArchiveTimeStamp");
    const bool named = reader.next_is(der::context(0, true));
    std::optional<pki::Hash> hash;
    if (named) hash = read_algorithm(reader, der::context(0, true));
    if (reader.next_is(der::context(1, true))) (void)reader.any();
    if (reader.next_is(der::context(2, true))) {
        der::Reader lists = reader.enter(der::context(2, true), "reducedHashtree");
        while (!lists.at_end()) {
            der::Reader hashes = lists.enter(der::sequence_tag, "PartialHashtree");
            HashList list;
            while (!hashes.at_end()) list.push_back(hashes.read_octets("a hash"));
            if (list.empty() && !lists.failed()) lists.fail("a list of hashes is empty");
            stamp.reduced.push_back(std::move(list));
        }
        if (stamp.reduced.empty() && !reader.failed()) reader.fail("reducedHashtree is empty");
    }
    const der::Element token = reader.expect(der::sequence_tag, "timeStamp");
    stamp.time_stamp.assign(token.whole.begin(), token.whole.end());
    if (!named && !reader.failed()) hash = hash_of(stamp.time_stamp);
    if (!hash) {
        reader.fail("the hash function is none that is known here");
    } else if (before && *hash != *before) {
        reader.fail("the time-stamps of a chain have different hash functions (RFC 4998 5.1)");
    }
    reader.finish("ArchiveTimeStamp");
    if (hash) stamp.hash = *hash;
    for (const HashList& list : stamp.reduced)
        for (const Bytes& one : list)
            if (one.size() != pki::length(stamp.hash))
                reader.fail("a hash of another length than its function's");
    return stamp;
}

}  // namespace

Chain make_chain(std::vector<ArchiveTimeStamp> stamps) {
    Chain chain;
    Bytes content;
    for (const ArchiveTimeStamp& stamp : stamps) append(content, encode(stamp));
    chain.der = der::tlv(der::sequence_tag, content);
    chain.stamps = std::move(stamps);
    return chain;
}

Bytes encode_sequence(const Sequence& chains, std::size_t count) {
    Bytes content;
    for (std::size_t i = 0; i < count; ++i) append(content, chains[i].der);
    return der::tlv(der::sequence_tag, content);
}

Bytes encode_record(const Sequence& chains) {
    std::vector<pki::Hash> hashes;
    for (const Chain& chain : chains)
        if (std::find(hashes.begin(), hashes.end(), chain.stamps.front().hash) == hashes.end())
            hashes.push_back(chain.stamps.front().hash);
    Bytes algorithms;
    for (const pki::Hash hash : hashes) append(algorithms, algorithm(hash));
    return der::sequence(
        {der::integer(1), der::tlv(der::sequence_tag, algorithms), encode_sequence(chains, chains.size())});
}

Result<Sequence> parse_record(View input) {
    Sequence chains;
    der::Reader outer(input);
    der::Reader record = outer.enter(der::sequence_tag, "EvidenceRecord");
    if (record.read_int64("version") != 1 && !record.failed()) record.fail("version isn't 1");
    (void)record.expect(der::sequence_tag, "digestAlgorithms");
    if (record.next_is(der::context(0, true))) (void)record.any();  // cryptoInfos
    if (record.next_is(der::context(1, true)))
        record.fail("encryptionInfo: records of encrypted objects aren't judged here");
    der::Reader sequence = record.enter(der::sequence_tag, "archiveTimeStampSequence");
    while (!sequence.at_end()) {
        const der::Element element = sequence.expect(der::sequence_tag, "ArchiveTimeStampChain");
        if (chains.size() == most_chains) return Error::usage("no EvidenceRecord: too many chains");
        Chain chain;
        chain.der.assign(element.whole.begin(), element.whole.end());
        der::Reader whole(element.whole);
        der::Reader stamps = whole.enter(der::sequence_tag, "ArchiveTimeStampChain");
        std::optional<pki::Hash> hash;
        while (!stamps.at_end() && chain.stamps.size() < most_stamps) {
            chain.stamps.push_back(read_stamp(stamps, hash));
            hash = chain.stamps.back().hash;
        }
        stamps.finish("ArchiveTimeStampChain");
        if (whole.failed())
            return Error::usage("no EvidenceRecord: " +
                                der::Fault{static_cast<std::size_t>(element.whole.data() - input.data()) +
                                               whole.fault().offset,
                                           whole.fault().what}
                                    .text());
        if (chain.stamps.empty()) return Error::usage("no EvidenceRecord: a chain has no time-stamp");
        chains.push_back(std::move(chain));
    }
    record.finish("EvidenceRecord");
    outer.finish("the record");
    if (outer.failed()) return Error::usage("no EvidenceRecord: " + outer.fault().text());
    if (chains.empty()) return Error::usage("no EvidenceRecord: it has no time-stamp");
    return chains;
}

}  // namespace kokuin::evidence
