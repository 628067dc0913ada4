#include "tac/clock/reference.h"

#include <algorithm>
#include <cmath>

#include "base/text.h"

namespace kokuin::tac::clock {
namespace {

nanoseconds c_less_m(const Reading& reading) {
    return reading.wall.time_since_epoch() - reading.middle().time_since_epoch();
}

// Two times as chrony writes them, "1795603644.035379412": seconds and nine digits.
bool is_later(std::string_view a, std::string_view b) {
    const auto whole = [](std::string_view text) { return text.substr(0, text.find('.')); };
    if (whole(a).size() != whole(b).size()) return whole(a).size() > whole(b).size();
    return a > b;
}

nanoseconds carried(nanoseconds time, double rate_ppm) {
    return nanoseconds(
        static_cast<std::int64_t>(static_cast<double>(time.count()) * (std::abs(rate_ppm) + 100) / 1e6));
}

std::string in_ms(nanoseconds time) {
    const auto us = std::chrono::abs(std::chrono::duration_cast<microseconds>(time)).count();
    std::string digits = std::to_string(us % 1000);
    digits.insert(0, 3 - digits.size(), '0');
    return (time < nanoseconds(0) ? "-" : "") + std::to_string(us / 1000) + "." + digits + " ms";
}

}  // namespace

std::string_view name(Reference::State state) {
    switch (state) {
        case Reference::State::starting:
            return "starting";
        case Reference::State::good:
            return "good";
        case Reference::State::silent:
            return "silent";
        case Reference::State::unsynchronised:
            return "unsynchronised";
        case Reference::State::stale:
            return "stale";
    }
    return "unknown";
}

void Reference::started() {
    path_.clear();
    measured_.reset();
}

// How far C has been from the straight line between the ends of its path: what a regression over it can be
// misled by.
nanoseconds Reference::bend() const {
    if (path_.size() < 3) return nanoseconds(0);
    const Point& first = path_.front();
    const Point& last = path_.back();
    const double span = static_cast<double>((last.m - first.m).count());
    if (span <= 0) return nanoseconds(0);
    const double slope = static_cast<double>((last.c_less_m - first.c_less_m).count()) / span;
    double most = 0;
    for (const Point& point : path_) {
        const double on_line = static_cast<double>(first.c_less_m.count()) +
                               slope * static_cast<double>((point.m - first.m).count());
        most = std::max(most, std::abs(static_cast<double>(point.c_less_m.count()) - on_line));
    }
    return nanoseconds(static_cast<std::int64_t>(most) + 1);
}

Reference::State Reference::state_now(const Result<chrony::Report>& report, const Reading& now) const {
    if (!report) return State::silent;
    if (!report->tracking.synchronised || report->sources.agreeing < rules_.min_sources)
        return last_ ? State::unsynchronised : State::starting;
    if (!last_) return State::starting;
    return now.after > last_->good_until ? State::stale : State::good;
}

Reference::Seen Reference::look(const Result<chrony::Report>& report, const Reading& asked,
                                const Reading& now) {
    Seen seen;
    path_.push_back({now.middle(), c_less_m(now)});
    while (path_.back().m - path_.front().m > rules_.memory) path_.pop_front();
    const auto bent = bend();
    seen.wants_reset = bent > rules_.bend;

    // Torn, it is looked at again a second later, and still new.
    if (report && !report->torn) {
        const auto& tracking = report->tracking;
        const bool usable = tracking.synchronised && report->sources.agreeing >= rules_.min_sources &&
                            tracking.skew_ppm <= rules_.skew_ppm;
        // The first look can't tell how old the measurement is, and two can't tell a step from a slope. What
        // was measured while too few agreed isn't new when enough do again.
        if (usable && measured_ && path_.size() > 2 && is_later(tracking.measured, *measured_)) {
            Evidence evidence;
            evidence.source = Source::reference;
            evidence.error = tracking.offset;
            // What chrony knows of its own error (RFC 5905 11.3: root distance), and the intervals of enough
            // sources for one of them to be honest. A regression over points that leave their line by `bent`
            // was seen to err by as much; twice that is counted. Since chrony's selection, which came after
            // the last look, C may have been moved, M is no better than 100 ppm, and chrony has carried its
            // word by the rate it believes in; since it was asked C may have run away as fast as the kernel
            // slews (500 ppm, and M's own error).
            const auto root_distance = tracking.root_delay / 2 + tracking.root_dispersion;
            const auto sources = report->sources.reach + std::chrono::abs(tracking.last_offset);
            auto moved = std::chrono::abs(c_less_m(now) - c_less_m(asked));
            for (auto point = path_.rbegin(); point != path_.rend(); ++point) {
                moved = std::max(moved, std::chrono::abs(c_less_m(now) - point->c_less_m));
                if (point->m < told_at_) break;
            }
            evidence.uncertainty = std::max(root_distance, sources) + 2 * bent + now.gap() + moved +
                                   carried(now.after - told_at_, tracking.rate_ppm) +
                                   (now.after - asked.before) / 1000;
            evidence.at = now;
            evidence.good_until = told_at_ + rules_.max_age;
            evidence.note = report->sources.text();
            if (!tracking.source.empty()) evidence.note += ", followed: " + one_line(tracking.source, 80);
            // An old one that is only now heard of proves nothing any more.
            if (now.after <= evidence.good_until) {
                seen.evidence = evidence;
                last_ = std::move(evidence);
            }
        }
        measured_ = tracking.measured;
        told_at_ = asked.before;
    }

    seen.state = state_now(report, now);
    switch (seen.state) {
        case State::silent:
            seen.text = report.error().text;
            break;
        case State::starting:
            seen.text = "waits for its first measurement: " + report->sources.text();
            break;
        case State::unsynchronised:
            seen.text = "has no time to tell: " + report->sources.text() + ", " +
                        std::to_string(rules_.min_sources) + " must";
            break;
        case State::stale:
            seen.text = "its last measurement is older than " + std::to_string(rules_.max_age / seconds(1)) +
                        " s: " + report->sources.text();
            break;
        case State::good:
            seen.text = "the clock is off by " + in_ms(last_->error) + " +/- " + in_ms(last_->uncertainty) +
                        ", " + report->sources.text();
            break;
    }
    return seen;
}

}  // namespace kokuin::tac::clock
