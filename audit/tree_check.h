// The tree over the records against the tiles that the archive keeps of it and the checkpoints that were
// signed over it: which of them is wrong where they disagree.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "store/tiles.h"
#include "store/tlog/merkle.h"

namespace kokuin::audit {

/// Takes the hashes of records in the order of their numbers. One thread at a time.
class TreeCheck {
  public:
    /// What is told. All `number`s are records.
    struct Told {
        /// This record isn't the one that was signed.
        std::function<void(std::uint64_t number)> changed;
        /// This record and the tile that names its hash disagree, and no checkpoint says which is right.
        std::function<void(std::uint64_t number)> disputed;
        /// A tile isn't the one of the tree.
        std::function<void(unsigned level, std::uint64_t position, const std::string& how)> tile;
        /// A head that isn't over these records, and the size of the last one before it that is (0: none), of
        /// heads seen outside only another one of these: something between them was changed with all its
        /// hashes, or it was signed over others. Of a row of them only the first is told, and the first that
        /// was seen outside.
        std::function<void(std::uint64_t last_good, std::uint64_t size, bool seen_outside)> misfit;
        /// From this record on the tree can't be computed: it is missing, and no tile names its hash.
        std::function<void(std::uint64_t number)> lost;
    };
    /// What a segment keeps of a tile; empty if nothing. `last`: its last record, which tells the segment.
    using Stored = std::function<Bytes(unsigned level, std::uint64_t position, std::uint64_t last)>;

    /// `from`: the tree of what isn't looked at.
    TreeCheck(store::TileEdge from, Stored stored, Told told);

    /// Heads that must fit, in any order, several of one size too, before the first add(). `seen_outside`: by
    /// somebody who isn't the archive's operator.
    void expect(const tlog::TreeHead& head, bool seen_outside) {
        expected_[head.size].push_back({head.root, seen_outside});
    }
    /// Nothing can be computed: the tree before the first record isn't known.
    void give_up() { lost_ = true; }
    /// What a segment that begins at `size` begins with is compared with the tree's edge then: edges().
    void watch(std::uint64_t size) { edges_[size]; }
    /// Of sizes that were watched and have been passed: the tiles that weren't full. After end().
    [[nodiscard]] const std::map<std::uint64_t, std::optional<std::vector<store::Tile>>>& edges() const {
        return edges_;
    }
    /// The next record's hash; nothing where there is no record that has one.
    void add(const std::optional<tlog::Hash>& leaf);
    /// After the last record.
    void end();

    /// Size of the last checkpoint that fitted; nothing if none did.
    [[nodiscard]] std::optional<std::uint64_t> last_good() const { return last_good_; }
    struct Expected {
        tlog::Hash root{};
        bool seen_outside = false;
    };
    /// Heads that were expected and not met: beyond the last record, or after give_up().
    [[nodiscard]] const std::map<std::uint64_t, std::vector<Expected>>& left() const { return expected_; }

  private:
    void settle(View tile);
    void compare_full(const std::vector<store::Tile>& full);
    void meet(std::uint64_t size);

    const Stored stored_;
    const Told told_;
    store::TileEdge records_;                         // by what the records say
    std::optional<store::TileEdge> tiles_;            // by what the tiles say, while the two differ
    std::vector<std::uint64_t> disputed_;             // where they do, since the last head that fitted
    std::vector<std::optional<tlog::Hash>> waiting_;  // of the tile that isn't full yet
    std::map<std::uint64_t, std::vector<Expected>> expected_;
    std::map<std::uint64_t, std::optional<std::vector<store::Tile>>> edges_;
    std::optional<std::uint64_t> last_good_;
    std::uint64_t last_seen_ = 0;  // the last good one that was seen outside
    bool misfit_ = false;
    bool misfit_outside_ = false;
    bool lost_ = false;
};

}  // namespace kokuin::audit
