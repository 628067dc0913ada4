#include "tac/clock/chrony.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <vector>

namespace kokuin::tac::clock::chrony {
namespace {

constexpr std::size_t columns_of_tracking = 14;
constexpr std::size_t columns_of_source = 10;

std::vector<std::string_view> split(std::string_view line) {
    std::vector<std::string_view> out;
    while (true) {
        const auto comma = line.find(',');
        out.push_back(line.substr(0, comma));
        if (comma == std::string_view::npos) return out;
        line.remove_prefix(comma + 1);
    }
}

Error unreadable(std::string_view what, std::string_view line) {
    return Error::environment("chronyc says something else than chrony 4 does (" + std::string(what) +
                              "): \"" + std::string(line.substr(0, 200)) + "\"; is it another version?");
}

// Seconds with a fraction. Nanoseconds are exact up to centuries in a double's 53 bits only below 100 days,
// which is beyond every offset that means anything.
std::optional<nanoseconds> seconds_of(std::string_view text) {
    double value = 0;
    const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (fault != std::errc() || end != text.data() + text.size() || !(value > -8e6 && value < 8e6))
        return std::nullopt;
    return nanoseconds(std::llround(value * 1e9));
}

Result<Tracking> tracking_of(std::string_view line) {
    const auto columns = split(line);
    if (columns.size() != columns_of_tracking) return unreadable("tracking", line);
    Tracking out;
    const auto leap = columns[13];
    if (leap != "Normal" && leap != "Insert second" && leap != "Delete second" && leap != "Not synchronised")
        return unreadable("leap status", line);
    out.synchronised = leap != "Not synchronised";
    out.leap = leap == "Insert second" ? 1 : leap == "Delete second" ? -1 : 0;
    out.source = columns[1];
    const auto stratum = columns[2];
    if (std::from_chars(stratum.data(), stratum.data() + stratum.size(), out.stratum).ec != std::errc())
        return unreadable("stratum", line);
    out.measured = columns[3];
    const auto correction = seconds_of(columns[4]);
    const auto delay = seconds_of(columns[10]);
    const auto dispersion = seconds_of(columns[11]);
    const auto interval = seconds_of(columns[12]);
    if (!correction || !delay || !dispersion || !interval || *dispersion < nanoseconds(0))
        return unreadable("a number", line);
    out.offset = -*correction;
    // Measured against itself a delay can come out below nothing by its noise.
    out.root_delay = std::max(*delay, nanoseconds(0));
    out.root_dispersion = *dispersion;
    out.interval = *interval;
    return out;
}

}  // namespace

std::string Sources::text() const {
    std::string out = std::to_string(agreeing) + " of " + std::to_string(configured) +
                      (configured == 1 ? " source agrees" : " sources agree");
    if (falsetickers > 0)
        out += ", " + std::to_string(falsetickers) +
               (falsetickers == 1 ? " is a falseticker" : " are falsetickers");
    if (unreachable > 0) out += ", " + std::to_string(unreachable) + " can't be reached";
    return out;
}

Result<Report> parse(std::string_view text, nanoseconds silence) {
    Report report;
    std::string_view last;
    while (!text.empty()) {
        const auto end = text.find('\n');
        const auto line = text.substr(0, end);
        text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
        if (line.empty()) continue;
        const auto columns = split(line);
        if (columns.size() == columns_of_source && last.empty()) {
            // Column 6: the last eight polls, a bit each, octal; 7: seconds since the last answer.
            std::int64_t since = 0;
            const auto last_answer = columns[6];
            if (std::from_chars(last_answer.data(), last_answer.data() + last_answer.size(), since).ec !=
                std::errc())
                return unreadable("a source", line);
            const bool heard = columns[5] != "0" && since <= silence / seconds(1);
            ++report.sources.configured;
            if (!heard || columns[1] == "?")
                ++report.sources.unreachable;
            else if (columns[1] == "x")
                ++report.sources.falsetickers;
            else if (columns[1] == "*" || columns[1] == "+")
                ++report.sources.agreeing;
            continue;
        }
        if (!last.empty()) return unreadable("a line after tracking", line);
        last = line;
    }
    if (last.empty()) return unreadable("no tracking", text);
    auto tracking = tracking_of(last);
    if (!tracking) return std::move(tracking).error();
    report.tracking = std::move(*tracking);
    return report;
}

}  // namespace kokuin::tac::clock::chrony
