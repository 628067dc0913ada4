// One finished month of an archive as the objects of evidence records: its last tree head, and its tokens.
// All have the same time-stamps, and each its own way to them.
#pragma once

#include <cstdint>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "evidence/record.h"
#include "evidence/tree.h"
#include "pki/hash.h"
#include "store/record.h"

namespace kokuin::evidence {

/// The records whose numbers lie in [first + i * span, first + (i + 1) * span) are group i. The leaves of the
/// hash tree are the head, and the tokens group by group, in the order of their numbers; a group is a tree of
/// its own, so that one token is found without reading a month.
struct Grouping {
    store::RecordNumber first = 0;  ///< of the month
    store::RecordNumber end = 0;    ///< records of the month are below
    std::int64_t span = 256;

    /// At most some 4,096 groups, of 256 records or more.
    static Grouping of(store::RecordNumber first, store::RecordNumber end);
    [[nodiscard]] std::size_t groups() const;
    [[nodiscard]] std::size_t group_of(store::RecordNumber number) const;
    [[nodiscard]] store::RecordNumber begin_of(std::size_t group) const;
    bool operator==(const Grouping&) const = default;
};

/// What all objects of a month share of one ArchiveTimeStampChain.
struct Layer {
    pki::Hash hash = pki::Hash::sha512;
    std::vector<Bytes> groups;  ///< root of each group's tree; empty octets: it has no token
    std::vector<Bytes> stamps;  ///< time-stamps, DER: over the whole tree, then each over all before it
};

/// The groups of a layer as a blob of the archive, DER: Groups ::= SEQUENCE { span INTEGER, roots SEQUENCE OF
/// OCTET STRING }.
Bytes encode_groups(const Grouping& grouping, const std::vector<Bytes>& roots);
/// The span goes into the grouping. Error (environment): damaged, or not of this many records.
Result<std::vector<Bytes>> decode_groups(View der, pki::Hash hash, Grouping& grouping);

/// One object of a month.
struct Object {
    store::RecordNumber number = 0;  ///< of the token's record
    Bytes octets;                    ///< the token, DER
};
/// What a renewal of a chain's time-stamps (RFC 4998 5.2) is over: the hash of the only one so far, or of all
/// of them, sorted. All, and not only the last one, because the independent implementation wants it so; by
/// the RFC it is enough that the last one is among them.
Bytes renewal_imprint(pki::Hash hash, const std::vector<Bytes>& stamps);

/// A month with the layers that it has, oldest first. Immutable.
class Month {
  public:
    /// `head`: the octets of the first object: the checkpoint at the month's end, a note. Each layer has as
    /// many groups as the grouping, and a time-stamp.
    Month(Grouping grouping, Bytes head, std::vector<Layer> layers);

    [[nodiscard]] const Grouping& grouping() const { return grouping_; }
    [[nodiscard]] const std::vector<Layer>& layers() const { return layers_; }
    [[nodiscard]] const Bytes& head() const { return head_; }

    /// Root of the tree of these tokens, all of one group, in layer `index` or in one of `hash` that comes
    /// after all (index = layers().size()); no octets if there are none.
    [[nodiscard]] Bytes group_root(std::size_t index, pki::Hash hash,
                                   const std::vector<Object>& tokens) const;
    /// What the first time-stamp of layer `index` is over, or of one of `hash` after all, if these are its
    /// groups.
    [[nodiscard]] Bytes imprint(std::size_t index, pki::Hash hash, const std::vector<Bytes>& groups) const;

    /// The evidence record of the token that this record holds; `tokens` are all of its group. Error (no): it
    /// isn't among them, or there is no layer.
    [[nodiscard]] Result<Sequence> evidence(store::RecordNumber number,
                                            const std::vector<Object>& tokens) const;
    /// That of the head; empty if there is no layer.
    [[nodiscard]] const Sequence& evidence_of_head() const { return head_chains_; }

  private:
    [[nodiscard]] Tree top(std::size_t index, pki::Hash hash, const std::vector<Bytes>& groups) const;
    /// The chains of tokens of one group in the first `count` layers.
    [[nodiscard]] std::vector<Sequence> chains(std::size_t count, const std::vector<Object>& tokens) const;

    Grouping grouping_;
    Bytes head_;
    std::vector<Layer> layers_;
    std::vector<Tree> tops_;  // of each layer: over the head's leaf and the groups that have tokens
    Sequence head_chains_;
};

}  // namespace kokuin::evidence
