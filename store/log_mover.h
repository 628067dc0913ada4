// Moves the write-ahead log into the segment, so that the commit path doesn't (an automatic checkpoint there
// stalls 8 to 35 ms, design section 6). Used inside the store only.
#pragma once

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/sqlite/sqlite.h"

namespace kokuin::store {

/// A thread with a connection of its own. It moves pages while the writer goes on (PASSIVE checkpoints), and
/// ends the logs of finished segments. Trouble here is never trouble of the archive: what isn't moved stays
/// in the log, and is tried again. All functions are thread-safe.
class LogMover {
  public:
    explicit LogMover(std::string dir);
    ~LogMover();
    LogMover(const LogMover&) = delete;
    LogMover& operator=(const LogMover&) = delete;

    /// After a commit: the log of `segment` is `frames` pages long.
    void committed(const std::string& segment, int frames);
    /// Nothing will be written to this segment any more.
    void finish(const std::string& segment);
    /// True when the log has grown long and most of it is moved: the writer should now move the rest between
    /// two groups (SegmentWriter::catch_up), which lets the log start anew; under steady load it never could
    /// otherwise. The mover stays out of the way until caught_up().
    bool wants_pause() const { return wants_pause_; }
    /// The writer has tried.
    void caught_up();
    /// Closes its connection, waiting for a running checkpoint: before the writer reopens the segment.
    void let_go();

  private:
    void run();
    void move(const std::string& segment);
    void finish_all(std::vector<std::string> segments);

    const std::string dir_;
    std::mutex mutex_;
    std::condition_variable work_;
    bool stop_ = false;
    std::string segment_;
    int frames_ = 0;
    int moved_ = 0;
    std::vector<std::string> finished_;
    std::atomic<bool> wants_pause_{false};

    std::mutex connection_mutex_;  // never taken while mutex_ is held
    std::string connected_to_;
    std::optional<sqlite::Database> connection_;
    std::thread thread_;
};

}  // namespace kokuin::store
