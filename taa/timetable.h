// When a TSU is audited next: the pure part of the scheduler. No threads, no clock of its own.
#pragma once

#include "base/time.h"

namespace kokuin::taa {

/// How often a TSU is audited.
struct Pace {
    nanoseconds interval = std::chrono::hours(1);  ///< between two audits at most (TAA-1: 24 h)
    nanoseconds retry = std::chrono::minutes(1);   ///< longest wait after an audit that led to nothing
    nanoseconds request_spacing =
        seconds(10);  ///< between two audits of one TSU at least, on request (TAC-9)
    /// Between the starts of two audits, whichever TSUs: at a start, when the network is back after an
    /// outage, or when all ask at once, they come one after the other.
    nanoseconds start_spacing{0};
};

/// How an audit ended, as far as the next one depends on it.
enum class Ending {
    /// A good TAC was delivered and accepted: the next audit is due by the interval.
    settled,
    /// No TAC could be made or delivered, or it was an order to stop: again after 1 s, 2 s, 4 s … up to
    /// `retry`, so that a TSU which starts, or whose clock was mended, has its TAC soon.
    open,
    /// The TSU refused the TAC. Mostly a person must act (policy, certificate), and each try leaves a TAC
    /// behind for ten years: again after 1 s, 2 s, 4 s … up to the interval.
    refused,
};

/// The due times of one TSU. Pure: all times are arguments, from one MonoClock. For one thread at a time.
class Timetable {
  public:
    /// The first audit is due at `start`: at once.
    Timetable(const Pace& pace, MonoTime start);

    /// When the next audit is to begin. While one is running, when that one was begun.
    [[nodiscard]] MonoTime due() const { return due_; }
    [[nodiscard]] bool running() const { return running_; }

    /// True if a TSU asked for this audit since the last one.
    bool begin(MonoTime now);
    /// `dice`, in [0, 1), spreads the TSUs of a TAA: up to a tenth of the interval earlier, never later, so
    /// that the interval holds; retries likewise.
    void end(MonoTime now, Ending ending, double dice);

    /// What a TSU is told that asks for an audit.
    struct Answer {
        bool running = false;  ///< one is under way: it serves the request
        nanoseconds in{0};     ///< otherwise: one begins after this
    };
    /// A TSU asks (TAC-9). Its next audit is brought forward to now, or to `request_spacing` after the last
    /// one began; asking again changes nothing.
    Answer request(MonoTime now);
    /// Its next audit begins now, or at once after the one that runs: something has changed that this one may
    /// not have seen. Not the TSU's wish. `spaced`: no sooner than `request_spacing` after the last one
    /// began, and one that runs will do.
    void bring_forward(MonoTime now, bool spaced = false);

  private:
    Pace pace_;
    MonoTime due_;
    MonoTime began_;
    nanoseconds backoff_{0};
    bool ever_began_ = false;
    bool running_ = false;
    bool requested_ = false;
    bool again_ = false;
};

}  // namespace kokuin::taa
