#include "audit/removal_check.h"

#include <algorithm>
#include <chrono>

#include "store/retention.h"

namespace kokuin::audit {
namespace {

/// An event that waited may be some moments older than its month; nobody removes by the second.
constexpr nanoseconds tolerance = std::chrono::hours(24);
/// As far as a token's time may lie behind that of a record before it: it may have waited for its HSM, and a
/// proved clock may have been set right.
constexpr nanoseconds most_late = std::chrono::minutes(10);

/// Why this mustn't have been removed; empty: it may.
std::string objection(const store::Expiry& expiry, const store::Removal& removal,
                      const std::vector<Span>& segments) {
    const std::string what = removal.kind + " of " + removal.segment;
    const auto segment = std::find_if(segments.begin(), segments.end(),
                                      [&](const Span& one) { return one.name == removal.segment; });
    if (segment == segments.end()) return what + " was removed, and that month isn't there";
    if (removal.runs.front().first < segment->first || removal.runs.back().last >= segment->end)
        return what + " was removed, and not all of these records are of that month";
    if (expiry.number < segment->end) return what + " was removed while that month was being written";
    const auto& rule = store::retention_of(removal.kind);
    if (rule.beyond == store::Beyond::everything)
        return what + " was removed, which is kept as long as the archive";
    const auto month = from_rfc3339(removal.segment.substr(0, 7) + "-01");
    if (!month) return what + " was removed, and that is no month";
    const auto least = store::years_later(*month, rule.years);
    if (expiry.at + tolerance < least || removal.ends + tolerance < least || expiry.at < removal.ends)
        return what + " was removed on " + to_rfc3339(expiry.at, 0) + ", before the " +
               std::to_string(rule.years) + " years of its kind were over";
    return "";
}

/// The operator alone says when it was: a token that came later has its time from a proved clock.
std::string objection_to_time(store::ArchiveReader& reader, const store::Expiry& expiry) {
    std::string text;
    store::Query query;
    query.first = expiry.number + 1;
    (void)reader.find(query, [&](const store::Found& found) {
        const auto gen_time = from_unix_us(found.issuance().gen_time_us);
        if (gen_time + most_late < expiry.at)
            text = "records were removed at " + to_rfc3339(expiry.at, 0) +
                   ", as it says, and a token whose record comes later is of " + to_rfc3339(gen_time);
        return false;
    });
    return text;
}

}  // namespace

Removed check_removals(const std::string& dir, const std::vector<Span>& segments,
                       const std::vector<store::Run>& gone, std::vector<Problem>& problems) {
    Removed removed;
    const auto reader = store::ArchiveReader::open(dir);
    const auto removals = reader ? store::Removals::read(**reader) : Result<store::Removals>(reader.error());
    if (!removals) problems.push_back({"removal", "", std::nullopt, "", removals.error().text});
    const store::Removals none;
    const store::Removals& known = removals ? *removals : none;
    for (const store::Expiry& expiry : known.all()) {
        const auto object = [&](std::string text) {
            problems.push_back({"removal", expiry.segment, expiry.number, "", std::move(text)});
        };
        if (auto text = objection_to_time(**reader, expiry); !text.empty()) object(std::move(text));
        for (const store::Removal& removal : expiry.removals)
            if (auto text = objection(expiry, removal, segments); !text.empty()) object(std::move(text));
    }
    for (const store::Run& run : gone)
        for (auto number = run.first; number <= run.last; ++number) {
            const auto* removal = known.of(number);
            if (removal) {
                ++removed.records;
                if (removal->gen_times_us) ++removed.tokens;
                continue;
            }
            const auto segment = std::find_if(segments.rbegin(), segments.rend(),
                                              [&](const Span& one) { return one.first <= number; });
            problems.push_back({"missing", segment == segments.rend() ? "" : segment->name, number, "",
                                "only the hash of its leaf is there, and no record says that it was removed "
                                "after its time"});
        }
    if (removed.records > 0)
        for (const store::Expiry& expiry : known.all())
            removed.last = std::max(removed.last.value_or(expiry.at), expiry.at);
    return removed;
}

}  // namespace kokuin::audit
