// The segments of an archive as they were found, and how they follow each other.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "audit/problem.h"
#include "audit/restored.h"
#include "base/result.h"
#include "store/scan.h"

namespace kokuin::audit {

/// One that can be read.
struct Segment {
    std::string name;  ///< "2026-11"
    store::SegmentScan scan;
    store::RecordNumber first = 0;
    store::RecordNumber end = 0;  ///< records of this segment are below
};

/// Holds all segments of an archive open. One thread at a time.
class Chain {
  public:
    /// What is wrong with a segment as a whole, or with where it stands, is a problem ("segment", "chain");
    /// those that can't be opened are left out. Of finished months nothing is removed as long as this lives.
    /// Error (usage): no archive here.
    static Result<Chain> open(const std::string& dir, std::vector<Problem>& problems);

    /// Oldest first; may be none.
    [[nodiscard]] std::vector<Segment>& segments() { return segments_; }
    [[nodiscard]] const std::vector<Segment>& segments() const { return segments_; }
    /// That no segment is missing, as far as they say themselves.
    [[nodiscard]] bool whole() const { return whole_; }
    /// Records of segments that aren't there, as far as the others tell.
    [[nodiscard]] std::uint64_t lost() const { return lost_; }
    /// How often the archive was restored, oldest first.
    [[nodiscard]] const std::vector<Restored>& restored() const { return restored_; }
    /// Of its newest log; of a chain that has segments.
    [[nodiscard]] const std::string& origin() const { return segments_.back().scan.facts().origin; }

    /// How many records of this archive are in the log of this name; nothing if none are. Of its newest log:
    /// all.
    [[nodiscard]] std::optional<std::uint64_t> reach(const std::string& origin) const;
    /// Where the record belongs; null: before the first one.
    [[nodiscard]] Segment* of(std::uint64_t number);
    [[nodiscard]] Segment* named(const std::string& name);
    /// True if the archive has that many records by now.
    [[nodiscard]] bool grown_to(std::uint64_t size);

  private:
    Chain() = default;
    void add(const std::string& dir, const std::string& name, bool newest, std::vector<Problem>& problems);
    void follow(std::size_t index, std::vector<Problem>& problems);
    void change_log(Segment& one, const Segment& before, std::vector<Problem>& problems);
    std::string lost(store::RecordNumber first, store::RecordNumber end);

    std::vector<Segment> segments_;
    std::vector<Restored> restored_;
    bool whole_ = true;
    std::uint64_t lost_ = 0;
};

}  // namespace kokuin::audit
