#include "store/tiles.h"

#include <algorithm>

namespace kokuin::store {

using tlog::Hash;

Hash hash_in(View hashes, std::uint64_t index) {
    Hash hash{};
    const View octets = hashes.subspan(index * hash.size(), hash.size());
    std::copy(octets.begin(), octets.end(), hash.begin());
    return hash;
}

Hash root_in(View hashes, std::uint64_t first, std::uint64_t count) {
    if (count == 1) return hash_in(hashes, first);
    return tlog::node_hash(root_in(hashes, first, count / 2), root_in(hashes, first + count / 2, count / 2));
}

void TileEdge::add(const Hash& leaf, std::vector<Tile>& full) {
    tree_.add(leaf);
    Hash hash = leaf;
    for (unsigned level = 0;; ++level) {
        if (level == levels_.size()) levels_.emplace_back();
        Bytes& hashes = levels_[level];
        append(hashes, hash);
        if (width_of(hashes) < tile_width) return;
        hash = root_in(hashes, 0, tile_width);
        full.push_back({level, ((tree_.size() >> (8U * level)) / tile_width) - 1, std::move(hashes)});
        hashes.clear();
    }
}

std::vector<Tile> TileEdge::tiles() const {
    std::vector<Tile> tiles;
    for (unsigned level = 0; level < levels_.size(); ++level)
        if (!levels_[level].empty())
            tiles.push_back({level, tree_.size() >> (8U * (level + 1)), levels_[level]});
    return tiles;
}

View TileEdge::find(unsigned level, std::uint64_t position) const {
    if (level >= levels_.size() || position != tree_.size() >> (8U * (level + 1))) return {};
    return levels_[level];
}

Result<TileEdge> TileEdge::load(std::uint64_t size,
                                const std::function<Result<Bytes>(unsigned, std::uint64_t)>& tile,
                                const std::function<Result<Hash>(std::uint64_t)>& leaf) {
    TileEdge edge;
    for (unsigned level = 0; level < tile_levels && size >> (8U * level) != 0; ++level) {
        const std::uint64_t position = size >> (8U * (level + 1));
        const std::uint64_t width = (size >> (8U * level)) % tile_width;
        Bytes hashes;
        if (width > 0) {
            auto stored = tile(level, position);
            if (!stored) return stored.error();
            hashes = std::move(*stored);
            if (width_of(hashes) > width) hashes.resize(width * sizeof(Hash));
        }
        for (std::uint64_t i = width_of(hashes); i < width; ++i) {
            const std::uint64_t index = position * tile_width + i;
            Hash hash{};
            if (level == 0) {
                const auto one = leaf(index);
                if (!one) return one.error();
                hash = *one;
            } else {
                const auto below = tile(level - 1, index);
                if (!below) return below.error();
                if (width_of(*below) != tile_width)
                    return Error::environment("the tile " + std::to_string(level - 1) + "/" +
                                              std::to_string(index) + " of the tree of hashes is missing");
                hash = root_in(*below, 0, tile_width);
            }
            append(hashes, hash);
        }
        edge.levels_.push_back(std::move(hashes));
    }
    const Tiles own = [&edge](unsigned level, std::uint64_t, std::uint64_t) -> Result<Bytes> {
        return edge.levels_[level];
    };
    // The complete subtrees that make up a tree stand in the tiles of its edge.
    auto tree = tlog::grown(size, nodes_in(own));
    if (!tree) return tree.error();
    edge.tree_ = std::move(*tree);
    return edge;
}

tlog::Nodes nodes_in(const Tiles& tiles) {
    return [&tiles](unsigned level, std::uint64_t index) -> Result<Hash> {
        const unsigned inside = level % 8;  // a subtree of 2^inside hashes of its tile
        const std::uint64_t first = index << inside;
        const std::uint64_t from = first % tile_width;
        const std::uint64_t count = std::uint64_t{1} << inside;
        const auto tile = tiles(level / 8, first / tile_width, from + count);
        if (!tile) return tile.error();
        if (width_of(*tile) < from + count)
            return Error::environment("the tile " + std::to_string(level / 8) + "/" +
                                      std::to_string(first / tile_width) +
                                      " of the tree of hashes is too short");
        return root_in(*tile, from, count);
    };
}

}  // namespace kokuin::store
