#include "store/tlog/merkle.h"

#include <botan/hash.h>

#include <bit>
#include <memory>

namespace kokuin::tlog {
namespace {

Hash hash_of(std::uint8_t prefix, View first, View second = {}) {
    // Looking an algorithm up costs more than hashing a node with it.
    thread_local const std::unique_ptr<Botan::HashFunction> sha256 =
        Botan::HashFunction::create_or_throw("SHA-256");
    sha256->update(prefix);
    sha256->update(first.data(), first.size());
    sha256->update(second.data(), second.size());
    Hash hash{};
    sha256->final(hash.data());
    return hash;
}

/// The largest power of two below `size` (> 1).
std::uint64_t split_of(std::uint64_t size) {
    return std::bit_floor(size - 1);
}

/// Root over [begin, end), of which begin is a multiple of a power of two that is no smaller than the length.
Result<Hash> root_of(std::uint64_t begin, std::uint64_t end, const Nodes& nodes) {
    const std::uint64_t size = end - begin;
    if (std::has_single_bit(size)) {
        const auto level = static_cast<unsigned>(std::countr_zero(size));
        return nodes(level, begin >> level);
    }
    const std::uint64_t middle = begin + split_of(size);
    const auto left = root_of(begin, middle, nodes);
    if (!left) return left.error();
    const auto right = root_of(middle, end, nodes);
    if (!right) return right.error();
    return node_hash(*left, *right);
}

}  // namespace

Hash leaf_hash(View entry) {
    return hash_of(0, entry);
}

Hash node_hash(const Hash& left, const Hash& right) {
    return hash_of(1, left, right);
}

void Growing::add(const Hash& leaf) {
    Hash hash = leaf;
    for (std::uint64_t full = size_; (full & 1U) != 0; full >>= 1U) {
        hash = node_hash(complete_.back(), hash);
        complete_.pop_back();
    }
    complete_.push_back(hash);
    ++size_;
}

TreeHead Growing::head() const {
    if (complete_.empty()) {
        TreeHead empty;
        Botan::HashFunction::create_or_throw("SHA-256")->final(empty.root.data());
        return empty;
    }
    Hash root = complete_.back();
    for (std::size_t i = complete_.size() - 1; i-- > 0;) root = node_hash(complete_[i], root);
    return {size_, root};
}

Result<Growing> grown(std::uint64_t size, const Nodes& nodes) {
    Growing tree;
    for (std::uint64_t begin = 0; begin < size;) {
        const std::uint64_t step = std::bit_floor(size - begin);
        const auto root = root_of(begin, begin + step, nodes);
        if (!root) return root.error();
        tree.complete_.push_back(*root);
        begin += step;
    }
    tree.size_ = size;
    return tree;
}

Result<std::vector<Hash>> inclusion_proof(std::uint64_t index, std::uint64_t size, const Nodes& nodes) {
    // From the root down: what stands beside the way; then turned round.
    std::vector<Hash> proof;
    for (std::uint64_t begin = 0, end = size; end - begin > 1;) {
        const std::uint64_t middle = begin + split_of(end - begin);
        const bool left = index < middle;
        const auto beside = left ? root_of(middle, end, nodes) : root_of(begin, middle, nodes);
        if (!beside) return beside.error();
        proof.push_back(*beside);
        (left ? end : begin) = middle;
    }
    return std::vector<Hash>(proof.rbegin(), proof.rend());
}

Result<std::vector<Hash>> consistency_proof(std::uint64_t old_size, std::uint64_t size, const Nodes& nodes) {
    std::vector<Hash> proof;
    if (old_size == 0 || old_size == size) return proof;
    // RFC 6962 2.1.2, SUBPROOF(m, D[begin:end], b), from the root down.
    std::uint64_t begin = 0;
    std::uint64_t end = size;
    bool whole = true;  // the old tree's right edge ends where this subtree began to be walked: b
    while (end != old_size) {
        const std::uint64_t middle = begin + split_of(end - begin);
        const bool left = old_size <= middle;
        const auto beside = left ? root_of(middle, end, nodes) : root_of(begin, middle, nodes);
        if (!beside) return beside.error();
        proof.push_back(*beside);
        if (left) {
            end = middle;
        } else {
            begin = middle;
            whole = false;
        }
    }
    if (!whole) {
        const auto last = root_of(begin, end, nodes);
        if (!last) return last.error();
        proof.push_back(*last);
    }
    return std::vector<Hash>(proof.rbegin(), proof.rend());
}

bool verify_inclusion(std::uint64_t index, const Hash& leaf, const std::vector<Hash>& proof,
                      const TreeHead& head) {
    if (index >= head.size) return false;
    std::uint64_t node = index;
    std::uint64_t last = head.size - 1;
    Hash root = leaf;
    for (const Hash& beside : proof) {
        if (last == 0) return false;
        if ((node & 1U) != 0 || node == last) {
            root = node_hash(beside, root);
            while ((node & 1U) == 0 && node != 0) {
                node >>= 1U;
                last >>= 1U;
            }
        } else {
            root = node_hash(root, beside);
        }
        node >>= 1U;
        last >>= 1U;
    }
    return last == 0 && root == head.root;
}

bool verify_consistency(const TreeHead& old_head, const TreeHead& head, const std::vector<Hash>& proof) {
    if (old_head.size > head.size) return false;
    if (old_head.size == head.size) return proof.empty() && old_head.root == head.root;
    if (old_head.size == 0) return proof.empty() && old_head == Growing().head();
    if (proof.empty()) return false;
    auto next = proof.begin();
    // A complete old tree is its own first hash, and isn't repeated.
    const Hash first = std::has_single_bit(old_head.size) ? old_head.root : *next++;
    std::uint64_t node = old_head.size - 1;
    std::uint64_t last = head.size - 1;
    while ((node & 1U) != 0) {
        node >>= 1U;
        last >>= 1U;
    }
    Hash old_root = first;
    Hash root = first;
    for (; next != proof.end(); ++next) {
        if (last == 0) return false;
        if ((node & 1U) != 0 || node == last) {
            old_root = node_hash(*next, old_root);
            root = node_hash(*next, root);
            while ((node & 1U) == 0 && node != 0) {
                node >>= 1U;
                last >>= 1U;
            }
        } else {
            root = node_hash(root, *next);
        }
        node >>= 1U;
        last >>= 1U;
    }
    return last == 0 && old_root == old_head.root && root == head.root;
}

}  // namespace kokuin::tlog
