#include "tac/clock/comparison.h"

#include <algorithm>
#include <utility>

namespace kokuin::tac::clock {
namespace {

constexpr nanoseconds record_every = std::chrono::hours(1);

std::int64_t in_us(nanoseconds time) {
    return std::chrono::duration_cast<microseconds>(time).count();
}

}  // namespace

bool Comparison::add(const Evidence& evidence) {
    if (!summary_) summary_ = Summary{0, evidence.error, evidence.error, evidence, evidence};
    ++summary_->measurements;
    summary_->least = std::min(summary_->least, evidence.error);
    summary_->most = std::max(summary_->most, evidence.error);
    summary_->last = evidence;
    return evidence.at.before - summary_->first.at.before >= record_every;
}

std::optional<Comparison::Record> Comparison::take() {
    const auto summary = std::exchange(summary_, std::nullopt);
    if (!summary) return std::nullopt;
    return Record{std::to_string(summary->measurements) +
                      (summary->measurements == 1 ? " measurement" : " measurements") +
                      ", last: " + summary->last.note,
                  {{"measurements", summary->measurements},
                   {"offset_min_us", in_us(summary->least)},
                   {"offset_max_us", in_us(summary->most)},
                   {"offset_last_us", in_us(summary->last.error)},
                   {"uncertainty_last_us", in_us(summary->last.uncertainty)}}};
}

}  // namespace kokuin::tac::clock
