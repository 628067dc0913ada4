#include "taa/monthly_report.h"

#include <algorithm>
#include <utility>

#include "base/text.h"

namespace kokuin::taa {

Result<Month> Month::parse(std::string_view text) {
    const auto digit = [&](std::size_t i) { return text[i] >= '0' && text[i] <= '9'; };
    const auto number = [&](std::size_t from, std::size_t count) {
        int value = 0;
        for (std::size_t i = from; i < from + count; ++i) value = value * 10 + (text[i] - '0');
        return value;
    };
    const bool shaped = text.size() == 7 && text[4] == '-' && digit(0) && digit(1) && digit(2) && digit(3) &&
                        digit(5) && digit(6);
    if (shaped) {
        const auto year = number(0, 4);
        const auto month = number(5, 2);
        if (year >= 1970 && year <= 2261 && month >= 1 && month <= 12)
            return Month(std::chrono::year(year) / std::chrono::month(static_cast<unsigned>(month)));
    }
    return Error::usage("'" + one_line(text, 40) + "' is no month; allowed: YYYY-MM, for example 2026-11");
}

Month Month::of(WallTime time) {
    const std::chrono::sys_time<nanoseconds> system(time.time_since_epoch());
    const std::chrono::year_month_day date(std::chrono::floor<std::chrono::days>(system));
    return Month(date.year() / date.month());
}

Month Month::previous() const {
    return Month(month_ - std::chrono::months(1));
}

WallTime Month::start() const {
    return WallTime(std::chrono::sys_days(month_ / 1).time_since_epoch());
}

WallTime Month::end() const {
    return WallTime(std::chrono::sys_days((month_ + std::chrono::months(1)) / 1).time_since_epoch());
}

std::string Month::text() const {
    return to_rfc3339(start(), 0).substr(0, 7);
}

std::optional<Spread> spread(std::vector<std::int64_t> values) {
    if (values.empty()) return std::nullopt;
    std::sort(values.begin(), values.end());
    const auto half = values.size() / 2;
    // Not through the sum: whatever stands in the archive, nothing may overflow.
    const auto mean = [](std::int64_t a, std::int64_t b) { return a / 2 + b / 2 + (a % 2 + b % 2) / 2; };
    return Spread{values.front(),
                  values.size() % 2 == 1 ? values[half] : mean(values[half - 1], values[half]),
                  values.back()};
}

std::size_t MonthlyTsu::time_faults() const {
    return static_cast<std::size_t>(
        std::count_if(audits.begin(), audits.end(), [](const MonthlyAudit& audit) { return audit.stop; }));
}

std::size_t MonthlyTsu::attempts() const {
    std::size_t all = 0;
    for (const auto& [outcome, count] : outcomes) all += count;
    return all;
}

std::size_t MonthlyReport::time_faults() const {
    std::size_t all = 0;
    for (const auto& tsu : tsus) all += tsu.time_faults();
    return all;
}

std::string_view name(Remark::Code code) {
    switch (code) {
        case Remark::Code::interim:
            return "interim";
        case Remark::Code::no_reference:
            return "no-reference";
        case Remark::Code::no_audit:
            return "no-audit";
        case Remark::Code::no_certificate:
            return "no-certificate";
        case Remark::Code::certificate_changed:
            return "certificate-changed";
        case Remark::Code::limits_changed:
            return "limits-changed";
        case Remark::Code::undelivered:
            return "undelivered";
        case Remark::Code::taa_certificate_changed:
            return "taa-certificate-changed";
        case Remark::Code::unrecorded_stop:
            return "unrecorded-stop";
        case Remark::Code::admission:
            return "admission";
    }
    return "unknown";
}

}  // namespace kokuin::taa
