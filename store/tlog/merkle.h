// The Merkle tree of RFC 6962 (2.1) with SHA-256: hashes, roots, proofs. Pure; thread-safe.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace kokuin::tlog {

/// SHA-256 of a leaf, of a node, or of a whole tree.
using Hash = std::array<std::uint8_t, 32>;

/// RFC 6962 2.1: SHA-256 of 00 and the entry.
Hash leaf_hash(View entry);
/// RFC 6962 2.1: SHA-256 of 01, left, right.
Hash node_hash(const Hash& left, const Hash& right);

/// How many leaves a tree has, and the hash over them. Of no leaves: SHA-256 of nothing.
struct TreeHead {
    std::uint64_t size = 0;
    Hash root{};
    bool operator==(const TreeHead&) const = default;
};

/// A tree that only grows, as the roots of its complete subtrees: enough for its head, and no larger than 64
/// hashes. A value; one thread at a time.
class Growing {
  public:
    /// One leaf more, by its hash.
    void add(const Hash& leaf);
    [[nodiscard]] std::uint64_t size() const { return size_; }
    /// At most 64 hashings.
    [[nodiscard]] TreeHead head() const;

  private:
    friend Result<Growing> grown(std::uint64_t size,
                                 const std::function<Result<Hash>(unsigned, std::uint64_t)>&);
    std::uint64_t size_ = 0;
    std::vector<Hash> complete_;  // of the ones of size_, from the highest
};

/// Where hashes of complete subtrees come from: that over the leaves [index << level, (index + 1) << level).
/// Never asked for one that reaches beyond the tree.
using Nodes = std::function<Result<Hash>(unsigned level, std::uint64_t index)>;

/// The tree of the first `size` leaves. The error is that of `nodes`, as of all below.
Result<Growing> grown(std::uint64_t size, const Nodes& nodes);
/// Proof that leaf `index` (< size) is in the tree of `size` leaves: from the leaf's neighbour up (RFC 6962
/// 2.1.1).
Result<std::vector<Hash>> inclusion_proof(std::uint64_t index, std::uint64_t size, const Nodes& nodes);
/// Proof that the tree of `old_size` leaves (≤ size) is the beginning of that of `size` (RFC 6962 2.1.2);
/// empty if they are the same, or the old one is empty.
Result<std::vector<Hash>> consistency_proof(std::uint64_t old_size, std::uint64_t size, const Nodes& nodes);

/// True if the proof shows that `leaf` stands at `index` in the tree of `head` (RFC 9162 2.1.3.2).
bool verify_inclusion(std::uint64_t index, const Hash& leaf, const std::vector<Hash>& proof,
                      const TreeHead& head);
/// True if the proof shows that the tree of `old_head` is the beginning of that of `head` (RFC 9162 2.1.4.2).
bool verify_consistency(const TreeHead& old_head, const TreeHead& head, const std::vector<Hash>& proof);

}  // namespace kokuin::tlog
