#include "taa/health.h"

#include "base/text.h"

namespace kokuin::taa {

std::optional<store::Event> Health::take(const Report& report, MonoTime now) {
    const std::lock_guard lock(mutex_);
    auto& row = rows_[report.tsu];
    store::Event event;
    event.subject = report.tsu;
    if (report.outcome == Outcome::unreachable) {
        if (!row.unreached_since) row.unreached_since = now;
        ++row.tries;
        if (row.state == State::unreachable || now - *row.unreached_since < patience_) return std::nullopt;
        row.state = State::unreachable;
        event.kind = "tsu.unreachable";
        event.text =
            one_line("can't be reached since " + std::to_string((now - *row.unreached_since) / seconds(1)) +
                         " s: " + report.text,
                     1000);
        event.fields["tries"] = row.tries;
        return event;
    }
    row.unreached_since.reset();
    row.tries = 0;
    if (report.outcome == Outcome::stop && report.record) {
        if (row.state == State::stopped) return std::nullopt;
        row.state = State::stopped;
        event.kind = "tsu.stopped";
        event.text = report.text;
        event.fields["offset_us"] =
            std::int64_t{std::chrono::duration_cast<microseconds>(report.sample->measurement.offset).count()};
        event.fields["tac"] = report.issued->serial;
        return event;
    }
    const bool taken = report.outcome == Outcome::good && report.verdict &&
                       report.verdict->kind == tac::DeliveryVerdict::Kind::accepted;
    if (!taken || row.state == State::fine) return std::nullopt;
    event.kind = "tsu.fine";
    event.text = row.state == State::stopped ? "is within its limit again" : "was reached again";
    event.fields["tac"] = report.issued->serial;
    row.state = State::fine;
    return event;
}

}  // namespace kokuin::taa
