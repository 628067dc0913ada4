// Events on their way into the archive.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "base/result.h"
#include "store/archive.h"
#include "tac/clock/reading.h"

namespace kokuin::tsa {

/// True for events that tell of a change; false for what only sums up (refusals, hourly comparisons). The
/// operators' hook hears of changes only. Pure.
bool is_change(const store::Event& event);

/// Appends events in the order they were given, at the time of the stamping clock. That time is proved by
/// nothing (an event often says just that), so no event begins a new segment. Thread-safe; archive and clock
/// must outlive it.
class Journal {
  public:
    /// Told of each event once, when it has happened, whether or not the archive takes it now; returns at
    /// once.
    using Listener = std::function<void(WallTime, const store::Event&)>;
    Journal(store::Archive& archive, const tac::clock::StampingClock& clock, Listener listener = {})
        : archive_(archive), clock_(clock), listener_(std::move(listener)) {}

    /// Durable on return (and only then told to the listener), after everything that is still waiting; an
    /// error means that it isn't there, and nobody tries again. Always Error::environment: whatever is wrong,
    /// the peer isn't to blame.
    Done write(const store::Event& event, const std::vector<store::Blob>& blobs = {});
    /// Tries at once; what fails waits, and is tried again with every other event and every flush() until it
    /// is there. Success means that this very event is durable, whoever wrote it; otherwise the error of the
    /// first try. What waits is in memory only: it dies with the process, so nobody may be told that it is
    /// recorded.
    Done keep(store::Event event, std::vector<store::Blob> blobs = {});
    /// What the stamping clock shows: the time that an event has that is written now.
    [[nodiscard]] WallTime now() const { return clock_.read().wall; }
    /// Only puts it in the queue: for callers that must not wait.
    void later(store::Event event);
    /// Tries to get rid of all that waits; the error is why something still does.
    Done flush();
    /// How many events wait, or were lost: no more than `longest_queue` wait, what comes then while the
    /// archive fails is only counted, and the count becomes an event ("events.lost") when the others are
    /// there.
    [[nodiscard]] std::size_t waiting() const;
    static constexpr std::size_t longest_queue = 10'000;

  private:
    struct Waiting {
        WallTime at;
        store::Event event;
        std::vector<store::Blob> blobs;
        std::optional<Done> outcome;  // guarded by order_; set when it has left the queue
    };
    [[nodiscard]] std::shared_ptr<Waiting> about_lost(std::int64_t count) const;
    /// False if it has no place.
    bool enqueue(std::shared_ptr<Waiting> waiting);
    Done append(WallTime at, const store::Event& event, const std::vector<store::Blob>& blobs);

    store::Archive& archive_;
    const tac::clock::StampingClock& clock_;
    const Listener listener_;
    std::mutex order_;  // held while something is appended
    mutable std::mutex queue_mutex_;
    std::deque<std::shared_ptr<Waiting>> queue_;
    std::int64_t lost_ = 0;
};

}  // namespace kokuin::tsa
