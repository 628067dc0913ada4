#include "audit/removal_check.h"

#include <algorithm>
#include <chrono>
#include <optional>

#include "audit/agreements.h"
#include "store/retention.h"
#include "store/scan.h"

namespace kokuin::audit {
namespace {

/// What waited may be some moments older than its month; nobody removes by the second.
constexpr nanoseconds tolerance = std::chrono::hours(24);
/// As far as a token's time may lie behind that of a record before it: it may have waited for its HSM, and a
/// proved clock may have been set right.
constexpr nanoseconds most_late = std::chrono::minutes(10);

/// One archive and what it says of removals.
class Judge {
  public:
    Judge(const RemovalContext& context, store::ArchiveReader& reader, const Result<Agreements>& agreements,
          std::vector<Problem>& problems)
        : context_(context), reader_(reader), agreements_(agreements), problems_(problems) {}

    /// That no token speaks for the time of one of those that were judged.
    [[nodiscard]] bool time_unproved() const { return time_unproved_; }

    void judge(const store::Expiry& expiry) {
        const auto object = [&](const std::string& text) {
            if (!text.empty()) problems_.push_back({"removal", expiry.segment, expiry.number, "", text});
        };
        object(of_time(expiry));
        object(of_custodians(expiry));
        for (const store::Removal& removal : expiry.removals) {
            object(of(expiry, removal));
            if (removal.gen_times_us) object(of_tokens(expiry, removal));
        }
    }

  private:
    [[nodiscard]] const Span* find(const std::string& name) const {
        const auto& all = context_.segments;
        const auto found =
            std::find_if(all.begin(), all.end(), [&name](const Span& one) { return one.name == name; });
        return found == all.end() ? nullptr : &*found;
    }

    /// Why this mustn't have been removed; empty: it may.
    [[nodiscard]] std::string of(const store::Expiry& expiry, const store::Removal& removal) const {
        const std::string what = removal.kind + " of " + removal.segment;
        const Span* segment = find(removal.segment);
        if (!segment) return what + " was removed, and that month isn't there";
        if (removal.runs.front().first < segment->first || removal.runs.back().last >= segment->end)
            return what + " was removed, and not all of these records are of that month";
        if (expiry.number < segment->end) return what + " was removed while that month was being written";
        const auto& rule = store::retention_of(removal.kind);
        if (rule.beyond == store::Beyond::everything)
            return what + " was removed, which is kept as long as the archive";
        const auto least = store::years_later(store::month_begin(removal.segment), rule.years);
        if (expiry.at + tolerance < least || removal.ends + tolerance < least || expiry.at < removal.ends)
            return what + " was removed on " + to_rfc3339(expiry.at, 0) + ", before the " +
                   std::to_string(rule.years) + " years of its kind were over";
        return "";
    }

    /// All of a month go, or none.
    [[nodiscard]] std::string of_tokens(const store::Expiry& expiry, const store::Removal& removal) const {
        const auto month = store::month_begin(removal.segment);
        const auto [earliest, latest] = *removal.gen_times_us;
        if (from_unix_us(earliest) + tolerance < month ||
            from_unix_us(latest) > month + std::chrono::hours(24 * 31) + tolerance)
            return "tokens of " + removal.segment +
                   " were removed, and their times, as it says, aren't of that month";
        auto scan = store::SegmentScan::open(context_.dir, removal.segment);
        if (!scan) return "";  // told elsewhere
        std::uint64_t others = 0;
        (void)scan->serials([&](View, store::RecordNumber number) {
            if (number < expiry.number &&
                std::none_of(removal.runs.begin(), removal.runs.end(), [number](const store::Run& run) {
                    return run.first <= number && number <= run.last;
                }))
                ++others;
        });
        if (others == 0) return "";
        return "some tokens of " + removal.segment + " were removed, and " + std::to_string(others) +
               " are still there: all go, or none";
    }

    /// The operator alone says when it was.
    [[nodiscard]] std::string of_time(const store::Expiry& expiry) {
        const std::string at = "records were removed at " + to_rfc3339(expiry.at, 0) + ", as it says, and ";
        if (expiry.at > context_.now + most_late) return at + "that is yet to come";
        // A token that came later has its time from a proved clock.
        std::string text;
        bool any = false;
        store::Query query;
        query.first = expiry.number + 1;
        const auto searched = reader_.find(query, [&](const store::Found& found) {
            any = true;
            const auto gen_time = from_unix_us(found.issuance().gen_time_us);
            if (gen_time + most_late < expiry.at)
                text = at + "a token whose record comes later is of " + to_rfc3339(gen_time);
            return false;
        });
        time_unproved_ = time_unproved_ || !any;
        return searched ? text : at + "whether that can be isn't known: " + searched.error().text;
    }

    [[nodiscard]] std::string of_custodians(const store::Expiry& expiry) const {
        if (!agreements_) return "whether custodians had agreed can't be told: " + agreements_.error().text;
        const auto event = reader_.record(expiry.number);
        if (!event) return event.error().text;
        const auto lacks = agreements_->lacking({expiry.number, expiry.segment, "archive-expire",
                                                 event->event().value<std::string>("agreed_in"),
                                                 event->event().value<std::string>("custodians"),
                                                 "list sha256 " + to_hex(event->event().blobs.front())});
        if (!lacks) return "";
        return "records were removed without custodians' agreement to this list: " + lacks->text;
    }

    const RemovalContext& context_;
    store::ArchiveReader& reader_;
    const Result<Agreements>& agreements_;
    std::vector<Problem>& problems_;
    bool time_unproved_ = false;
};

}  // namespace

Removed check_removals(const RemovalContext& context, const std::vector<store::Run>& gone,
                       std::vector<Problem>& problems) {
    Removed removed;
    const auto reader = store::ArchiveReader::open(context.dir);
    const auto removals = reader ? store::Removals::read(**reader) : Result<store::Removals>(reader.error());
    if (!removals) problems.push_back({"removal", "", std::nullopt, "", removals.error().text});
    const store::Removals none;
    const store::Removals& known = removals ? *removals : none;
    const auto is_covered = [&context](store::RecordNumber number) {
        return static_cast<std::uint64_t>(number) < context.covered;
    };
    std::vector<store::Run> named;
    const auto agreements = reader ? Agreements::read(**reader, signed_removals(known, context.covered))
                                   : Result<Agreements>(reader.error());
    for (const store::Expiry& expiry : known.all()) {
        if (!is_covered(expiry.number)) continue;
        Judge judge(context, **reader, agreements, problems);
        judge.judge(expiry);
        removed.time_unproved = removed.time_unproved || judge.time_unproved();
        for (const store::Removal& removal : expiry.removals)
            named.insert(named.end(), removal.runs.begin(), removal.runs.end());
    }
    // Lists may overlap.
    store::RecordNumber next = 0;
    std::sort(named.begin(), named.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    for (const store::Run& run : named) {
        const auto first = std::max(run.first, next);
        if (first <= run.last) removed.still_there += static_cast<std::uint64_t>(run.last - first + 1);
        next = std::max(next, run.last + 1);
    }
    std::vector<store::Run> missing;
    for (const store::Run& run : gone)
        for (auto number = run.first; number <= run.last; ++number) {
            const auto event = known.said_by(number);
            if (!event || !is_covered(*event)) {
                store::add_to(missing, number);
                continue;
            }
            ++removed.records;
            --removed.still_there;
            if (known.of(number)->gen_times_us) ++removed.tokens;
            const auto at = std::find_if(known.all().begin(), known.all().end(),
                                         [&event](const store::Expiry& one) { return one.number == *event; });
            removed.last = std::max(removed.last.value_or(at->at), at->at);
        }
    for (const store::Run& run : missing)
        for (const Span& segment : context.segments) {
            const auto first = std::max(run.first, segment.first);
            const auto last = std::min(run.last, segment.end - 1);
            if (first > last) continue;
            problems.push_back(
                {"missing", segment.name, first, "",
                 "only the hash of its leaf is there" +
                     (first == last ? std::string()
                                    : " (and of those up to record " + std::to_string(last) + ")") +
                     ", and no record under a checkpoint says that it was removed after its time"});
        }
    return removed;
}

}  // namespace kokuin::audit
