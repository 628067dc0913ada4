#include "base/time.h"

#include <ctime>
#include <system_error>

namespace kokuin {
namespace {

nanoseconds read_clock(clockid_t id) {
    timespec now{};
    if (clock_gettime(id, &now) != 0)
        throw std::system_error(errno, std::generic_category(), "clock_gettime");
    return seconds(now.tv_sec) + nanoseconds(now.tv_nsec);
}

constexpr int max_digits = 9;

/// Reads text piece by piece; what doesn't fit is remembered.
class Scanner {
  public:
    explicit Scanner(std::string_view text) : rest_(text) {}

    int number(std::size_t digits) {
        if (rest_.size() < digits) return fail();
        int value = 0;
        for (std::size_t i = 0; i < digits; ++i) {
            if (rest_[i] < '0' || rest_[i] > '9') return fail();
            value = value * 10 + (rest_[i] - '0');
        }
        rest_.remove_prefix(digits);
        return value;
    }
    bool take(char c) {
        if (rest_.empty() || rest_.front() != c) return false;
        rest_.remove_prefix(1);
        return true;
    }
    void expect(char c) {
        if (!take(c)) fail();
    }
    /// Fractional digits as nanoseconds, at least one. `strict`: at most 9, and the last isn't 0.
    nanoseconds fraction(bool strict) {
        std::int64_t value = 0;
        int digits = 0;
        char last = '0';
        while (!rest_.empty() && rest_.front() >= '0' && rest_.front() <= '9') {
            last = rest_.front();
            if (digits < max_digits) {
                ++digits;
                value = value * 10 + (last - '0');
            } else if (strict) {
                fail();
                return {};
            }
            rest_.remove_prefix(1);
        }
        if (digits == 0 || (last == '0' && strict)) fail();
        for (; digits < max_digits; ++digits) value *= 10;
        return nanoseconds(value);
    }
    [[nodiscard]] bool done() const { return ok_ && rest_.empty(); }
    [[nodiscard]] bool empty() const { return rest_.empty(); }
    int fail() {
        ok_ = false;
        return 0;
    }

  private:
    std::string_view rest_;
    bool ok_ = true;
};

// Nanoseconds since 1970 in 64 bits hold these years in full.
constexpr int first_year = 1678;
constexpr int last_year = 2261;

std::optional<std::chrono::sys_days> day_of(int year, int month, int day) {
    const auto date = std::chrono::year(year) / std::chrono::month(static_cast<unsigned>(month)) /
                      std::chrono::day(static_cast<unsigned>(day));
    if (!date.ok()) return std::nullopt;
    return std::chrono::sys_days(date);
}

bool is_first_of_month(WallTime time) {
    const auto days = std::chrono::floor<std::chrono::days>(time.time_since_epoch());
    return time.time_since_epoch() == days &&
           std::chrono::year_month_day(std::chrono::sys_days(days)).day() == std::chrono::day(1);
}

std::optional<WallTime> civil(int year, int month, int day, int hour, int minute, int second) {
    const auto date = day_of(year, month, day);
    // A 60th second exists in UTC but not in POSIX time: whoever writes it means a moment we can't name.
    if (!date || year < first_year || year > last_year || hour > 23 || minute > 59 || second > 59)
        return std::nullopt;
    return WallTime(date->time_since_epoch() + std::chrono::hours(hour) + std::chrono::minutes(minute) +
                    seconds(second));
}

/// As civil(), but years beyond it are all time before or after.
std::optional<WallTime> moment(int year, int month, int day, int hour, int minute, int second) {
    if (year >= first_year && year <= last_year) return civil(year, month, day, hour, minute, second);
    if (!day_of(year, month, day) || hour > 23 || minute > 59 || second > 59) return std::nullopt;
    return year < first_year ? WallTime::min() : WallTime::max();
}

struct Civil {
    int year;
    unsigned month, day;
    int hour, minute, second;
    std::int64_t nanos;
};

Civil to_civil(WallTime time) {
    const auto since = time.time_since_epoch();
    const auto days = std::chrono::floor<std::chrono::days>(since);
    const std::chrono::year_month_day date{std::chrono::sys_days(days)};
    const auto rest = since - days;
    const auto whole = std::chrono::floor<seconds>(rest).count();
    return {static_cast<int>(date.year()),     static_cast<unsigned>(date.month()),
            static_cast<unsigned>(date.day()), static_cast<int>(whole / 3600),
            static_cast<int>(whole / 60 % 60), static_cast<int>(whole % 60),
            (rest - seconds(whole)).count()};
}

std::string padded(std::int64_t value, int width) {
    auto text = std::to_string(value);
    if (static_cast<int>(text.size()) < width)
        text.insert(0, static_cast<std::size_t>(width) - text.size(), '0');
    return text;
}

std::string fraction_digits(std::int64_t nanos, int digits) {
    return padded(nanos, max_digits).substr(0, static_cast<std::size_t>(digits));
}

}  // namespace

WallTime SystemWallClock::now() const {
    return WallTime(read_clock(CLOCK_REALTIME));
}
MonoTime SystemMonoClock::now() const {
    return MonoTime(read_clock(CLOCK_MONOTONIC_RAW));
}

std::int64_t to_unix_us(WallTime time) {
    return std::chrono::floor<microseconds>(time.time_since_epoch()).count();
}
WallTime from_unix_us(std::int64_t us) {
    return WallTime(microseconds(us));
}

std::string to_rfc3339(WallTime time, int digits) {
    const auto c = to_civil(time);
    auto text = padded(c.year, 4) + '-' + padded(c.month, 2) + '-' + padded(c.day, 2) + 'T' +
                padded(c.hour, 2) + ':' + padded(c.minute, 2) + ':' + padded(c.second, 2);
    if (digits > 0) text += '.' + fraction_digits(c.nanos, digits);
    return text + 'Z';
}

std::optional<WallTime> from_rfc3339(std::string_view text) {
    Scanner scan(text);
    const int year = scan.number(4);
    scan.expect('-');
    const int month = scan.number(2);
    scan.expect('-');
    const int day = scan.number(2);
    if (scan.done()) return moment(year, month, day, 0, 0, 0);
    if (!scan.take('T') && !scan.take('t') && !scan.take(' ')) return std::nullopt;
    const int hour = scan.number(2);
    scan.expect(':');
    const int minute = scan.number(2);
    scan.expect(':');
    const int second = scan.number(2);
    const nanoseconds fraction = scan.take('.') ? scan.fraction(false) : nanoseconds{};
    nanoseconds offset{};
    if (!scan.take('Z') && !scan.take('z')) {
        const bool east = scan.take('+');
        if (!east) scan.expect('-');
        const int hours = scan.number(2);
        scan.expect(':');
        const int minutes = scan.number(2);
        if (hours > 23 || minutes > 59) return std::nullopt;
        offset = (east ? 1 : -1) * (std::chrono::hours(hours) + std::chrono::minutes(minutes));
    }
    if (!scan.done()) return std::nullopt;
    const bool leap = second == 60;
    auto time = moment(year, month, day, hour, minute, leap ? 59 : second);
    if (!time || *time == WallTime::min() || *time == WallTime::max()) return time;
    *time -= offset;
    if (!leap) return *time + fraction;
    *time += seconds(1);
    if (!is_first_of_month(*time)) return std::nullopt;
    return time;
}

std::string to_generalized_time(WallTime time, int digits) {
    const auto c = to_civil(time);
    auto text = padded(c.year, 4) + padded(c.month, 2) + padded(c.day, 2) + padded(c.hour, 2) +
                padded(c.minute, 2) + padded(c.second, 2);
    auto fraction = fraction_digits(c.nanos, digits);
    fraction.erase(fraction.find_last_not_of('0') + 1);
    if (!fraction.empty()) text += '.' + fraction;
    return text + 'Z';
}

std::optional<WallTime> from_generalized_time(std::string_view text) {
    Scanner scan(text);
    const int year = scan.number(4);
    const int month = scan.number(2);
    const int day = scan.number(2);
    const int hour = scan.number(2);
    const int minute = scan.number(2);
    const int second = scan.number(2);
    const nanoseconds fraction = scan.take('.') ? scan.fraction(true) : nanoseconds{};
    scan.expect('Z');
    if (!scan.done()) return std::nullopt;
    const auto time = civil(year, month, day, hour, minute, second);
    if (!time) return std::nullopt;
    return *time + fraction;
}

}  // namespace kokuin
