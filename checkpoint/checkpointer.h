// Signs the tree over the archive's records (ARC-3): a checkpoint every few seconds while there is news.
#pragma once

#include <atomic>
#include <functional>
#include <mutex>
#include <optional>
#include <string>

#include "base/result.h"
#include "base/ticker.h"
#include "base/time.h"
#include "hsm/token.h"
#include "store/archive.h"
#include "store/tlog/note.h"

namespace kokuin::checkpoint {

/// What a checkpointer works with; all of it must outlive it.
struct CheckpointerParts {
    const MonoClock& mono;
    store::Archive& archive;
    /// Durable on return, or an error: then it isn't there, and comes again.
    std::function<Done(const store::Event&)> record;
    /// Told to the operators at once, and recorded: now, or when the program next can, or not at all if the
    /// archive takes nothing and the program doesn't keep it.
    std::function<void(const store::Event&)> tell;
    /// The one that has the archive key, open or locked; an error while there is none.
    std::function<Result<hsm::Token*>()> token;
    std::string key;  ///< its label
    /// No record stays uncovered for longer: whoever asks overdue() lets nothing out until one is signed.
    nanoseconds within{};
    std::string make_key;     ///< the command that makes it: "tsactl key generate archive …"
    std::string consequence;  ///< of being overdue, for people: "nothing is stamped"
};

/// Signs a C2SP checkpoint over all durable records when the oldest that is under none is half of `within`
/// old, checks the signature, and makes the checkpoint durable before anybody sees it. Which key signs, and
/// in what time, is an event ("archive.key") before its first signature; that it can't sign in time, and can
/// again (over a restart, too), are events ("checkpoint.late", "checkpoint.back"). Thread-safe but for
/// start(), stop() and tick().
class Checkpointer {
  public:
    explicit Checkpointer(CheckpointerParts parts);
    ~Checkpointer() { stop(); }
    Checkpointer(const Checkpointer&) = delete;
    Checkpointer& operator=(const Checkpointer&) = delete;

    /// Looks ten times in `within` on a thread of its own, until stop().
    void start() { ticker_.start(); }
    /// Covers what is there, if it can, and ends the thread. Idempotent.
    void stop();
    /// One look. Not at the same time as start().
    void tick() { look(false); }

    /// A checkpoint of a head that was, signed and checked; nobody else gets to see it from here. Errors as
    /// of the HSM.
    Result<tlog::Note> sign(const tlog::TreeHead& head);

    /// Why nothing may leave now (no token, no TAC): records, of before the last start too, have been under
    /// no checkpoint for too long. Nothing while they are in time. For the stamping path.
    [[nodiscard]] std::optional<std::string> overdue() const;

    /// For status pages.
    struct Snapshot {
        std::optional<tlog::VerifierKey> key;  ///< none: the HSM hasn't shown it yet
        std::string trouble;                   ///< why the last attempt failed; empty if it didn't
    };
    [[nodiscard]] Snapshot snapshot() const;

  private:
    void look(bool at_once);
    Done cover();
    Result<tlog::Note> sign_by(hsm::Token& token, const tlog::TreeHead& head);
    Result<hsm::Token*> find_key();
    void tell(const char* kind, const std::string& text);

    CheckpointerParts parts_;
    const nanoseconds rest_;
    std::atomic<bool> any_uncovered_;
    std::atomic<MonoTime> since_;  // when the oldest uncovered record was seen
    std::mutex signing_;           // whoever signs
    std::optional<hsm::Key> key_;  // guarded by signing_
    bool late_ = false;
    bool stopped_ = false;

    mutable std::mutex mutex_;
    Snapshot snapshot_;
    Ticker ticker_{rest_, [this] { look(false); }};
};

}  // namespace kokuin::checkpoint
