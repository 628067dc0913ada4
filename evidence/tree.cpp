#include "evidence/tree.h"

#include <algorithm>
#include <utility>

namespace kokuin::evidence {

Bytes father_of(pki::Hash hash, HashList list) {
    if (list.size() == 1) return std::move(list.front());
    std::sort(list.begin(), list.end());
    Bytes together;
    for (const Bytes& one : list) append(together, one);
    return pki::digest(hash, together);
}

Bytes renewed(pki::Hash hash, View object_hash, View sequence_hash) {
    Bytes together(object_hash.begin(), object_hash.end());
    append(together, sequence_hash);
    return pki::digest(hash, together);
}

Tree::Tree(pki::Hash hash, std::vector<Bytes> leaves) {
    levels_.push_back(std::move(leaves));
    while (levels_.back().size() > 1) {
        const auto& below = levels_.back();
        std::vector<Bytes> level;
        level.reserve((below.size() + 1) / 2);
        for (std::size_t i = 0; i + 1 < below.size(); i += 2)
            level.push_back(father_of(hash, {below[i], below[i + 1]}));
        if (below.size() % 2 == 1) level.push_back(below.back());
        levels_.push_back(std::move(level));
    }
}

std::vector<Bytes> Tree::siblings(std::size_t index) const {
    std::vector<Bytes> met;
    for (std::size_t level = 0; level + 1 < levels_.size(); ++level, index /= 2)
        if (const std::size_t other = index ^ 1U; other < levels_[level].size())
            met.push_back(levels_[level][other]);
    return met;
}

std::vector<HashList> reduced_tree(const Bytes& leaf, const std::vector<Bytes>& siblings) {
    std::vector<HashList> reduced;
    for (const Bytes& sibling : siblings)
        reduced.push_back(reduced.empty() ? HashList{leaf, sibling} : HashList{sibling});
    return reduced;
}

Bytes climb(pki::Hash hash, const std::vector<HashList>& reduced, const Bytes& from) {
    Bytes at = from;
    for (std::size_t i = 0; i < reduced.size(); ++i) {
        HashList list = reduced[i];
        if (i == 0) {
            if (std::find(list.begin(), list.end(), from) == list.end()) return {};
        } else {
            list.push_back(std::move(at));
        }
        at = father_of(hash, std::move(list));
    }
    return at;
}

}  // namespace kokuin::evidence
