#include "store/tree_reader.h"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "store/segment.h"
#include "store/segment_reader.h"
#include "store/tiles.h"

namespace kokuin::store {

class TreeReader::Impl {
  public:
    static Result<std::unique_ptr<Impl>> open(const std::string& dir) {
        auto names = list_segments(dir);
        if (!names) return names.error();
        if (names->empty())
            return Error::usage(
                dir + ": no archive here (no file named YYYY-MM.sqlite): give the folder that holds one");
        auto impl = std::make_unique<Impl>();
        for (const std::string& name : *names) {
            auto segment = SegmentReader::open(dir, name);
            if (!segment) return segment.error();
            impl->segments_.push_back(std::move(*segment));
        }
        const auto next = impl->segments_.back().next();
        if (!next) return next.error();
        impl->size_ = static_cast<std::uint64_t>(*next);
        return impl;
    }

    Done has(std::uint64_t size) const {
        if (size <= size_) return {};
        return Error::usage("the archive has " + std::to_string(size_) + " records, not " +
                            std::to_string(size));
    }

    /// A tile with `width` hashes or more: as it is stored, made longer from what is below it where needed.
    Result<Bytes> tile(unsigned level, std::uint64_t position, std::uint64_t width) {
        Bytes& known = tiles_[{level, position}];
        if (width_of(known) >= width) return known;
        // A full tile stands where its last leaf does; what newer segments begin with is longer than what
        // older ones have.
        const std::uint64_t last = ((position * tile_width + width) << (8U * level)) - 1;
        for (auto segment = segments_.rbegin(); segment != segments_.rend(); ++segment) {
            auto stored = segment->tile(level, position);
            if (!stored) return stored.error();
            if (width_of(*stored) > width_of(known)) known = std::move(*stored);
            if (width_of(known) >= width || static_cast<std::uint64_t>(segment->meta().first) <= last) break;
        }
        for (std::uint64_t i = width_of(known); i < width; ++i) {
            const std::uint64_t index = position * tile_width + i;
            if (level == 0) {
                const auto hash = leaf(index);
                if (!hash) return hash.error();
                append(known, *hash);
            } else {
                const auto below = tile(level - 1, index, tile_width);
                if (!below) return below.error();
                append(known, root_in(*below, 0, tile_width));
            }
        }
        return known;
    }

    Result<tlog::Hash> leaf(std::uint64_t number) {
        for (auto segment = segments_.rbegin(); segment != segments_.rend(); ++segment)
            if (static_cast<std::uint64_t>(segment->meta().first) <= number)
                return segment->leaf(static_cast<RecordNumber>(number));
        return Error::environment("the segment with record " + std::to_string(number) +
                                  " isn't there: put it into the folder");
    }

    const Tiles tiles = [this](unsigned level, std::uint64_t position, std::uint64_t width) {
        return tile(level, position, width);
    };

  private:
    std::vector<SegmentReader> segments_;  // oldest first
    std::uint64_t size_ = 0;
    std::map<std::pair<unsigned, std::uint64_t>, Bytes> tiles_;
};

TreeReader::TreeReader(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
TreeReader::~TreeReader() = default;

Result<std::unique_ptr<TreeReader>> TreeReader::open(const std::string& dir) {
    auto impl = Impl::open(dir);
    if (!impl) return impl.error();
    return std::unique_ptr<TreeReader>(new TreeReader(std::move(*impl)));
}

Result<tlog::TreeHead> TreeReader::head(std::uint64_t size) {
    if (auto done = impl_->has(size); !done) return done.error();
    const auto tree = tlog::grown(size, nodes_in(impl_->tiles));
    if (!tree) return tree.error();
    return tree->head();
}

Result<std::vector<tlog::Hash>> TreeReader::inclusion_proof(std::uint64_t number, std::uint64_t size) {
    if (auto done = impl_->has(std::max(size, number + 1)); !done) return done.error();
    return tlog::inclusion_proof(number, size, nodes_in(impl_->tiles));
}

Result<std::vector<tlog::Hash>> TreeReader::consistency_proof(std::uint64_t old_size, std::uint64_t size) {
    if (auto done = impl_->has(std::max(size, old_size)); !done) return done.error();
    return tlog::consistency_proof(old_size, size, nodes_in(impl_->tiles));
}

Result<Bytes> TreeReader::tile(unsigned level, std::uint64_t position, std::uint64_t width) {
    // Before shifting: a tile that lies beyond any tree.
    if (width == 0 || width > tile_width || level >= tile_levels ||
        position > most_leaves >> (8U * (level + 1)))
        return Error::usage("there is no such tile");
    if (auto done = impl_->has((position * tile_width + width) << (8U * level)); !done) return done.error();
    auto tile = impl_->tile(level, position, width);
    if (tile) tile->resize(width * sizeof(tlog::Hash));
    return tile;
}

}  // namespace kokuin::store
