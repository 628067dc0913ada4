#include "audit/chain.h"

#include <sys/stat.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "store/tiles.h"

namespace kokuin::audit {
namespace {

using store::RecordNumber;
using store::SegmentScan;

/// See SegmentScan::last().
constexpr std::int64_t most_missing = 1'000'000;

Problem segment_problem(const std::string& segment, std::string detail) {
    return {"segment", segment, {}, "", std::move(detail)};
}
Problem chain_problem(const std::string& segment, std::string detail) {
    return {"chain", segment, {}, "", std::move(detail)};
}

bool has_journal(const std::string& dir, const std::string& segment) {
    struct stat status {};
    const std::string path = dir + "/" + segment + ".sqlite-journal";
    return ::stat(path.c_str(), &status) == 0 && status.st_size > 0;
}

}  // namespace

Result<Chain> Chain::open(const std::string& dir, std::vector<Problem>& problems) {
    const auto names = store::segments_in(dir);
    if (!names) return names.error();
    Chain chain;
    for (const std::string& name : *names) chain.add(dir, name, name == names->back(), problems);
    for (std::size_t i = 0; i < chain.segments_.size(); ++i) chain.follow(i, problems);
    for (const Segment& one : chain.segments_) {
        const auto& facts = one.scan.facts();
        const bool began_with_restore =
            std::any_of(chain.restored_.begin(), chain.restored_.end(),
                        [&](const Restored& restored) { return restored.origin == facts.origin; });
        if (!facts.origin.ends_with("/" + facts.archive) && !began_with_restore)
            problems.push_back(segment_problem(one.name, "its log isn't named after its archive"));
        if (chain.whole_ && facts.restored != !chain.restored_.empty())
            problems.push_back(segment_problem(
                one.name, facts.restored
                              ? "its format is that of an archive that was restored, which this one wasn't"
                              : "its format isn't that of an archive that was restored, which this one was"));
        if (has_journal(dir, one.name))
            problems.push_back(segment_problem(one.name,
                                               "beside it lies the journal of a write that was broken off, "
                                               "which changes it when somebody opens "
                                               "it to write"));
    }
    return chain;
}

void Chain::add(const std::string& dir, const std::string& name, bool newest,
                std::vector<Problem>& problems) {
    auto scan = SegmentScan::open(dir, name);
    // Nothing is removed of a finished month while it is looked at.
    const Done held = scan && !newest ? scan->hold() : Done();
    const auto last = !scan   ? Result<RecordNumber>(scan.error())
                      : !held ? Result<RecordNumber>(held.error())
                              : scan->last();
    if (!last) {
        problems.push_back(segment_problem(name, last.error().text));
        whole_ = false;
        return;
    }
    const RecordNumber first = scan->facts().first;
    // Where it begins decides how much is looked for: no further on than the records before it reach.
    const RecordNumber least = segments_.empty() ? 0 : segments_.back().first;
    const RecordNumber most = segments_.empty() || scan->facts().previous != segments_.back().name
                                  ? static_cast<RecordNumber>(store::most_leaves)
                                  : segments_.back().end + most_missing;
    if (first < least || first > most) {
        problems.push_back(chain_problem(name, "it says that it begins with record " + std::to_string(first) +
                                                   ", which can't be; nothing of it was looked at"));
        whole_ = false;
        return;
    }
    segments_.push_back({name, std::move(*scan), first, std::max(first, *last + 1)});
}

void Chain::follow(std::size_t index, std::vector<Problem>& problems) {
    Segment& one = segments_[index];
    const auto& facts = one.scan.facts();
    if (index + 1 < segments_.size() && segments_[index + 1].scan.facts().previous == one.name)
        one.end = std::max(one.first, segments_[index + 1].first);
    if (index == 0) {
        if (facts.previous.empty() && facts.first == 0) return;
        whole_ = false;
        problems.push_back(chain_problem(
            one.name, "it goes on with record " + std::to_string(facts.first) + " after the segment " +
                          (facts.previous.empty() ? std::string("that it doesn't name") : facts.previous) +
                          ", which isn't there" + lost(0, one.first)));
        return;
    }
    const Segment& before = segments_[index - 1];
    if (facts.archive != before.scan.facts().archive)
        problems.push_back(segment_problem(one.name, "it belongs to another archive than " + before.name));
    else if (facts.origin != before.scan.facts().origin)
        change_log(one, before, problems);
    if (facts.previous != before.name) {
        whole_ = false;
        problems.push_back(chain_problem(one.name, "it says that it follows the segment " + facts.previous +
                                                       ", which isn't there" + lost(before.end, one.first)));
    }
}

/// What is said of such records; nothing if there are none.
std::string Chain::lost(RecordNumber first, RecordNumber end) {
    if (end <= first) return "";
    lost_ += static_cast<std::uint64_t>(end - first);
    return ": the records " + std::to_string(first) + " to " + std::to_string(end - 1) +
           " are missing, and which of them are tokens can't be told from here";
}

/// A segment may be of another log than the one before only where the archive was restored.
void Chain::change_log(Segment& one, const Segment& before, std::vector<Problem>& problems) {
    auto restored = restored_with(one.scan);
    const auto& from = before.scan.facts().origin;
    if (restored && restored->from_origin == from && restored->origin == one.scan.facts().origin &&
        static_cast<RecordNumber>(restored->size) == one.first)
        restored_.push_back(std::move(*restored));
    else
        problems.push_back(segment_problem(
            one.name, "it is of another log than " + before.name +
                          ", and doesn't begin with a record that says how the archive was restored"));
}

std::optional<std::uint64_t> Chain::reach(const std::string& origin) const {
    if (origin == this->origin()) return std::numeric_limits<std::uint64_t>::max();
    for (const Restored& restored : restored_)
        if (restored.from_origin == origin) return restored.size;
    return std::nullopt;
}

Segment* Chain::of(std::uint64_t number) {
    for (auto segment = segments_.rbegin(); segment != segments_.rend(); ++segment)
        if (static_cast<std::uint64_t>(segment->first) <= number) return &*segment;
    return nullptr;
}

Segment* Chain::named(const std::string& name) {
    for (Segment& segment : segments_)
        if (segment.name == name) return &segment;
    return nullptr;
}

bool Chain::grown_to(std::uint64_t size) {
    const auto now = segments_.back().scan.last();
    return now && static_cast<std::uint64_t>(*now + 1) >= size;
}

}  // namespace kokuin::audit
