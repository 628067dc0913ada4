#include "base/month.h"

#include "base/text.h"

namespace kokuin {

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

}  // namespace kokuin
