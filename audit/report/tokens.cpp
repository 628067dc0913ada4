#include "audit/report/tokens.h"

#include <algorithm>
#include <utility>

namespace kokuin::audit::report {
namespace {

constexpr std::int64_t minute_us = 60'000'000;
constexpr std::int64_t hour_us = 60 * minute_us;

std::size_t minutes_of(Month month) {
    return static_cast<std::size_t>((month.end() - month.start()) / std::chrono::minutes(1));
}

}  // namespace

std::vector<std::uint64_t> Volume::days() const {
    std::vector<std::uint64_t> all((hours.size() + 23) / 24);
    for (std::size_t hour = 0; hour < hours.size(); ++hour) all[hour / 24] += hours[hour].tokens;
    return all;
}

Tokens::Tokens(Month month, std::vector<std::int64_t> sizes)
    : month_(month), sizes_(std::move(sizes)), minutes_(minutes_of(month)) {
    volume_.hours.resize(minutes_of(month) / 60);
}

void Tokens::add(const store::Found& found) {
    const auto& issuance = found.issuance();
    const auto since = issuance.gen_time_us - to_unix_us(month_.start());
    const auto minute = static_cast<std::size_t>(std::max<std::int64_t>(since, 0) / minute_us);
    if (since < 0 || minute >= minutes_.size()) return;
    const auto hour = static_cast<std::size_t>(since / hour_us);
    ++volume_.tokens;
    if (!issuance.tac) ++volume_.without_tac;
    ++volume_.by[{issuance.policy, issuance.tsu}];
    ++minutes_[minute];
    ++volume_.hours[hour].tokens;

    newest_ = std::max(newest_, hour);
    while (!open_.empty() && open_.begin()->first + 1 < newest_) close(open_.begin()->first);
    // Of an hour that was closed all the same the median is settled; `verify` objects to such a token.
    if (hour + 1 >= newest_) ++open_[hour][issuance.clock_bound_us];
    auto& most = volume_.hours[hour].bound_max_us;
    most = std::max(most, issuance.clock_bound_us);
    if (issuance.clock_bound_us > bound_max_us_) {
        bound_max_us_ = issuance.clock_bound_us;
        bound_max_serial_ = issuance.serial;
    }
    sample_ = hour + 1 >= newest_ && sampled_.emplace(issuance.policy, issuance.tsu, hour).second;

    const auto before = covered_;
    while (covered_ < sizes_.size() && sizes_[covered_] <= found.record.number) ++covered_;
    if (covered_ == sizes_.size()) return;
    if (!std::exchange(covering_, true) || covered_ != before) covered_from_us_ = found.record.at_us;
    longest_uncovered_us_ = std::max(longest_uncovered_us_, found.record.at_us - covered_from_us_);
}

void Tokens::close(std::size_t hour) {
    const auto counts = open_.extract(hour).mapped();
    std::uint64_t all = 0;
    for (const auto& [bound, count] : counts) all += count;
    std::uint64_t below = 0;
    for (const auto& [bound, count] : counts) {
        below += count;
        if (2 * below < all) continue;
        volume_.hours[hour].bound_median_us = bound;
        break;
    }
    std::erase_if(sampled_, [&](const auto& one) { return std::get<2>(one) == hour; });
}

void Tokens::finish(Report& report) {
    while (!open_.empty()) close(open_.begin()->first);
    const auto peak = std::max_element(minutes_.begin(), minutes_.end());
    if (peak != minutes_.end() && *peak > 0) {
        volume_.peak = *peak;
        volume_.peak_at = month_.start() + std::chrono::minutes(peak - minutes_.begin());
    }
    report.clock.bound_max_us = std::max<std::int64_t>(bound_max_us_, 0);
    report.clock.bound_max_serial = bound_max_serial_.empty() ? "" : to_hex(bound_max_serial_);
    report.integrity.longest_uncovered_us = longest_uncovered_us_;
    report.volume = std::move(volume_);
}

}  // namespace kokuin::audit::report
