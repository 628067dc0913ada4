#include "tac/clock/chrony.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <vector>

namespace kokuin::tac::clock::chrony {
namespace {

constexpr std::size_t columns_of_tracking = 14;
constexpr std::size_t columns_of_source = 10;
constexpr std::size_t columns_of_selection = 18;

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

std::optional<double> plain_number(std::string_view text) {
    double value = 0;
    const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (fault != std::errc() || end != text.data() + text.size() || !(value > -4e9 && value < 4e9))
        return std::nullopt;
    return value;
}

// Seconds with a fraction, up to a century: a server may be off by the 19.6 years of GPS weeks. Exact to the
// nanosecond below 100 days, which is beyond every offset that means anything.
std::optional<nanoseconds> seconds_of(std::string_view text) {
    const auto value = plain_number(text);
    if (!value) return std::nullopt;
    return nanoseconds(std::llround(*value * 1e9));
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
    const auto last = seconds_of(columns[5]);
    const auto rate = plain_number(columns[7]);
    const auto skew = plain_number(columns[9]);
    const auto delay = seconds_of(columns[10]);
    const auto dispersion = seconds_of(columns[11]);
    const auto interval = seconds_of(columns[12]);
    if (!correction || !last || !rate || !skew || *skew < 0 || !delay || !dispersion || !interval ||
        *dispersion < nanoseconds(0))
        return unreadable("a number", line);
    out.offset = -*correction;
    out.last_offset = *last;
    out.rate_ppm = *rate;
    out.skew_ppm = *skew;
    // Measured against itself a delay can come out below nothing by its noise.
    out.root_delay = std::max(*delay, nanoseconds(0));
    out.root_dispersion = *dispersion;
    out.interval = *interval;
    return out;
}

// A line of selectdata.
struct Selected {
    std::string_view name;
    char state = '?';
    nanoseconds low{0}, high{0};  // of chrony's time less the source's
    bool heard = false;           // lately
};

Result<Selected> selected_of(std::string_view line) {
    const auto columns = split(line);
    const auto low = seconds_of(columns[15]);
    const auto high = seconds_of(columns[16]);
    if (columns[0].size() != 1 || !low || !high || *low > *high) return unreadable("selectdata", line);
    return Selected{columns[1], columns[0].front(), *low, *high};
}

nanoseconds reach(std::vector<Selected> agreeing, std::size_t quorum) {
    std::stable_sort(agreeing.begin(), agreeing.end(),
                     [](const Selected& a, const Selected& b) { return a.high - a.low < b.high - b.low; });
    nanoseconds out{0};
    for (std::size_t i = 0; i < std::min(quorum, agreeing.size()); ++i)
        out = std::max({out, -agreeing[i].low, agreeing[i].high});
    return out;
}

// Whether chrony could choose it, or only didn't because its interval doesn't contain that of an
// authenticated source whole ('T'): where that one's is the wider, no other could ever agree. What overlaps
// the chosen one agrees.
bool agrees(const Selected& source, const std::vector<Selected>& all) {
    static constexpr std::string_view selectable = "*+DPUW";
    if (selectable.find(source.state) != std::string_view::npos) return true;
    if (source.state != 'T') return false;
    const auto chosen =
        std::find_if(all.begin(), all.end(), [](const Selected& one) { return one.state == '*'; });
    return chosen != all.end() && source.low <= chosen->high && chosen->low <= source.high;
}

Sources sources_of(const std::vector<Selected>& selection, std::size_t quorum) {
    Sources out;
    out.configured = selection.size();
    std::vector<Selected> agreeing;
    for (const auto& source : selection)
        if (!source.heard)
            ++out.unreachable;
        else if (source.state == 'x')
            ++out.falsetickers;
        else if (agrees(source, selection))
            agreeing.push_back(source);
    out.agreeing = agreeing.size();
    out.reach = reach(std::move(agreeing), quorum);
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

Result<Report> parse(std::string_view text, nanoseconds silence, std::size_t quorum) {
    std::vector<Selected> selection;
    std::size_t sources = 0;
    std::optional<Tracking> before;
    std::optional<Tracking> after;
    while (!text.empty()) {
        const auto end = text.find('\n');
        const auto line = text.substr(0, end);
        text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
        if (line.empty()) continue;
        if (after) return unreadable("a line after tracking", line);
        const auto columns = split(line);
        if (columns.size() == columns_of_selection && before && sources == 0) {
            auto selected = selected_of(line);
            if (!selected) return std::move(selected).error();
            selection.push_back(*selected);
        } else if (columns.size() == columns_of_source && before) {
            // Column 6: the last eight polls, a bit each, octal; 7: seconds since the last answer.
            // (selectdata has an age too, but as of the last selection, which a silent source doesn't cause.)
            std::int64_t since = 0;
            const auto last_answer = columns[6];
            if (std::from_chars(last_answer.data(), last_answer.data() + last_answer.size(), since).ec !=
                std::errc())
                return unreadable("a source", line);
            ++sources;
            for (auto& selected : selection)
                if (selected.name == columns[2])
                    selected.heard = columns[5] != "0" && since <= silence / seconds(1);
        } else {
            auto tracking = tracking_of(line);
            if (!tracking) return std::move(tracking).error();
            (before ? after : before) = std::move(*tracking);
        }
    }
    if (!after) return unreadable("no tracking", text);
    if (sources != selection.size()) return unreadable("sources that aren't in selectdata", "");
    const bool torn = before->measured != after->measured;
    return Report{std::move(*after), sources_of(selection, quorum), torn};
}

}  // namespace kokuin::tac::clock::chrony
