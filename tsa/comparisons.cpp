#include "tsa/comparisons.h"

#include <spdlog/spdlog.h>

#include <algorithm>

namespace kokuin::tsa {
namespace {

using tac::clock::Reference;
constexpr nanoseconds record_every = std::chrono::hours(1);

std::int64_t in_us(nanoseconds time) {
    return std::chrono::duration_cast<microseconds>(time).count();
}

}  // namespace

void Comparisons::note(const char* kind, const std::string& text) {
    store::Event event;
    event.kind = kind;
    event.text = text;
    (void)parts_.journal.keep(std::move(event));
}

void Comparisons::take(const tac::clock::Evidence& evidence) {
    bool missed = false;
    for (auto* tsu : parts_.tsus)
        missed |= tsu->gate().add(evidence) == tac::clock::ErrorBound::Added::misses;
    if (missed) {
        const auto text = "the clock is off by " + std::to_string(in_us(evidence.error)) + " us, +/- " +
                          std::to_string(in_us(evidence.uncertainty)) +
                          " us, which isn't what was predicted: the rate of M is learnt anew";
        spdlog::warn("reference missed: {}", text);
        note("reference.missed", text);
    }
    if (!summary_) summary_ = Summary{evidence.at.before, 0, evidence.error, evidence.error, evidence};
    ++summary_->measurements;
    summary_->least = std::min(summary_->least, evidence.error);
    summary_->most = std::max(summary_->most, evidence.error);
    summary_->last = evidence;
    if (evidence.at.before - summary_->since >= record_every) flush();
}

void Comparisons::flush() {
    if (!summary_) return;
    store::Event event;
    event.kind = "reference.compared";
    event.text = std::to_string(summary_->measurements) + " measurements, last: " + summary_->last.note;
    event.fields = {{"measurements", summary_->measurements},
                    {"offset_min_us", in_us(summary_->least)},
                    {"offset_max_us", in_us(summary_->most)},
                    {"offset_last_us", in_us(summary_->last.error)},
                    {"uncertainty_last_us", in_us(summary_->last.uncertainty)}};
    summary_.reset();
    (void)parts_.journal.keep(std::move(event));
}

tac::clock::ReferenceWatch::Listener Comparisons::listener() {
    return {[this](const tac::clock::Evidence& evidence) { take(evidence); },
            [this](Reference::State state, const std::string& text) {
                const auto kind = "reference." + std::string(tac::clock::name(state));
                const bool calm = state == Reference::State::good || state == Reference::State::starting;
                spdlog::log(calm ? spdlog::level::info : spdlog::level::warn, "reference {}: {}",
                            tac::clock::name(state), text);
                note(kind.c_str(), text);
            },
            [this](const std::string& text) {
                spdlog::warn("reference reset: {}", text);
                note("reference.reset", text);
            }};
}

}  // namespace kokuin::tsa
