// The hash tree of an evidence record (RFC 4998 4.2). Unlike that of the log (store/tlog) it is of any hash
// function, and its nodes are over sorted hashes. Pure.
#pragma once

#include <vector>

#include "base/bytes.h"
#include "evidence/record.h"
#include "pki/hash.h"

namespace kokuin::evidence {

/// RFC 4998 4.2, 4.3: hashes in binary ascending order, one after the other, hashed; a single one stays as it
/// is (as the independent implementations have it). At least one.
Bytes father_of(pki::Hash hash, HashList list);
/// RFC 4998 5.2, step 4: what a new chain is over for an object of this hash, whose earlier chains, as an
/// ArchiveTimeStampSequence, have that one: H(h || ha), in this order.
Bytes renewed(pki::Hash hash, View object_hash, View sequence_hash);

/// A binary tree. Where a level has an odd number, its last one goes up as it is. Immutable.
class Tree {
  public:
    /// At least one leaf.
    Tree(pki::Hash hash, std::vector<Bytes> leaves);
    [[nodiscard]] const Bytes& root() const { return levels_.back().front(); }
    [[nodiscard]] std::size_t size() const { return levels_.front().size(); }
    [[nodiscard]] const Bytes& leaf(std::size_t index) const { return levels_.front()[index]; }
    /// What a leaf meets on its way up, from below; nothing if there is one leaf only.
    [[nodiscard]] std::vector<Bytes> siblings(std::size_t index) const;

  private:
    std::vector<std::vector<Bytes>> levels_;
};

/// reducedHashtree of a leaf that meets these on its way up; empty if it meets none. The leaf's own hash
/// stands in the first list (RFC 4998 4.3, step 2).
std::vector<HashList> reduced_tree(const Bytes& leaf, const std::vector<Bytes>& siblings);
/// Where a reduced tree leads to from a hash that stands in its first list (RFC 4998 4.3); empty if it
/// doesn't. Of an empty tree: the hash itself.
Bytes climb(pki::Hash hash, const std::vector<HashList>& reduced, const Bytes& from);

}  // namespace kokuin::evidence
