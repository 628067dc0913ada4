#include "taa/health.h"

#include <array>

#include "base/text.h"

namespace kokuin::taa {
namespace {

constexpr std::size_t longest_text = 1000;

bool taken(const Report& report) {
    return report.outcome == Outcome::good && report.verdict &&
           report.verdict->kind == tac::DeliveryVerdict::Kind::accepted;
}

std::string why(const Report& report) {
    if (!report.text.empty()) return report.text;
    if (!report.undelivered.empty()) return report.undelivered;
    if (report.verdict) return "it refuses its TAC (" + report.verdict->reason + "): " + report.verdict->text;
    return std::string(name(report.outcome));
}

store::Event event_of(std::string_view kind, const Report& report, const std::string& text) {
    store::Event event;
    event.kind = kind;
    event.subject = report.tsu;
    event.text = one_line(text, longest_text);
    return event;
}

}  // namespace

Done Health::restore(const store::Archive& archive, const std::string& tsu) {
    store::RecordNumber newest = -1;
    std::string_view state = fine;
    for (const auto kind : {stopped, unreachable, failing, fine}) {
        auto last = archive.latest_event(std::string(kind), tsu);
        if (!last) return std::move(last).error();
        if (!*last || (*last)->number < newest) continue;
        newest = (*last)->number;
        state = kind;
    }
    const std::lock_guard lock(mutex_);
    rows_[tsu].state = state;
    return {};
}

std::optional<store::Event> Health::take(const Report& report, MonoTime now) {
    const std::lock_guard lock(mutex_);
    auto& row = rows_[report.tsu];
    if (report.outcome == Outcome::own_clock || report.outcome == Outcome::not_admitted) {
        row.failing_since.reset();
        row.tries = 0;
        return std::nullopt;
    }
    if (report.outcome == Outcome::stop && report.record) {
        row.failing_since.reset();
        row.tries = 0;
        if (row.state == stopped) return std::nullopt;
        row.state = stopped;
        auto event = event_of(stopped, report, report.text);
        event.fields["offset_us"] =
            std::int64_t{std::chrono::duration_cast<microseconds>(report.sample->measurement.offset).count()};
        event.fields["tac"] = report.issued->serial;
        return event;
    }
    if (!taken(report)) return failed(row, report, now, patience_);
    row.failing_since.reset();
    row.tries = 0;
    if (row.state == fine) return std::nullopt;
    auto event =
        event_of(fine, report, row.state == stopped ? "is within its limit again" : "has taken a TAC again");
    event.fields["tac"] = report.issued->serial;
    row.state = fine;
    return event;
}

std::optional<store::Event> Health::failed(Row& row, const Report& report, MonoTime now,
                                           nanoseconds patience) {
    if (!row.failing_since) row.failing_since = now;
    ++row.tries;
    if (row.state == unreachable || row.state == failing || now - *row.failing_since < patience)
        return std::nullopt;
    row.state = report.outcome == Outcome::unreachable ? unreachable : failing;
    const auto lasts = std::to_string((now - *row.failing_since) / seconds(1)) + " s: ";
    auto event =
        event_of(row.state, report,
                 (row.state == unreachable ? "can't be reached for " : "no audit led to a TAC for ") + lasts +
                     why(report));
    event.fields["tries"] = row.tries;
    event.fields["outcome"] = std::string(name(report.outcome));
    return event;
}

}  // namespace kokuin::taa
