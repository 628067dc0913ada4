#include <algorithm>
#include <cmath>
#include <utility>

#include "base/page/page.h"
#include "base/page/plot.h"
#include "taa/monthly_present.h"

namespace kokuin::taa {
namespace {

using page::Cell;
using page::code;
using page::escaped;
using page::hours_minutes;
using page::ms;
using page::number;
using page::plain;
using page::time;
using page::utc;

std::string plot(const MonthlyReport& report, const MonthlyTsu& tsu, Language language) {
    std::int64_t largest = 1000;
    for (const auto& limits : tsu.limits) largest = std::max(largest, limits.max_offset_us);
    for (const auto& audit : tsu.audits)
        largest =
            std::max(largest, static_cast<std::int64_t>(std::abs(static_cast<double>(audit.offset_us))));
    page::Plot plot(report.month, page::Plot::Scale::offset, largest);
    for (const auto& outage : tsu.outages) plot.band(outage.from, outage.to.value_or(report.until));
    for (const auto& downtime : report.downtimes)
        plot.band(downtime.from, downtime.to.value_or(report.until));
    for (const auto& limits : tsu.limits) plot.limit(limits.max_offset_us);
    for (const bool stop : {false, true}) {
        page::Plot::Points points;
        for (const auto& audit : tsu.audits)
            if (audit.stop == stop) points.emplace_back(audit.at, audit.offset_us);
        plot.points(points, stop ? "#c0281c" : "#1f5fa8", stop ? "8" : "3");
    }
    return plot.draw(text(Word::plot, language));
}

/// Writes one page.
class Writer {
  public:
    Writer(const MonthlyReport& report, Language language)
        : report_(report),
          language_(language),
          page_(language, said(Word::title) + " " + report.month.text() + " " + report.tsa) {}

    std::string write() {
        page_.heading(1, said(Word::title) + " " + report_.month.text());
        if (report_.interim) page_.paragraph(said(Word::interim), "interim");
        about();
        heading(2, said(Word::summary));
        summary();
        heading(2, said(Word::remarks));
        remarks();
        heading(2, said(Word::own_clock));
        own_clock();
        heading(2, said(Word::downtimes));
        downtimes();
        for (const auto& one : report_.tsus) tsu(one);
        return page_.finish(said(Word::notes));
    }

  private:
    [[nodiscard]] std::string said(Word which) const { return std::string(text(which, language_)); }
    [[nodiscard]] std::string word(Word which) const { return escaped(said(which)); }
    [[nodiscard]] std::string_view column(Word which) const { return text(which, language_); }
    [[nodiscard]] Cell named(const std::string& name) const { return plain(translated(name, language_)); }
    /// The period's bounds, in the Japanese report with the time of Japan beside them.
    [[nodiscard]] std::string bound(WallTime at) const {
        if (language_ == Language::en) return utc(at);
        return utc(at) + "（" + word(Word::jst) + " " + utc(at + std::chrono::hours(9)) + "）";
    }
    [[nodiscard]] static std::string lines(const std::string& text) {
        std::string html;
        for (std::size_t at = 0; at < text.size();) {
            const auto end = std::min(text.find('\n', at), text.size());
            html += (html.empty() ? "" : "<br>") + escaped(text.substr(at, end - at));
            at = end + 1;
        }
        return html;
    }
    [[nodiscard]] Cell end(const std::optional<WallTime>& at) const {
        return at ? time(*at) : Cell{word(Word::lasting), "time"};
    }

    void heading(int level, const std::string& text) { page_.heading(level, text); }
    void paragraph(Word which) { page_.paragraph(said(which)); }
    void fact(Word which, const std::string& html) { page_.fact(said(which), html); }
    void row(std::initializer_list<Cell> cells, bool stop = false) { page_.row(cells, stop); }
    void foot() { page_.end_table(); }

    void about() {
        page_.begin_facts();
        fact(Word::tsa, escaped(report_.tsa));
        std::string taa;
        for (const auto& certificate : report_.taa)
            taa += (taa.empty() ? "" : "<br>") + escaped(certificate.subject);
        fact(Word::taa, taa.empty() ? word(Word::unknown) : taa);
        fact(Word::period, word(Word::period_from) + ": " + bound(report_.month.start()) + "<br>" +
                               word(Word::period_to) + ": " + bound(report_.month.end()));
        if (report_.interim) fact(Word::known_until, bound(report_.until));
        fact(Word::made, utc(report_.made));
        fact(Word::time_faults, std::to_string(report_.time_faults()));
        if (!report_.checkpoint.empty()) fact(Word::checkpoint, lines(report_.checkpoint));
        foot();
    }

    void summary() {
        page_.begin_table({column(Word::tsu), column(Word::distinguished_name), column(Word::audits_made),
                           column(Word::time_faults), column(Word::failed_audits), column(Word::outages)});
        for (const auto& tsu : report_.tsus)
            row({plain(tsu.name), Cell{subjects(tsu), ""}, number(tsu.audits.size()),
                 number(tsu.time_faults()), number(tsu.attempts() - tsu.audits.size()),
                 number(tsu.outages.size())},
                tsu.time_faults() > 0);
        foot();
    }

    [[nodiscard]] std::string subjects(const MonthlyTsu& tsu) const {
        std::string out;
        for (const auto& certificate : tsu.certificates)
            out += (out.empty() ? "" : "<br>") + escaped(certificate.subject);
        return out.empty() ? word(Word::unknown) : out;
    }

    void remarks() {
        if (report_.remarks.empty()) return paragraph(Word::no_remarks);
        page_.html("<ul>\n");
        for (const auto& remark : report_.remarks)
            page_.html("<li>" + escaped(sentence(remark, language_)) + "</li>\n");
        page_.html("</ul>\n");
    }

    void own_clock() {
        const auto& clock = report_.clock;
        if (clock.recorded()) {
            const auto value = [&](const std::optional<std::int64_t>& us, bool sign) {
                return us ? ms(*us, sign) : word(Word::unknown);
            };
            page_.begin_facts();
            fact(Word::comparisons, std::to_string(clock.comparisons));
            fact(Word::measurements, std::to_string(clock.measurements));
            fact(Word::offset_min, value(clock.offset_min_us, true));
            fact(Word::offset_max, value(clock.offset_max_us, true));
            fact(Word::offset_last, value(clock.offset_last_us, true));
            fact(Word::uncertainty_last, value(clock.uncertainty_last_us, false));
            foot();
        } else {
            paragraph(Word::no_reference);
        }
        if (clock.unproved.empty()) return;
        heading(3, said(Word::unproved_spans));
        page_.begin_table({column(Word::from), column(Word::to), column(Word::reason)});
        for (const auto& span : clock.unproved) row({time(span.from), end(span.to), plain(span.text)});
        foot();
    }

    void downtimes() {
        if (report_.downtimes.empty()) return paragraph(Word::no_downtimes);
        page_.begin_table({column(Word::from), column(Word::to), column(Word::kind)});
        for (const auto& downtime : report_.downtimes)
            row({time(downtime.from), end(downtime.to),
                 Cell{word(downtime.recorded ? Word::stopped_in_order : Word::stopped_without_order), ""}});
        foot();
    }

    void tsu(const MonthlyTsu& tsu) {
        heading(2, said(Word::tsu) + ": " + tsu.name);
        certificates(tsu);
        limits(tsu);
        statistics(tsu);
        stops(tsu);
        outages(tsu);
        failures(tsu);
        audits(tsu);
    }

    void certificates(const MonthlyTsu& tsu) {
        page_.begin_table(
            {column(Word::distinguished_name), column(Word::certificate), column(Word::valid_until)});
        for (const auto& certificate : tsu.certificates)
            row({plain(certificate.subject), code(certificate.sha256),
                 certificate.not_after ? time(*certificate.not_after) : Cell{word(Word::unknown), ""}});
        if (tsu.certificates.empty())
            row({Cell{word(Word::unknown), ""}, Cell{word(Word::unknown), ""},
                 Cell{word(Word::unknown), ""}});
        foot();
    }

    void limits(const MonthlyTsu& tsu) {
        if (tsu.limits.empty()) return;
        heading(3, said(Word::audit_limit));
        page_.begin_table({column(Word::policy), column(Word::offset_limit), column(Word::delay_limit)});
        for (const auto& limits : tsu.limits)
            row({code(limits.policy), number("±" + ms(limits.max_offset_us, false)),
                 number(ms(limits.max_delay_us, false))});
        foot();
    }

    void statistics(const MonthlyTsu& tsu) {
        heading(3, said(Word::statistics));
        if (tsu.offset_us && tsu.delay_us) {
            page_.begin_table({"", column(Word::minimum), column(Word::median), column(Word::maximum)});
            values(Word::offset, *tsu.offset_us, true);
            values(Word::delay, *tsu.delay_us, false);
            foot();
        } else {
            paragraph(Word::no_measurement);
        }
        heading(3, said(Word::plot));
        page_.html(plot(report_, tsu, language_));
        paragraph(Word::plot_about);
        heading(3, said(Word::outcomes));
        page_.begin_table({column(Word::outcome), column(Word::number)});
        for (const auto& [outcome, count] : tsu.outcomes)
            if (count > 0 || outcome == "good" || outcome == "stop") row({named(outcome), number(count)});
        foot();
    }

    void values(Word what, const Spread& spread, bool sign) {
        page_.named_row(said(what), {number(ms(spread.min, sign)), number(ms(spread.median, sign)),
                                     number(ms(spread.max, sign))});
    }

    void stops(const MonthlyTsu& tsu) {
        heading(3, said(Word::stops));
        if (tsu.time_faults() == 0) {
            paragraph(Word::no_stops);
        } else {
            page_.begin_table({column(Word::time), column(Word::offset), column(Word::delay),
                               column(Word::verdict), column(Word::tac), column(Word::record)});
            for (const auto& audit : tsu.audits)
                if (audit.stop)
                    row({time(audit.at), number(ms(audit.offset_us, true)), number(ms(audit.delay_us, false)),
                         verdict(audit), code(audit.tac), number(std::to_string(audit.record))});
            foot();
        }
        if (tsu.resumptions.empty()) return;
        heading(3, said(Word::resumptions));
        page_.begin_table(
            {column(Word::time), column(Word::stopped_since), column(Word::tac), column(Word::record)});
        for (const auto& resumption : tsu.resumptions)
            row({time(resumption.at), time(resumption.stopped), code(resumption.tac),
                 number(std::to_string(resumption.record))});
        foot();
    }

    [[nodiscard]] Cell verdict(const MonthlyAudit& audit) const {
        auto cell = named(audit.verdict);
        if (!audit.reason.empty()) cell.text += " (" + escaped(audit.reason) + ")";
        return cell;
    }

    void outages(const MonthlyTsu& tsu) {
        heading(3, said(Word::outages));
        if (tsu.outages.empty()) return paragraph(Word::no_outages);
        page_.begin_table(
            {column(Word::from), column(Word::to), column(Word::promised), column(Word::failed_audits)});
        for (const auto& outage : tsu.outages)
            row({time(outage.from), end(outage.to), number(hours_minutes(outage.promised)),
                 number(outage.failures)});
        foot();
    }

    void failures(const MonthlyTsu& tsu) {
        heading(3, said(Word::failed_audits));
        if (tsu.failures.empty()) return paragraph(Word::no_failed_audits);
        page_.begin_table({column(Word::from), column(Word::to), column(Word::number), column(Word::outcome),
                           column(Word::reason)});
        for (const auto& run : tsu.failures)
            row({time(run.from), time(run.to), number(run.count), named(run.outcome), plain(run.text)});
        foot();
    }

    void audits(const MonthlyTsu& tsu) {
        heading(3, said(Word::all_audits));
        if (tsu.audits.empty()) return paragraph(Word::no_audits);
        page_.begin_table({column(Word::time), column(Word::offset), column(Word::delay),
                           column(Word::outcome), column(Word::cause), column(Word::verdict),
                           column(Word::record)});
        for (const auto& audit : tsu.audits)
            row({time(audit.at), number(ms(audit.offset_us, true)), number(ms(audit.delay_us, false)),
                 named(audit.stop ? "stop" : "good"), named(audit.cause), verdict(audit),
                 number(std::to_string(audit.record))},
                audit.stop);
        foot();
    }

    const MonthlyReport& report_;
    const Language language_;
    page::Page page_;
};

}  // namespace

std::string to_html(const MonthlyReport& report, Language language) {
    return Writer(report, language).write();
}

}  // namespace kokuin::taa
