#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "audit/report/present.h"
#include "audit/report/texts.h"
#include "base/page/page.h"
#include "base/page/plot.h"

namespace kokuin::audit::report {
namespace {

using page::Cell;
using page::code;
using page::escaped;
using page::hours_minutes;
using page::Language;
using page::ms;
using page::number;
using page::plain;
using page::Plot;
using page::time;
using page::utc;

constexpr auto blue = "#1f5fa8";
constexpr auto grey = "#999";
constexpr auto green = "#2a8a4a";
constexpr auto red = "#c0281c";

/// "99.982 %", never rounded up.
std::string percent(nanoseconds part, nanoseconds of) {
    const auto thousandths = of > nanoseconds(0)
                                 ? static_cast<long long>(static_cast<double>(part.count()) /
                                                          static_cast<double>(of.count()) * 100'000)
                                 : 0LL;
    char text[32];
    std::snprintf(text, sizeof text, "%lld.%03lld %%", thousandths / 1000, thousandths % 1000);
    return text;
}

class Writer {
  public:
    Writer(const Report& report, Language language)
        : report_(report),
          language_(language),
          page_(language, said(Word::title) + " " + report.month.text() + " " + report.origin) {}

    std::string write() {
        page_.heading(1, said(Word::title) + " " + report_.month.text());
        if (report_.interim) page_.paragraph(said(Word::interim), "interim");
        about();
        heading(2, Word::summary);
        summary();
        heading(2, Word::volume);
        volume();
        heading(2, Word::refusals);
        refusals();
        heading(2, Word::clock);
        clock();
        heading(2, Word::audits);
        audits();
        heading(2, Word::keys);
        steps(report_.keys);
        heading(2, Word::availability);
        availability();
        heading(2, Word::outages);
        outages();
        heading(2, Word::integrity);
        integrity();
        heading(3, Word::steps);
        steps(report_.steps);
        heading(2, Word::events);
        events();
        return page_.finish(said(Word::notes));
    }

  private:
    [[nodiscard]] std::string_view column(Word which) const { return text(which, language_); }
    [[nodiscard]] std::string said(Word which) const { return std::string(text(which, language_)); }
    [[nodiscard]] Cell named(std::string_view word) const { return plain(translated(word, language_)); }
    [[nodiscard]] Cell end(const std::optional<WallTime>& at) const {
        return at ? time(*at) : Cell{escaped(said(Word::lasting)), "time"};
    }
    /// In the Japanese report with the time of Japan beside it.
    [[nodiscard]] std::string bound(WallTime at) const {
        if (language_ == Language::en) return utc(at);
        return utc(at) + "（" + escaped(said(Word::jst)) + " " + utc(at + std::chrono::hours(9)) + "）";
    }
    void heading(int level, Word which) { page_.heading(level, said(which)); }
    void paragraph(Word which) { page_.paragraph(said(which)); }
    void fact(Word which, const std::string& html) { page_.fact(said(which), html); }
    void left_out(std::uint64_t rows) {
        if (rows > 0) page_.paragraph(said(Word::left_out) + ": " + std::to_string(rows));
    }
    [[nodiscard]] std::uint64_t count(const std::string& verdict) const {
        const auto at = report_.verdicts.find(verdict);
        return at == report_.verdicts.end() ? 0 : at->second;
    }
    [[nodiscard]] WallTime day(std::size_t number) const {
        return report_.month.start() + std::chrono::hours(24) * number;
    }
    [[nodiscard]] Cell day_cell(std::size_t number) const { return {utc(day(number)).substr(0, 10), "time"}; }

    void about() {
        page_.begin_facts();
        fact(Word::log, escaped(report_.origin));
        fact(Word::archive, escaped(report_.archive));
        if (!report_.tsu.empty()) fact(Word::only_tsu, escaped(report_.tsu));
        fact(Word::period, escaped(said(Word::from)) + ": " + bound(report_.month.start()) + "<br>" +
                               escaped(said(Word::to)) + ": " + bound(report_.month.end()));
        if (report_.interim) fact(Word::known_until, bound(report_.until));
        fact(Word::records, std::to_string(report_.first) + "–" + std::to_string(report_.last) + " (" +
                                escaped(said(Word::last_at)) + " " + bound(report_.last_at) + ")");
        fact(Word::made, utc(report_.made));
        page_.end_table();
    }

    void summary() {
        page_.begin_facts();
        fact(Word::tokens, std::to_string(report_.volume.tokens));
        fact(Word::refused_requests, std::to_string(report_.refusals.total));
        fact(Word::largest_bound, ms(report_.clock.bound_max_us, false));
        fact(Word::tacs_accepted, std::to_string(count("accepted")));
        fact(Word::orders_to_stop, std::to_string(count("stop")));
        fact(Word::tacs_refused, std::to_string(count("refused")));
        const auto least =
            std::min_element(report_.availability.begin(), report_.availability.end(),
                             [](const Availability& a, const Availability& b) { return a.open < b.open; });
        if (least != report_.availability.end())
            fact(Word::least_availability, percent(least->open, least->of));
        if (report_.integrity.unknown_for.empty())
            fact(Word::outages, std::to_string(report_.outages.rows.size() + report_.outages.left_out));
        else
            fact(Word::outages, escaped(unknown()));
        const auto& verified = report_.verified;
        fact(Word::problems,
             verified ? std::to_string(verified->problems.rows.size() + verified->problems.left_out)
                      : escaped(said(Word::not_verified)));
        page_.end_table();
    }

    void volume() {
        const auto& volume = report_.volume;
        Plot::Points points;
        std::int64_t most = 0;
        for (std::size_t hour = 0; hour < volume.hours.size(); ++hour) {
            const auto tokens = static_cast<std::int64_t>(volume.hours[hour].tokens);
            most = std::max(most, tokens);
            if (tokens > 0) points.emplace_back(report_.month.start() + std::chrono::hours(1) * hour, tokens);
        }
        Plot plot(report_.month, Plot::Scale::count, most);
        plot.bars(points, std::chrono::hours(1), blue);
        heading(3, Word::volume_plot);
        page_.html(plot.draw(said(Word::volume_plot)));
        page_.begin_facts();
        fact(Word::tokens, std::to_string(volume.tokens));
        fact(Word::without_tac, std::to_string(volume.without_tac));
        if (volume.peak_at) fact(Word::peak, std::to_string(volume.peak) + " (" + utc(*volume.peak_at) + ")");
        page_.end_table();
        if (volume.tokens == 0) return;
        page_.begin_table({column(Word::policy), column(Word::tsu), column(Word::tokens)});
        for (const auto& [of, tokens] : volume.by)
            page_.row({code(of.first), plain(of.second), number(static_cast<std::size_t>(tokens))});
        page_.end_table();
        page_.begin_table({column(Word::day), column(Word::tokens)});
        const auto days = volume.days();
        for (std::size_t day = 0; day < days.size(); ++day)
            if (days[day] > 0) page_.row({day_cell(day), number(static_cast<std::size_t>(days[day]))});
        page_.end_table();
    }

    void refusals() {
        const auto& refusals = report_.refusals;
        if (refusals.total == 0) return paragraph(Word::none);
        std::vector<std::uint64_t> days;
        page_.begin_table({column(Word::reason), column(Word::number)});
        for (const auto& [reason, counts] : refusals.by) {
            std::uint64_t total = 0;
            days.resize(std::max(days.size(), counts.size()));
            for (std::size_t day = 0; day < counts.size(); ++day) {
                total += counts[day];
                days[day] += counts[day];
            }
            page_.row({code(reason), number(static_cast<std::size_t>(total))});
        }
        page_.row(
            {Cell{escaped(said(Word::all_days)), ""}, number(static_cast<std::size_t>(refusals.total))});
        page_.end_table();
        Plot::Points points;
        std::int64_t most = 0;
        for (std::size_t number = 0; number < days.size(); ++number) {
            points.emplace_back(day(number), static_cast<std::int64_t>(days[number]));
            most = std::max(most, points.back().second);
        }
        Plot plot(report_.month, Plot::Scale::count, most);
        plot.bars(points, std::chrono::hours(24), red);
        heading(3, Word::refusals_plot);
        page_.html(plot.draw(said(Word::refusals_plot)));
        page_.begin_table({column(Word::day), column(Word::reason), column(Word::number)});
        for (std::size_t day = 0; day < days.size(); ++day)
            for (const auto& [reason, counts] : refusals.by)
                if (day < counts.size() && counts[day] > 0)
                    page_.row({day_cell(day), code(reason), number(static_cast<std::size_t>(counts[day]))});
        page_.end_table();
    }

    void clock() {
        const auto& clock = report_.clock;
        page_.begin_facts();
        fact(Word::largest_bound,
             ms(clock.bound_max_us, false) +
                 (clock.bound_max_serial.empty()
                      ? ""
                      : " (" + escaped(said(Word::of_token)) + " " + escaped(clock.bound_max_serial) + ")"));
        page_.end_table();
        if (!clock.accuracy_us.empty()) {
            page_.begin_table({column(Word::policy), column(Word::accuracy)});
            for (const auto& [policy, accuracies] : clock.accuracy_us) {
                std::string all;
                for (const auto us : accuracies) all += (all.empty() ? "" : ", ") + ms(us, false);
                page_.row({code(policy), number(all)});
            }
            page_.end_table();
        }
        bounds();
        offsets();
        delays();
        heading(3, Word::comparisons);
        if (clock.comparisons.rows.empty()) return paragraph(Word::no_comparisons);
        std::int64_t measurements = 0;
        auto all = clock.comparisons.rows.front();
        for (const auto& one : clock.comparisons.rows) {
            measurements += one.measurements;
            all.offset_min_us = std::min(all.offset_min_us, one.offset_min_us);
            all.offset_max_us = std::max(all.offset_max_us, one.offset_max_us);
            all.uncertainty_us = one.uncertainty_us;
        }
        page_.begin_facts();
        fact(Word::measurements, std::to_string(measurements));
        fact(Word::offset_min, ms(all.offset_min_us, true));
        fact(Word::offset_max, ms(all.offset_max_us, true));
        fact(Word::uncertainty, ms(all.uncertainty_us, false));
        page_.end_table();
        left_out(clock.comparisons.left_out);
    }

    void bounds() {
        Plot::Points largest;
        Plot::Points medians;
        std::int64_t most = report_.clock.bound_max_us;
        std::set<std::int64_t> accuracies;
        for (const auto& [policy, stated] : report_.clock.accuracy_us)
            accuracies.insert(stated.begin(), stated.end());
        if (!accuracies.empty()) most = std::max(most, *accuracies.rbegin());
        const auto& hours = report_.volume.hours;
        for (std::size_t hour = 0; hour < hours.size(); ++hour) {
            if (hours[hour].tokens == 0) continue;
            const auto at = report_.month.start() + std::chrono::hours(1) * hour + std::chrono::minutes(30);
            largest.emplace_back(at, hours[hour].bound_max_us);
            medians.emplace_back(at, hours[hour].bound_median_us);
        }
        Plot plot(report_.month, Plot::Scale::span, most);
        for (const auto accuracy : accuracies) plot.limit(accuracy);
        plot.points(medians, grey, "3");
        plot.points(largest, blue, "3");
        heading(3, Word::bound_plot);
        page_.html(plot.draw(said(Word::bound_plot)));
        paragraph(Word::bound_about);
    }

    void offsets() {
        Plot::Points by_taa;
        Plot::Points stops;
        Plot::Points by_reference;
        std::set<std::int64_t> limits;
        std::int64_t most = 1000;
        const auto add = [&most](Plot::Points& to, WallTime at, std::int64_t us) {
            to.emplace_back(at, us);
            most = std::max<std::int64_t>(most, std::llabs(std::max<std::int64_t>(us, -1'000'000'000'000)));
        };
        for (const auto& audit : report_.audits.rows) {
            if (!audit.offset_us || audit.verdict == "taken-back") continue;
            add(audit.verdict == "stop" ? stops : by_taa, audit.at, *audit.offset_us);
            if (audit.max_offset_us) limits.insert(*audit.max_offset_us);
        }
        for (const auto& one : report_.clock.comparisons.rows) {
            add(by_reference, one.at, one.offset_min_us);
            add(by_reference, one.at, one.offset_max_us);
        }
        if (!limits.empty()) most = std::max(most, *limits.rbegin());
        Plot plot(report_.month, Plot::Scale::offset, most);
        for (const auto& gap : report_.gaps.rows) plot.band(gap.from, gap.to.value_or(report_.until));
        for (const auto limit : limits) plot.limit(limit);
        plot.points(by_reference, green, "2");
        plot.points(by_taa, blue, "3");
        plot.points(stops, red, "8");
        heading(3, Word::offset_plot);
        page_.html(plot.draw(said(Word::offset_plot)));
        paragraph(Word::offset_about);
    }

    void delays() {
        Plot::Points points;
        std::int64_t most = 0;
        for (const auto& audit : report_.audits.rows) {
            if (!audit.delay_us || audit.verdict == "taken-back") continue;
            points.emplace_back(audit.at, *audit.delay_us);
            most = std::max(most, *audit.delay_us);
        }
        Plot plot(report_.month, Plot::Scale::span, most);
        plot.points(points, blue, "3");
        heading(3, Word::delay_plot);
        page_.html(plot.draw(said(Word::delay_plot)));
    }

    void audits() {
        if (report_.audits.rows.empty()) {
            paragraph(Word::none);
        } else {
            page_.begin_table({column(Word::time), column(Word::tsu), column(Word::verdict),
                               column(Word::tac), column(Word::offset), column(Word::delay),
                               column(Word::valid_until), column(Word::record)});
            for (const auto& audit : report_.audits.rows) {
                auto verdict = named(audit.verdict);
                if (audit.count > 1) verdict.text += " × " + std::to_string(audit.count);
                if (!audit.text.empty()) verdict.text += " (" + escaped(audit.text) + ")";
                page_.row(
                    {time(audit.at), plain(audit.tsu), verdict, code(audit.tac),
                     number(audit.offset_us ? ms(*audit.offset_us, true) : ""),
                     number(audit.delay_us ? ms(*audit.delay_us, false) : ""),
                     audit.until ? time(*audit.until) : Cell{"", ""}, number(std::to_string(audit.number))},
                    audit.verdict == "stop");
            }
            page_.end_table();
            left_out(report_.audits.left_out);
        }
        heading(3, Word::gaps);
        if (report_.gaps.rows.empty()) return paragraph(Word::no_gaps);
        page_.begin_table(
            {column(Word::tsu), column(Word::from), column(Word::ended), column(Word::duration)});
        for (const auto& gap : report_.gaps.rows)
            page_.row({plain(gap.tsu), time(gap.from), end(gap.to),
                       number(hours_minutes(gap.to.value_or(report_.until) - gap.from))});
        page_.end_table();
        left_out(report_.gaps.left_out);
    }

    void steps(const Listed<Step>& steps) {
        if (steps.rows.empty()) return paragraph(Word::none);
        page_.begin_table({column(Word::time), column(Word::kind), column(Word::subject),
                           column(Word::recorded_text), column(Word::record)});
        for (const auto& step : steps.rows)
            page_.row(
                {time(step.at), code(step.kind),
                 plain(step.subject + (step.key.empty() || step.key == step.subject ? "" : " / " + step.key)),
                 plain(step.text), number(std::to_string(step.number))},
                step.kind == "key.compromised" || step.kind == "key.revoked" ||
                    step.kind == "programs.changed" || step.kind == "programs.memory" ||
                    step.kind == "events.lost");
        page_.end_table();
        left_out(steps.left_out);
    }

    /// Why nobody knows how things went.
    [[nodiscard]] std::string unknown() const {
        std::string kinds;
        for (const auto& kind : report_.integrity.unknown_for) kinds += (kinds.empty() ? "" : ", ") + kind;
        return said(Word::unknown_since_removed) + ": " + kinds;
    }

    void availability() {
        if (!report_.integrity.unknown_for.empty()) return page_.paragraph(unknown());
        if (report_.availability.empty()) return paragraph(Word::none);
        page_.begin_table({column(Word::tsu), column(Word::gate_policies), column(Word::share),
                           column(Word::open_for), column(Word::out_of)});
        for (const auto& row : report_.availability)
            page_.row({plain(row.tsu), plain(row.policies), number(percent(row.open, row.of)),
                       number(hours_minutes(row.open)), number(hours_minutes(row.of))});
        page_.end_table();
    }

    void outages() {
        if (!report_.integrity.unknown_for.empty()) return page_.paragraph(unknown());
        if (report_.outages.rows.empty()) return paragraph(Word::none);
        std::map<std::pair<std::string, std::string>, std::pair<std::size_t, nanoseconds>> causes;
        for (const auto& one : report_.outages.rows) {
            auto& [times, lasted] = causes[{one.what, one.cause}];
            ++times;
            lasted += one.to.value_or(report_.until) - one.from;
        }
        page_.begin_table(
            {column(Word::what), column(Word::cause), column(Word::number), column(Word::duration)});
        for (const auto& [of, sum] : causes)
            page_.row(
                {named(of.first), named(of.second), number(sum.first), number(hours_minutes(sum.second))});
        page_.end_table();
        page_.begin_table({column(Word::from), column(Word::ended), column(Word::duration),
                           column(Word::what), column(Word::subject), column(Word::cause),
                           column(Word::recorded_text)});
        for (const auto& one : report_.outages.rows)
            page_.row({time(one.from), end(one.to),
                       number(hours_minutes(one.to.value_or(report_.until) - one.from)), named(one.what),
                       plain(one.subject), named(one.cause),
                       plain(one.recorded ? one.text : said(Word::not_recorded))});
        page_.end_table();
        left_out(report_.outages.left_out);
    }

    void integrity() {
        const auto& integrity = report_.integrity;
        page_.begin_facts();
        fact(Word::checkpoints, std::to_string(integrity.checkpoints));
        fact(Word::longest_uncovered, ms(integrity.longest_uncovered_us, false));
        fact(Word::uncovered, std::to_string(integrity.uncovered));
        if (integrity.removed > 0) fact(Word::removed, std::to_string(integrity.removed));
        if (integrity.head_size)
            fact(Word::newest_head, escaped(said(Word::size)) + " " + std::to_string(*integrity.head_size) +
                                        ", " + escaped(said(Word::root)) + " " +
                                        escaped(integrity.head_root));
        page_.end_table();
        heading(3, Word::cosignatures);
        if (integrity.cosignatures.empty()) paragraph(Word::no_cosignatures);
        for (const auto& [witness, count] : integrity.cosignatures)
            page_.paragraph(witness + ": " + std::to_string(count));
        heading(3, Word::verification);
        if (!report_.verified) return paragraph(Word::not_verified);
        const auto& verified = *report_.verified;
        page_.paragraph(said(verified.ok ? Word::whole : Word::not_whole), verified.ok ? "" : "interim");
        page_.begin_facts();
        fact(Word::looked_at,
             std::to_string(verified.records) + " (" + std::to_string(verified.since) + "–)");
        if (verified.anchored)
            fact(Word::anchored, "✓");
        else
            fact(Word::not_anchored, escaped(verified.not_anchored_because));
        page_.end_table();
        if (verified.problems.rows.empty()) return;
        page_.begin_table({column(Word::kind), column(Word::segment), column(Word::record),
                           column(Word::serial), column(Word::detail)});
        for (const auto& problem : verified.problems.rows)
            page_.row({code(problem.kind), plain(problem.segment),
                       number(problem.number ? std::to_string(*problem.number) : ""), code(problem.serial),
                       plain(problem.detail)},
                      true);
        page_.end_table();
        left_out(verified.problems.left_out);
    }

    void events() {
        if (report_.events.empty()) return paragraph(Word::none);
        page_.begin_table({column(Word::kind), column(Word::number)});
        for (const auto& [kind, count] : report_.events)
            page_.row({code(kind), number(static_cast<std::size_t>(count))});
        page_.end_table();
    }

    const Report& report_;
    const Language language_;
    page::Page page_;
};

}  // namespace

std::string to_html(const Report& report, Language language) {
    return Writer(report, language).write();
}

}  // namespace kokuin::audit::report
