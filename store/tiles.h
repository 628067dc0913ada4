// The Merkle tree in tiles: 256 hashes of one level side by side (C2SP tlog-tiles). A segment keeps those
// that became full in it, so that a proof reads a few of them and not all records. Pure.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "store/tlog/merkle.h"

namespace kokuin::store {

/// Hashes in a full tile.
constexpr std::uint64_t tile_width = 256;
/// Levels that a tree of at most `most_leaves` has.
constexpr unsigned tile_levels = 7;
constexpr std::uint64_t most_leaves = std::uint64_t{1} << 48U;

/// Hashes one after the other: of leaves at level 0, above it of full tiles of the level below. The first one
/// is number position * 256 of its level.
struct Tile {
    unsigned level = 0;
    std::uint64_t position = 0;
    Bytes hashes;  ///< 32 octets each, 1 to 256 of them
};

/// The `index`th hash of a tile.
tlog::Hash hash_in(View hashes, std::uint64_t index);
/// Root over `count` (a power of two) hashes of a tile from the `first`th on.
tlog::Hash root_in(View hashes, std::uint64_t first, std::uint64_t count);
inline std::uint64_t width_of(View hashes) {
    return hashes.size() / sizeof(tlog::Hash);
}

/// The tiles on the right edge of a growing tree, which aren't full, and its head. A value; one thread at a
/// time.
class TileEdge {
  public:
    /// One leaf more; tiles that are full now are put into `full`.
    void add(const tlog::Hash& leaf, std::vector<Tile>& full);
    [[nodiscard]] std::uint64_t size() const { return tree_.size(); }
    [[nodiscard]] const tlog::Growing& tree() const { return tree_; }
    /// Those that have hashes.
    [[nodiscard]] std::vector<Tile> tiles() const;
    /// The tile at this place, if it is on the edge; otherwise empty.
    [[nodiscard]] View find(unsigned level, std::uint64_t position) const;

    /// The edge of a tree of `size` leaves. `tile` gives what is stored at a place, however little of it;
    /// `leaf` the leaves that no tile holds.
    static Result<TileEdge> load(std::uint64_t size,
                                 const std::function<Result<Bytes>(unsigned, std::uint64_t)>& tile,
                                 const std::function<Result<tlog::Hash>(std::uint64_t)>& leaf);

  private:
    std::vector<Bytes> levels_;  // of each level the hashes after the last full tile
    tlog::Growing tree_;
};

/// Where tiles come from: that at this place with `width` hashes or more.
using Tiles = std::function<Result<Bytes>(unsigned level, std::uint64_t position, std::uint64_t width)>;
/// Hashes of complete subtrees, out of tiles; `tiles` must outlive the result.
tlog::Nodes nodes_in(const Tiles& tiles);

}  // namespace kokuin::store
