#include "audit/file_check.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <utility>
#include <variant>

#include "store/context.h"
#include "store/scan.h"
#include "store/tiles.h"

namespace kokuin::audit {
namespace {

using store::RecordNumber;
using store::SegmentScan;

bool is_newest(const Chain& chain, const Segment& segment) {
    return &segment == &chain.segments().back();
}

bool can_be_a_tile(std::int64_t level, std::int64_t position, View hashes) {
    if (level < 0 || level >= static_cast<std::int64_t>(store::tile_levels) || position < 0) return false;
    const auto last = store::most_leaves >> (8U * (static_cast<unsigned>(level) + 1));
    return position <= static_cast<std::int64_t>(last) && !hashes.empty() &&
           hashes.size() % sizeof(tlog::Hash) == 0 && store::width_of(hashes) <= store::tile_width;
}

/// Of one that can be.
bool belongs_here(Chain& chain, const Segment& segment, std::int64_t level, std::int64_t position,
                  std::uint64_t width) {
    const std::uint64_t shift = 8U * static_cast<unsigned>(level);
    const std::uint64_t begin = static_cast<std::uint64_t>(position) * store::tile_width;
    const std::uint64_t end = begin + width;
    const auto full_end = (begin + store::tile_width) << shift;
    const auto first = static_cast<std::uint64_t>(segment.first);
    const auto segment_end = static_cast<std::uint64_t>(segment.end);
    const bool full = width == store::tile_width;
    if (full && full_end > first && full_end <= segment_end) return true;
    if (full_end <= segment_end) return false;
    // What the segment began with, of a tile that hasn't become full since.
    const bool from_before = end == first >> shift && begin == end - end % store::tile_width;
    // Or it has become full while we looked.
    return from_before || (full && is_newest(chain, segment) && chain.grown_to(full_end));
}

}  // namespace

std::vector<Problem> check_pages(const std::string& dir, const std::string& segment) {
    std::vector<Problem> problems;
    auto scan = SegmentScan::open(dir, segment);
    const auto lines = scan ? scan->integrity() : Result<std::vector<std::string>>(scan.error());
    if (!lines) return {{"segment", segment, {}, "", lines.error().text}};
    for (const std::string& line : *lines)
        problems.push_back({"segment", segment, {}, "", "its file: " + line});
    return problems;
}

std::vector<Problem> check_blobs(const std::string& dir, const std::string& segment,
                                 std::set<store::BlobId>& there) {
    std::vector<Problem> problems;
    auto scan = SegmentScan::open(dir, segment);
    if (!scan) return {{"segment", segment, {}, "", scan.error().text}};
    const auto read = scan->blobs([&](View id, View content) {
        const store::BlobId name = store::blob_id(content);
        if (equal(id, name)) {
            there.insert(name);
            return;
        }
        problems.push_back({"blob", segment, {}, "", "the blob " + to_hex(id) + " isn't what its name says"});
    });
    if (!read) problems.push_back({"blob", segment, {}, "", read.error().text});
    return problems;
}

std::vector<Problem> check_layout(Chain& chain, Segment& segment) {
    std::vector<Problem> problems;
    const auto object = [&](std::string kind, std::string detail) {
        problems.push_back({std::move(kind), segment.name, {}, "", std::move(detail)});
    };
    const auto differences = segment.scan.differences();
    if (!differences) {
        object("segment", differences.error().text);
        return problems;
    }
    for (const std::string& difference : *differences) object("segment", difference);
    (void)segment.scan.tiles([&](std::int64_t level, std::int64_t position, View hashes) {
        const std::string name = "the tile " + std::to_string(level) + "/" + std::to_string(position) + " ";
        if (!can_be_a_tile(level, position, hashes)) {
            object("tile", name + "is no tile");
        } else if (!belongs_here(chain, segment, level, position, store::width_of(hashes))) {
            object("tile", name + "doesn't belong here");
        }
    });
    return problems;
}

std::vector<Problem> check_outside(Chain& chain, Segment& segment, const std::vector<RecordNumber>& stray,
                                   RecordNumber from) {
    std::vector<Problem> problems;
    // In the newest segment records without a gap have come while it was looked at, and still do.
    RecordNumber end = segment.end;
    const auto outside = [&](RecordNumber first, RecordNumber to, bool may_grow) {
        (void)segment.scan.records(first, to, [&](RecordNumber number, View) {
            if (may_grow && number == end) {
                ++end;
                return;
            }
            problems.push_back(
                {"foreign", segment.name, number, "", "the record doesn't belong into this segment"});
        });
    };
    outside(std::numeric_limits<RecordNumber>::min(), segment.first - 1, false);
    outside(segment.end, std::numeric_limits<RecordNumber>::max(), is_newest(chain, segment));
    // Rows of the index came with their records, and were read before.
    for (const RecordNumber number : stray)
        if (number < segment.first || (number >= from && number >= end))
            problems.push_back(
                {"index", segment.name, number, "", "its index names a record that it hasn't got"});
    return problems;
}

bool is_named_since(const std::string& dir, const Segment& segment, const store::BlobId& id) {
    bool named = false;
    auto scan = SegmentScan::open(dir, segment.name);
    if (!scan) return false;
    store::Contexts contexts;
    const auto lookup = [&](const store::BlobId& wanted) { return scan->blob(wanted); };
    (void)scan->records(segment.end, std::numeric_limits<RecordNumber>::max(), [&](RecordNumber, View der) {
        auto bare = store::decode_bare(der);
        if (!bare) return;
        const auto* own = std::get_if<store::OwnIssuance>(&bare->body);
        named = named || (own && own->context == id);
        const auto record = store::complete(std::move(*bare), contexts, lookup);
        if (!record) return;
        const auto ids = std::visit([](const auto& body) { return store::blobs_of(body); }, record->body);
        named = named || std::find(ids.begin(), ids.end(), id) != ids.end();
    });
    return named;
}

}  // namespace kokuin::audit
