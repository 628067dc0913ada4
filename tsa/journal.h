// Events on their way into the archive.
#pragma once

#include <deque>
#include <mutex>
#include <vector>

#include "base/result.h"
#include "store/archive.h"
#include "tac/clock/reading.h"

namespace kokuin::tsa {

/// Appends events in the order they were given, at the time of the stamping clock. That time is proved by
/// nothing (an event often says just that), so no event begins a new segment. Thread-safe; archive and clock
/// must outlive it.
class Journal {
  public:
    Journal(store::Archive& archive, const tac::clock::StampingClock& clock)
        : archive_(archive), clock_(clock) {}

    /// Durable on return, after everything that is still waiting; an error means that it isn't there, and
    /// nobody tries again. Always Error::environment: whatever is wrong, the peer isn't to blame.
    Done write(const store::Event& event, const std::vector<store::Blob>& blobs = {});
    /// Tries at once; what fails waits, and is tried again with every other event and every flush() until it
    /// is there. The error of the first try.
    Done keep(store::Event event, std::vector<store::Blob> blobs = {});
    /// Only puts it in the queue: for callers that must not wait.
    void later(store::Event event);
    /// Tries to get rid of all that waits.
    Done flush();

  private:
    struct Waiting {
        WallTime at;
        store::Event event;
        std::vector<store::Blob> blobs;
    };
    Done append(WallTime at, const store::Event& event, const std::vector<store::Blob>& blobs);

    store::Archive& archive_;
    const tac::clock::StampingClock& clock_;
    std::mutex order_;  // held while something is appended
    std::mutex queue_mutex_;
    std::deque<Waiting> queue_;
};

}  // namespace kokuin::tsa
