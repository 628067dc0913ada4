#include "taa/clock_watch.h"

#include <spdlog/spdlog.h>

#include <utility>

#include "base/text.h"

namespace kokuin::taa {
namespace {

constexpr nanoseconds time_for_the_first_proof = seconds(20);
constexpr nanoseconds day = std::chrono::hours(24);

}  // namespace

ClockWatch::ClockWatch(const tac::clock::ReferenceSettings& settings, microseconds limit,
                       const tac::clock::StampingClock& clock, Clocks clocks,
                       const tac::clock::LeapFile& leaps, Diary& diary, Listener told)
    : clocks_(clocks),
      leaps_(leaps),
      diary_(diary),
      listener_(std::move(told)),
      own_(clock, limit),
      reference_(settings.daemon, settings.rules, clock, listener()) {}

Done ClockWatch::start() {
    if (auto done = reference_.prepare(); !done) return std::move(done).error().in("[reference]");
    patience_until_ = clocks_.mono.now() + time_for_the_first_proof;
    stopped_ = false;
    reference_.start();
    return {};
}

void ClockWatch::stop() {
    if (std::exchange(stopped_, true)) return;
    reference_.stop();
    note_comparison();
}

tac::clock::ReferenceWatch::Listener ClockWatch::listener() {
    using State = tac::clock::Reference::State;
    return {[this](const tac::clock::Evidence& evidence) {
                const bool missed = own_.take(evidence) == tac::clock::ErrorBound::Added::misses;
                if (missed) {
                    spdlog::warn("reference text=\"missed what was predicted: the rate is learnt anew\"");
                    note("reference.missed", evidence.note);
                }
                if (comparison_.add(evidence)) note_comparison();
                return missed;
            },
            [this](State state, const std::string& text) {
                const bool calm = state == State::good || state == State::starting;
                spdlog::log(calm ? spdlog::level::info : spdlog::level::warn,
                            "reference state={} text=\"{}\"", tac::clock::name(state), text);
                note("reference." + std::string(tac::clock::name(state)), text);
            },
            [this](const std::string& text) {
                spdlog::warn("reference text=\"{}\"", text);
                note("reference.reset", text);
            },
            [this] { look(); }};
}

void ClockWatch::note(const std::string& kind, const std::string& text,
                      const std::map<std::string, std::int64_t>& fields) {
    store::Event event;
    event.kind = kind;
    event.text = one_line(text, 4000);
    for (const auto& [key, value] : fields) event.fields.emplace(key, value);
    (void)diary_.announce(event);  // the log has it
}

void ClockWatch::note_comparison() {
    const auto compared = comparison_.take();
    if (!compared) return;
    store::Event event;
    event.kind = "reference.compared";
    event.text = one_line(compared->text, 4000);
    for (const auto& [key, value] : compared->fields) event.fields.emplace(key, value);
    (void)diary_.record(event);  // the log has it
}

void ClockWatch::look() {
    const auto now = clocks_.wall.now();
    if (const auto list = leaps_.read(clocks_.mono.now()))
        for (const auto& leap : (*list)->between(now - day, now + day)) own_.announce(leap);
    const auto standing = own_.look();
    // What isn't known yet, right after the start, isn't a fault to tell the world.
    if (!known_ && !standing.proved && clocks_.mono.now() < *patience_until_) return;
    if (proved_ != standing.proved) {
        proved_ = standing.proved;
        spdlog::log(standing.proved ? spdlog::level::info : spdlog::level::err, "clock {} text=\"{}\"",
                    standing.proved ? "proved" : "unproved", standing.text);
        if (standing.proved)
            note("clock.proved", standing.text, {{"own_bound_us", standing.bound_us}});
        else
            note("clock.unproved", standing.text);
        if (known_) listener_.changed();
    }
    if (!std::exchange(known_, true)) listener_.known();
}

}  // namespace kokuin::taa
