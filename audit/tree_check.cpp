#include "audit/tree_check.h"

#include <algorithm>
#include <utility>

namespace kokuin::audit {

using store::tile_width;
using store::width_of;

TreeCheck::TreeCheck(store::TileEdge from, Stored stored, Told told)
    : stored_(std::move(stored)), told_(std::move(told)), records_(std::move(from)) {}

void TreeCheck::add(const std::optional<tlog::Hash>& leaf) {
    if (lost_) return;
    waiting_.push_back(leaf);
    const std::uint64_t size = records_.size() + waiting_.size();
    if (size % tile_width != 0) return;
    const std::uint64_t position = size / tile_width - 1;
    const Bytes tile = stored_(0, position, size - 1);
    if (width_of(tile) != tile_width || tile.size() % sizeof(tlog::Hash) != 0)
        told_.tile(0, position, tile.empty() ? "is missing" : "hasn't 256 hashes");
    settle(tile);
}

void TreeCheck::end() {
    if (!waiting_.empty()) {
        // What a segment began with, of a tile that isn't full yet.
        const std::uint64_t last = records_.size() + waiting_.size() - 1;
        settle(stored_(0, last / tile_width, last));
    }
    for (const std::uint64_t number : disputed_) told_.disputed(number);
    disputed_.clear();
}

void TreeCheck::settle(View tile) {
    // A tile that is partly older than what is looked at.
    const std::uint64_t before = records_.size() % tile_width;
    for (std::size_t i = 0; i < waiting_.size() && !lost_; ++i) {
        const std::uint64_t number = records_.size();
        const std::optional<tlog::Hash>& record = waiting_[i];
        std::optional<tlog::Hash> said;
        if (before + i < width_of(tile)) said = store::hash_in(tile, before + i);
        if (!record && !said) {
            lost_ = true;
            told_.lost(number);
            break;
        }
        if (record && said && *record != *said) {
            if (!tiles_) tiles_ = records_;
            disputed_.push_back(number);
        }
        std::vector<store::Tile> complete;
        std::vector<store::Tile> unused;
        records_.add(record ? *record : *said, complete);
        if (tiles_) tiles_->add(said ? *said : *record, unused);
        meet(number + 1);
        if (const auto edge = edges_.find(number + 1); edge != edges_.end()) edge->second = records_.tiles();
        // Where records and tiles differ the higher tiles can't be told right from wrong yet.
        if (!tiles_) compare_full(complete);
    }
    waiting_.clear();
}

void TreeCheck::compare_full(const std::vector<store::Tile>& full) {
    for (const store::Tile& tile : full) {
        if (tile.level == 0) continue;  // hash by hash, above
        const std::uint64_t last = ((tile.position + 1) << (8U * (tile.level + 1))) - 1;
        const Bytes stored = stored_(tile.level, tile.position, last);
        if (stored == tile.hashes) continue;
        told_.tile(tile.level, tile.position, stored.empty() ? "is missing" : "isn't the one of the tree");
    }
}

void TreeCheck::meet(std::uint64_t size) {
    const auto found = expected_.find(size);
    if (found == expected_.end()) return;
    const auto heads = std::move(found->second);
    expected_.erase(found);
    const tlog::Hash by_records = records_.tree().head().root;
    const auto is = [](const tlog::Hash& root) {
        return [&root](const Expected& head) { return head.root == root; };
    };
    const bool fits = std::any_of(heads.begin(), heads.end(), is(by_records));
    bool tiles_fit = false;
    if (!fits && tiles_) {
        const tlog::Hash by_tiles = tiles_->tree().head().root;
        tiles_fit = std::any_of(heads.begin(), heads.end(), is(by_tiles));
    }
    if (fits) {
        for (const std::uint64_t number : disputed_)
            told_.tile(0, number / tile_width, "names another hash for record " + std::to_string(number));
    } else if (tiles_fit) {
        for (const std::uint64_t number : disputed_) told_.changed(number);
        records_ = std::move(*tiles_);
    }
    if (fits || tiles_fit) {
        tiles_.reset();
        disputed_.clear();
    }
    const tlog::Hash root = records_.tree().head().root;
    bool other = false;
    for (const Expected& head : heads) {
        if (head.root == root) {
            if (head.seen_outside) last_seen_ = size;
            if (head.seen_outside) misfit_outside_ = false;
            continue;
        }
        if (!head.seen_outside) other = true;
        if (head.seen_outside && !misfit_outside_) told_.misfit(last_seen_, size, true);
        misfit_outside_ = misfit_outside_ || head.seen_outside;
    }
    if (other && !misfit_) told_.misfit(last_good_.value_or(0), size, false);
    misfit_ = other && !fits && !tiles_fit;
    if (fits || tiles_fit) last_good_ = size;
}

}  // namespace kokuin::audit
