#include "evidence/tree.h"

#include <catch2/catch.hpp>

using namespace kokuin;
using namespace kokuin::evidence;

namespace {

Bytes leaf(std::size_t i) {
    return pki::digest(pki::Hash::sha256, as_view("leaf " + std::to_string(i)));
}

/// RFC 4998 4.2 by its words: pairs of a level, sorted, hashed; an odd one goes up.
Bytes root_by_definition(std::vector<Bytes> level) {
    while (level.size() > 1) {
        std::vector<Bytes> up;
        for (std::size_t i = 0; i < level.size(); i += 2) {
            if (i + 1 == level.size()) {
                up.push_back(level[i]);
                continue;
            }
            const bool first = level[i] < level[i + 1];
            Bytes both = first ? level[i] : level[i + 1];
            append(both, first ? level[i + 1] : level[i]);
            up.push_back(pki::digest(pki::Hash::sha256, both));
        }
        level = up;
    }
    return level.front();
}

}  // namespace

TEST_CASE("every leaf of every tree climbs to its root, and nothing else does") {
    for (std::size_t size = 1; size <= 40; ++size) {
        std::vector<Bytes> leaves;
        for (std::size_t i = 0; i < size; ++i) leaves.push_back(leaf(i));
        const Tree tree(pki::Hash::sha256, leaves);
        REQUIRE(tree.root() == root_by_definition(leaves));
        for (std::size_t i = 0; i < size; ++i) {
            const auto reduced = reduced_tree(leaves[i], tree.siblings(i));
            CHECK(climb(pki::Hash::sha256, reduced, leaves[i]) == tree.root());
            CHECK(climb(pki::Hash::sha256, reduced, leaf(size)) != tree.root());
            if (size > 1) {
                // RFC 4998 4.3, step 2: the object's hash stands in the first list.
                CHECK(reduced.front().size() == 2);
                CHECK(climb(pki::Hash::sha256, reduced, leaf(size)).empty());
            }
        }
    }
}

TEST_CASE("one hash goes up as it is; several are sorted before they are hashed") {
    CHECK(father_of(pki::Hash::sha256, {leaf(1)}) == leaf(1));
    CHECK(father_of(pki::Hash::sha256, {leaf(1), leaf(2), leaf(3)}) ==
          father_of(pki::Hash::sha256, {leaf(3), leaf(1), leaf(2)}));
    // RFC 4998 5.2, step 4: in this order, not sorted.
    CHECK(renewed(pki::Hash::sha256, leaf(1), leaf(2)) != renewed(pki::Hash::sha256, leaf(2), leaf(1)));
}
