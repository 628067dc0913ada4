// RFC 6962 2.1 and RFC 9162 2.1 against their own definitions, and against the vectors of Certificate
// Transparency.
#include "store/tlog/merkle.h"

#include <catch2/catch.hpp>
#include <map>

using namespace kokuin;
using namespace kokuin::tlog;

namespace {

std::vector<Hash> leaves(std::uint64_t count) {
    std::vector<Hash> made;
    for (std::uint64_t i = 0; i < count; ++i) made.push_back(leaf_hash(as_view("leaf " + std::to_string(i))));
    return made;
}

std::uint64_t below(std::uint64_t n) {
    std::uint64_t k = 1;
    while (k * 2 < n) k *= 2;
    return k;
}

/// MTH, PATH and SUBPROOF as RFC 6962 writes them.
Hash mth(const std::vector<Hash>& d) {
    if (d.empty()) return Growing().head().root;
    if (d.size() == 1) return d[0];
    const auto k = static_cast<std::ptrdiff_t>(below(d.size()));
    return node_hash(mth({d.begin(), d.begin() + k}), mth({d.begin() + k, d.end()}));
}

std::vector<Hash> path(std::uint64_t m, const std::vector<Hash>& d) {
    if (d.size() == 1) return {};
    const std::uint64_t k = below(d.size());
    const auto at = d.begin() + static_cast<std::ptrdiff_t>(k);
    std::vector<Hash> out = m < k ? path(m, {d.begin(), at}) : path(m - k, {at, d.end()});
    out.push_back(m < k ? mth({at, d.end()}) : mth({d.begin(), at}));
    return out;
}

std::vector<Hash> subproof(std::uint64_t m, const std::vector<Hash>& d, bool b) {
    if (m == d.size()) return b ? std::vector<Hash>{} : std::vector<Hash>{mth(d)};
    const std::uint64_t k = below(d.size());
    const auto at = d.begin() + static_cast<std::ptrdiff_t>(k);
    std::vector<Hash> out = m <= k ? subproof(m, {d.begin(), at}, b) : subproof(m - k, {at, d.end()}, false);
    out.push_back(m <= k ? mth({at, d.end()}) : mth({d.begin(), at}));
    return out;
}

Nodes nodes_of(const std::vector<Hash>& d) {
    return [&d](unsigned level, std::uint64_t index) -> Result<Hash> {
        const auto begin = static_cast<std::ptrdiff_t>(index << level);
        const auto end = static_cast<std::ptrdiff_t>((index + 1) << level);
        if (static_cast<std::size_t>(end) > d.size()) return Error::no("asked for what isn't there");
        return mth({d.begin() + begin, d.begin() + end});
    };
}

}  // namespace

TEST_CASE("the vectors of Certificate Transparency") {
    Growing tree;
    CHECK(to_hex(tree.head().root) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    const std::pair<const char*, const char*> steps[] = {
        {"", "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"},
        {"00", "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"},
        {"10", "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"},
        {"2021", "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"},
        {"3031", "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4"},
        {"40414243", "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef"},
        {"5051525354555657", "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c"},
        {"606162636465666768696a6b6c6d6e6f",
         "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"}};
    for (const auto& [leaf, root] : steps) {
        tree.add(leaf_hash(*from_hex(leaf)));
        CHECK(to_hex(tree.head().root) == root);
    }
    CHECK(tree.size() == 8);
}

TEST_CASE("every proof of small trees is the one RFC 6962 defines, and holds for nothing else") {
    constexpr std::uint64_t most = 35;
    const auto all = leaves(most);
    std::map<std::uint64_t, TreeHead> heads;
    for (std::uint64_t size = 0; size <= most; ++size) {
        const std::vector<Hash> d(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(size));
        heads[size] = {size, mth(d)};
        const auto tree = grown(size, nodes_of(d));
        REQUIRE(tree);
        CHECK(tree->head() == heads[size]);
    }
    for (std::uint64_t size = 1; size <= most; ++size) {
        const std::vector<Hash> d(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(size));
        for (std::uint64_t index = 0; index < size; ++index) {
            const auto proof = inclusion_proof(index, size, nodes_of(d));
            REQUIRE(proof);
            CHECK(*proof == path(index, d));
            CHECK(verify_inclusion(index, d[index], *proof, heads[size]));
            for (std::uint64_t other = 0; other < size; ++other)
                if (other != index) CHECK_FALSE(verify_inclusion(other, d[index], *proof, heads[size]));
            CHECK_FALSE(verify_inclusion(size, d[index], *proof, heads[size]));
            auto longer = *proof;
            longer.push_back(d[0]);
            CHECK_FALSE(verify_inclusion(index, d[index], longer, heads[size]));
            if (!proof->empty()) {
                auto shorter = *proof;
                shorter.pop_back();
                CHECK_FALSE(verify_inclusion(index, d[index], shorter, heads[size]));
                auto changed = *proof;
                changed[index % changed.size()][7] ^= 1U;
                CHECK_FALSE(verify_inclusion(index, d[index], changed, heads[size]));
            }
        }
        for (std::uint64_t old = 0; old <= size; ++old) {
            const auto proof = consistency_proof(old, size, nodes_of(d));
            REQUIRE(proof);
            if (old > 0) CHECK(*proof == subproof(old, d, true));
            CHECK(verify_consistency(heads[old], heads[size], *proof));
            TreeHead forked = heads[old];
            forked.root[0] ^= 1U;
            CHECK_FALSE(verify_consistency(forked, heads[size], *proof));
            TreeHead rewritten = heads[size];
            rewritten.root[0] ^= 1U;
            CHECK((old == 0 || !verify_consistency(heads[old], rewritten, *proof)));
            if (old > 0 && old < size) {
                auto longer = *proof;
                longer.push_back(d[0]);
                CHECK_FALSE(verify_consistency(heads[old], heads[size], longer));
                CHECK_FALSE(verify_consistency(heads[size], heads[old], *proof));
                auto shorter = *proof;
                shorter.pop_back();
                CHECK_FALSE(verify_consistency(heads[old], heads[size], shorter));
            }
        }
    }
}
