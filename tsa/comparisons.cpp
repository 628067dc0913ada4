#include "tsa/comparisons.h"

#include <spdlog/spdlog.h>

namespace kokuin::tsa {
namespace {

using tac::clock::Reference;

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

bool Comparisons::take(const tac::clock::Evidence& about_realtime) {
    const auto evidence = parts_.correction.about_c(about_realtime);
    bool missed = false;
    for (const auto& tsu : *parts_.tsus.audited())
        missed |= tsu->gate().add(evidence) == tac::clock::ErrorBound::Added::misses;
    if (missed) {
        const auto text = "the clock is off by " + std::to_string(in_us(evidence.error)) + " us, +/- " +
                          std::to_string(in_us(evidence.uncertainty)) +
                          " us, which isn't what was predicted: the rate of M is learnt anew";
        spdlog::warn("reference missed: {}", text);
        note("reference.missed", text);
    }
    if (comparison_.add(evidence)) flush();
    return missed;
}

void Comparisons::flush() {
    const auto record = comparison_.take();
    if (!record) return;
    store::Event event;
    event.kind = "reference.compared";
    event.text = record->text;
    for (const auto& [key, value] : record->fields) event.fields.emplace(key, value);
    (void)parts_.journal.keep(std::move(event));
}

tac::clock::ReferenceWatch::Listener Comparisons::listener() {
    return {[this](const tac::clock::Evidence& evidence) { return take(evidence); },
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
