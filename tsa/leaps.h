// Leap seconds ahead (TSA-15): taken from TACs and from leap-seconds.list, compared with each other,
// announced a day before.
#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tac/clock/leap_list.h"
#include "tac/clock/reading.h"
#include "tac/clock/reference_watch.h"
#include "tsa/journal.h"
#include "tsa/tsus.h"

namespace kokuin::tsa {

/// All of it must outlive it.
struct LeapParts {
    const tac::clock::LeapFile& file;
    Journal& journal;
    Tsus& tsus;
    const tac::clock::ReferenceWatch* reference = nullptr;  ///< null: none is configured
};

/// tick() for one thread, snapshot() for any.
class Leaps {
  public:
    explicit Leaps(LeapParts parts) : parts_(std::move(parts)) {}

    /// Before the first token: tells the gates what the list knows, and nobody else anything.
    void tell_gates(const tac::clock::Reading& now);
    /// Once a second: tells the gates what the list knows, and records, once each, as events: "leap.pending"
    /// within a day before a leap second, "leap.disputed" where TAA and list contradict each other,
    /// "leap.list" when the list has expired or can't be read. None of it closes anything but the second
    /// around the leap.
    void tick(const tac::clock::Reading& now);

    struct Snapshot {
        std::optional<tac::clock::LeapSecond> pending;
        std::string announced_by;         ///< of the pending one: "TAA, leap-seconds.list"
        std::optional<WallTime> expires;  ///< of the list; nothing if there is none
        std::string warning;              ///< about the list; empty if it is in order
    };
    [[nodiscard]] Snapshot snapshot() const;

  private:
    using Key = std::pair<WallTime, int>;
    void look_at_list(const tac::clock::Reading& now, const tac::clock::LeapList* list,
                      const std::string& trouble);
    void dispute(const tac::clock::LeapSecond& leap, const tac::clock::LeapList& list);
    void announce(const tac::clock::LeapSecond& leap, const std::string& by);
    void note(const char* kind, const std::string& text, const tac::clock::LeapSecond* leap);
    [[nodiscard]] std::vector<tac::clock::LeapSecond> by_taa() const;

    LeapParts parts_;
    std::set<Key> told_;
    std::set<Key> disputed_;
    mutable std::mutex mutex_;
    Snapshot snapshot_;
};

}  // namespace kokuin::tsa
