// Looks at chrony once a second and passes on what comes of it (TSA-6, TAA-4).
#pragma once

#include <functional>
#include <mutex>
#include <optional>
#include <string>

#include "base/result.h"
#include "base/ticker.h"
#include "tac/clock/chrony_daemon.h"
#include "tac/clock/reading.h"
#include "tac/clock/reference.h"

namespace kokuin::tac::clock {

/// Owns the daemon and the thread. start(), stop() and tick() for one thread; snapshot() for any.
class ReferenceWatch {
  public:
    /// Whom to tell; called on the watching thread, must return soon.
    struct Listener {
        /// Every new measurement; true if it isn't what was predicted: chrony's filter may hold a mixture
        /// of before and after, so it is told to begin anew.
        std::function<bool(const Evidence&)> evidence;
        /// Once for each change of state, with the cause in words.
        std::function<void(Reference::State, const std::string& text)> changed;
        /// chrony was told to start anew, because the clock had moved, or a measurement was a surprise.
        std::function<void(const std::string& text)> reset;
        std::function<void()> looked{};  ///< after each look, if set
    };
    /// What is known now.
    struct Snapshot {
        Reference::State state = Reference::State::starting;
        std::string text;                      ///< one line, for people
        std::optional<Evidence> last;          ///< the last measurement, however old
        std::optional<chrony::Report> said{};  ///< chrony's last answer
        std::uint64_t measurements = 0;        ///< since start
        std::uint64_t resets = 0;
    };

    /// `clock` must outlive it.
    ReferenceWatch(chrony::Settings daemon, ReferenceRules rules, const StampingClock& clock,
                   Listener listener)
        : daemon_(std::move(daemon)), reference_(rules), clock_(clock), listener_(std::move(listener)) {}
    ~ReferenceWatch() { stop(); }
    ReferenceWatch(const ReferenceWatch&) = delete;
    ReferenceWatch& operator=(const ReferenceWatch&) = delete;

    /// Starts our own chronyd, if there is to be one. Error: it can't be started; a configuration to mend.
    Done prepare();
    /// Looks once a second on a thread of its own, until stop(). After prepare().
    void start();
    /// Ends thread and daemon. Idempotent.
    void stop();
    /// One look. Not at the same time as start().
    void tick();

    [[nodiscard]] Snapshot snapshot() const;

  private:
    void keep_running(const Reading& now);
    bool begin_anew(const Reading& now);
    void hurry(const Reading& now, bool synchronised);

    chrony::Daemon daemon_;
    Reference reference_;
    const StampingClock& clock_;
    Listener listener_;
    std::optional<MonoTime> not_before_;  // of the next start or reset
    std::optional<MonoTime> first_;       // look
    std::optional<MonoTime> burst_at_;    // while chrony begins anew: when to make it hurry again
    std::string ended_;                   // what to say while a daemon that has ended doesn't answer yet
    bool begun_ = false;
    std::optional<Reference::State> told_;

    mutable std::mutex snapshot_mutex_;
    Snapshot snapshot_;
    Ticker ticker_{seconds(1), [this] { tick(); }};
};

}  // namespace kokuin::tac::clock
