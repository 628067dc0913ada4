// The thread that keeps an archive's second place up to date (ARC-2). Used inside the store only; what others
// see of it is CopyState.
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "base/result.h"
#include "store/copy_state.h"
#include "store/copy_writer.h"

namespace kokuin::store {

/// Follows the archive: whenever told that there is more, copies all of it, in groups as large as what has
/// come meanwhile. Trouble with the copy is never trouble of the archive; it is tried again by itself. All
/// functions are thread-safe.
class Copier {
  public:
    /// Error: the copy is of something else (CopyWriter::open). A copy that can't be reached now is none: it
    /// is tried again.
    static Result<std::unique_ptr<Copier>> start(const std::string& from, const CopySettings& settings,
                                                 RecordNumber committed);
    /// Copies what is left, if the copy is there; doesn't wait for it otherwise.
    ~Copier();
    Copier(const Copier&) = delete;
    Copier& operator=(const Copier&) = delete;

    /// Told that the copy has what was committed, or why it hasn't (then it may have all the same).
    using Told = std::function<void(const std::optional<Error>&)>;
    /// The archive has all records below `committed`, durably. `told`, one after the other, for what was
    /// committed: on the copying thread, in this order, or on the one that calls give_up().
    void committed(RecordNumber committed, std::vector<Told> told);
    /// Tells those that have waited for too long (a disk that hangs, a server that is away) that they wait in
    /// vain. True: others still wait.
    bool give_up();

    [[nodiscard]] CopyState state() const;
    /// Why nothing may count on the copy now; empty while it is in step.
    [[nodiscard]] std::string trouble() const;

  private:
    using Clock = std::chrono::steady_clock;
    struct Waiting {
        std::uint64_t ticket = 0;
        Clock::time_point since;
        Told told;
    };
    Copier(std::string from, CopySettings settings, RecordNumber committed);
    void run();
    Done pass(RecordNumber limit);
    void fail(const Error& error);

    const std::string from_;
    const CopySettings settings_;
    std::unique_ptr<CopyWriter> copy_;  // the thread's own; none while it fails
    bool was_there_ = false;            // likewise

    mutable std::mutex mutex_;
    std::condition_variable work_;
    bool stop_ = false;
    RecordNumber committed_;
    std::uint64_t tickets_ = 0;  // given out
    std::uint64_t wanted_ = 0;   // calls of committed()
    std::deque<Waiting> waiting_;
    CopyState state_;
    std::thread thread_;
};

}  // namespace kokuin::store
