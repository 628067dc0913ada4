#include "tac/clock/reference_watch.h"

namespace kokuin::tac::clock {
namespace {

// A daemon that ends at once, or a clock that is moved again and again, must not become a storm.
constexpr nanoseconds again_at_most_every = seconds(5);
constexpr nanoseconds time_to_come_up = seconds(3);
// A burst takes less; one that chrony ignored is asked for again.
constexpr nanoseconds burst_again_every = seconds(8);

// A reading that was interrupted says little about C - M, and would look like a clock that moved.
Reading steady(const StampingClock& clock) {
    auto best = clock.read();
    for (int tries = 0; tries < 5 && best.gap() > microseconds(100); ++tries)
        if (const auto next = clock.read(); next.gap() < best.gap()) best = next;
    return best;
}

}  // namespace

Done ReferenceWatch::prepare() {
    return daemon_.start();
}

void ReferenceWatch::start() {
    ticker_.start();
}

void ReferenceWatch::stop() {
    ticker_.stop();
    daemon_.stop();
}

void ReferenceWatch::keep_running(const Reading& now) {
    if (!daemon_.ended() || (not_before_ && now.after < *not_before_)) return;
    not_before_ = now.after + again_at_most_every;
    const auto done = daemon_.start();
    ended_ = daemon_.where() + " has ended (" + daemon_.log() + " says why) and " +
             (done ? "is started again" : "can't be started again: " + done.error().text);
    if (done) reference_.started();
}

bool ReferenceWatch::begin_anew(const Reading& now) {
    if (not_before_ && now.after < *not_before_) return false;
    not_before_ = now.after + again_at_most_every;
    if (!daemon_.reset()) return false;
    reference_.started();
    burst_at_ = now.after + burst_again_every;
    begun_ = true;
    return true;
}

void ReferenceWatch::hurry(const Reading& now, bool synchronised) {
    if (!burst_at_) return;
    if (synchronised) return burst_at_.reset();
    if (now.after < *burst_at_) return;
    burst_at_ = now.after + burst_again_every;
    (void)daemon_.burst();  // what goes wrong shows in the next answer
}

void ReferenceWatch::tick() {
    // One that others run may have measured before anything here watched the clock.
    if (!begun_ && !daemon_.is_own()) (void)begin_anew(clock_.read());
    begun_ = begun_ || daemon_.is_own();

    const auto asked = steady(clock_);
    auto report = daemon_.ask();
    if (!report) keep_running(clock_.read());
    if (report)
        ended_.clear();
    else if (!ended_.empty())
        report = Error::environment(ended_);
    const auto now = steady(clock_);
    // A daemon that was only now started needs a moment before it hears.
    if (!first_) first_ = now.before;
    if (!report && !told_ && daemon_.is_own() && !daemon_.ended() && now.after - *first_ < time_to_come_up)
        return;
    hurry(now, report && report->tracking.synchronised);
    const auto seen = begun_ ? reference_.look(report, asked, now) : Reference::Seen{};
    const bool missed = seen.evidence && listener_.evidence(*seen.evidence);
    const bool was_reset = (seen.wants_reset || missed) && report && begin_anew(now);
    const auto text = begun_   ? seen.text
                      : report ? "waits for its daemon to start anew"
                               : report.error().text;
    const auto state = begun_ ? seen.state : report ? Reference::State::starting : Reference::State::silent;
    {
        const std::lock_guard lock(snapshot_mutex_);
        snapshot_.state = state;
        snapshot_.text = text;
        if (report) snapshot_.said = *report;
        if (seen.evidence) {
            snapshot_.last = seen.evidence;
            ++snapshot_.measurements;
        }
        if (was_reset) ++snapshot_.resets;
    }
    if (was_reset)
        listener_.reset(missed ? "a measurement missed its prediction: chrony is told to measure anew"
                               : "the clock was moved: chrony is told to measure anew");
    if (told_ != state) {
        told_ = state;
        listener_.changed(state, text);
    }
    if (listener_.looked) listener_.looked();
}

ReferenceWatch::Snapshot ReferenceWatch::snapshot() const {
    const std::lock_guard lock(snapshot_mutex_);
    return snapshot_;
}

}  // namespace kokuin::tac::clock
