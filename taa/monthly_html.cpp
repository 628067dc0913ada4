#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "base/text.h"
#include "taa/monthly_present.h"

namespace kokuin::taa {
namespace {

constexpr std::string_view style = R"css(
@page { size: A4; margin: 16mm 14mm; }
* { box-sizing: border-box; }
body { font: 10.5pt/1.45 "Noto Sans", "Noto Sans CJK JP", "Hiragino Sans", "Yu Gothic", sans-serif;
       color: #1a1a1a; background: #fff; max-width: 190mm; margin: 0 auto; padding: 6mm; }
h1 { font-size: 17pt; margin: 0 0 2mm; }
h2 { font-size: 13pt; margin: 9mm 0 2mm; border-bottom: 1px solid #888; }
h3 { font-size: 11pt; margin: 5mm 0 1mm; }
h1, h2, h3 { break-after: avoid; }
p { margin: 1mm 0; }
table { border-collapse: collapse; width: 100%; margin: 1mm 0 2mm; }
th, td { border: 1px solid #bbb; padding: .6mm 1.6mm; text-align: left; vertical-align: top;
         overflow-wrap: anywhere; }
thead { display: table-header-group; }
tr { break-inside: avoid; }
th { background: #f0f0f0; font-weight: 600; }
td.number { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
td.time { white-space: nowrap; font-variant-numeric: tabular-nums; }
td.code { font-family: monospace; font-size: 8.5pt; }
tr.stop td { background: #fbe3e0; }
.interim { border: 2px solid #a33; color: #a33; padding: 1mm 2mm; font-weight: 600; }
.notes { font-size: 9pt; color: #444; margin-top: 8mm; }
svg { width: 100%; height: auto; break-inside: avoid; }
@media print { body { padding: 0; max-width: none; } }
)css";

std::string escaped(std::string_view text) {
    std::string out;
    for (const char c : one_line(text, any_length)) {
        switch (c) {
            case '&':
                out += "&amp;";
                break;
            case '<':
                out += "&lt;";
                break;
            case '>':
                out += "&gt;";
                break;
            case '"':
                out += "&quot;";
                break;
            case '\'':
                out += "&#39;";
                break;
            default:
                out += c;
        }
    }
    return out;
}

/// "+0.123 ms"; sizes that can't be negative go without a sign.
std::string ms(std::int64_t us, bool sign) {
    const auto magnitude = us < 0 ? 0 - static_cast<std::uint64_t>(us) : static_cast<std::uint64_t>(us);
    char text[48];
    std::snprintf(text, sizeof text, "%s%llu.%03llu ms", us < 0 ? "−" : (sign && us > 0 ? "+" : ""),
                  static_cast<unsigned long long>(magnitude / 1000),
                  static_cast<unsigned long long>(magnitude % 1000));
    return text;
}

std::string utc(WallTime time) {
    auto text = to_rfc3339(time, 0);
    text[10] = ' ';
    text.pop_back();
    return text;
}

std::string hours_minutes(nanoseconds span) {
    const auto all = std::chrono::duration_cast<seconds>(span).count();
    char text[48];
    std::snprintf(text, sizeof text, "%lld:%02d:%02d", static_cast<long long>(all / 3600),
                  static_cast<int>(all / 60 % 60), static_cast<int>(all % 60));
    return text;
}

/// A number of the plot, the same in every locale.
std::string coordinate(double value) {
    const auto tenths = std::llround(value * 10);
    return (tenths < 0 ? "-" : "") + std::to_string(std::llabs(tenths) / 10) + "." +
           std::to_string(std::llabs(tenths) % 10);
}

/// Offsets against time. Up to 1 ms linear, then logarithmic: a clock that keeps within a millisecond and a
/// limit of half a second are both to be seen.
class Plot {
  public:
    Plot(const MonthlyReport& report, const MonthlyTsu& tsu) : report_(report) {
        std::int64_t largest = 1000;
        for (const auto& limits : tsu.limits) largest = std::max(largest, limits.max_offset_us);
        for (const auto& audit : tsu.audits)
            largest =
                std::max(largest, static_cast<std::int64_t>(std::abs(static_cast<double>(audit.offset_us))));
        most_ = scaled(static_cast<double>(largest) * 1.3);
    }

    [[nodiscard]] std::string draw(const MonthlyTsu& tsu, Language language) const {
        std::string out = "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 720 240\" role=\"img\">\n";
        out += "<title>" + escaped(text(Word::plot, language)) + "</title>\n";
        for (const auto& outage : tsu.outages) out += band(outage.from, outage.to);
        for (const auto& downtime : report_.downtimes) out += band(downtime.from, downtime.to);
        out += days();
        out += "<g font-size=\"9\" text-anchor=\"end\" fill=\"#444\">\n";
        for (const std::int64_t us : {-1000000, -100000, -10000, -1000, 0, 1000, 10000, 100000, 1000000}) {
            if (scaled(std::abs(static_cast<double>(us))) > most_) continue;
            out += level(us, us == 0 ? "stroke=\"#666\"" : "stroke=\"#ddd\"");
            out += "<text x=\"" + coordinate(left - 4) + "\" y=\"" + coordinate(y(us) + 3) + "\">" +
                   std::string(us > 0   ? "+"
                               : us < 0 ? "−"
                                        : "") +
                   std::to_string(std::llabs(us) / 1000) + " ms</text>\n";
        }
        out += "</g>\n";
        for (const auto& limits : tsu.limits)
            for (const auto us : {limits.max_offset_us, -limits.max_offset_us})
                out += level(us, "stroke=\"#b33\" stroke-dasharray=\"6 4\"");
        out += points(tsu, false, "#1f5fa8", "3") + points(tsu, true, "#c0281c", "8");
        return out + "</svg>\n";
    }

  private:
    static constexpr double left = 62;
    static constexpr double right = 712;
    static constexpr double top = 8;
    static constexpr double bottom = 216;

    /// Of a magnitude.
    static double scaled(double us) { return us <= 1000 ? us / 1000 : 1 + std::log10(us / 1000); }

    [[nodiscard]] double y(std::int64_t us) const {
        const auto value = static_cast<double>(us);
        const double part = std::copysign(scaled(std::abs(value)), value) / most_;
        return (top + bottom) / 2 - part * (bottom - top) / 2;
    }

    [[nodiscard]] double x(WallTime at) const {
        const auto begin = report_.month.start();
        const auto whole = static_cast<double>((report_.month.end() - begin).count());
        const double part = static_cast<double>((std::max(at, begin) - begin).count()) / whole;
        return left + std::min(part, 1.0) * (right - left);
    }

    [[nodiscard]] std::string level(std::int64_t us, const std::string& how) const {
        return "<path d=\"M" + coordinate(left) + " " + coordinate(y(us)) + "H" + coordinate(right) + "\" " +
               how + "/>\n";
    }

    [[nodiscard]] std::string band(WallTime from, const std::optional<WallTime>& to) const {
        const double begin = x(from);
        const double width = std::max(0.5, x(to.value_or(report_.until)) - begin);
        return "<rect x=\"" + coordinate(begin) + "\" y=\"" + coordinate(top) + "\" width=\"" +
               coordinate(width) + "\" height=\"" + coordinate(bottom - top) + "\" fill=\"#e4e4e4\"/>\n";
    }

    [[nodiscard]] std::string days() const {
        std::string out = "<g font-size=\"9\" text-anchor=\"middle\" fill=\"#444\">\n";
        int number = 1;
        for (auto at = report_.month.start(); at < report_.month.end(); at += std::chrono::hours(24)) {
            if (number == 1 || number % 5 == 0)
                out += "<path d=\"M" + coordinate(x(at)) + " " + coordinate(top) + "V" + coordinate(bottom) +
                       "\" stroke=\"#eee\"/>\n<text x=\"" + coordinate(x(at)) + "\" y=\"" +
                       coordinate(bottom + 14) + "\">" + std::to_string(number) + "</text>\n";
            ++number;
        }
        return out + "</g>\n";
    }

    [[nodiscard]] std::string points(const MonthlyTsu& tsu, bool stop, const std::string& colour,
                                     const std::string& width) const {
        std::string path;
        for (const auto& audit : tsu.audits)
            if (audit.stop == stop)
                path += "M" + coordinate(x(audit.at)) + " " + coordinate(y(audit.offset_us)) + "h0";
        if (path.empty()) return "";
        return "<path d=\"" + path + "\" fill=\"none\" stroke=\"" + colour + "\" stroke-width=\"" + width +
               "\" stroke-linecap=\"round\"/>\n";
    }

    const MonthlyReport& report_;
    double most_ = 1;
};

/// A cell: its text, escaped, and its class.
struct Cell {
    std::string text;
    std::string_view kind;
};
Cell number(std::string text) {
    return {std::move(text), "number"};
}
Cell number(std::size_t value) {
    return {std::to_string(value), "number"};
}
Cell time(WallTime at) {
    return {utc(at), "time"};
}
Cell code(std::string_view text) {
    return {escaped(text), "code"};
}
Cell plain(std::string_view text) {
    return {escaped(text), ""};
}

/// Writes one page.
class Page {
  public:
    Page(const MonthlyReport& report, Language language) : report_(report), language_(language) {}

    std::string write() {
        out_ = "<!DOCTYPE html>\n<html lang=\"" + std::string(name(language_)) +
               "\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" "
               "content=\"width=device-width\">\n";
        out_ += "<title>" + word(Word::title) + " " + report_.month.text() + " " + escaped(report_.tsa) +
                "</title>\n<style>" + std::string(style) + "</style>\n</head>\n<body>\n<main>\n";
        out_ += "<h1>" + word(Word::title) + " " + report_.month.text() + "</h1>\n";
        if (report_.interim) out_ += "<p class=\"interim\">" + word(Word::interim) + "</p>\n";
        about();
        heading(2, word(Word::summary));
        summary();
        heading(2, word(Word::remarks));
        remarks();
        heading(2, word(Word::own_clock));
        own_clock();
        heading(2, word(Word::downtimes));
        downtimes();
        for (const auto& one : report_.tsus) tsu(one);
        out_ += "<p class=\"notes\">" + word(Word::notes) + "</p>\n</main>\n</body>\n</html>\n";
        return std::move(out_);
    }

  private:
    [[nodiscard]] std::string word(Word which) const { return escaped(text(which, language_)); }
    [[nodiscard]] Cell named(const std::string& name) const { return plain(translated(name, language_)); }
    /// The period's bounds, in the Japanese report with the time of Japan beside them.
    [[nodiscard]] std::string bound(WallTime at) const {
        if (language_ == Language::en) return utc(at);
        return utc(at) + "（" + word(Word::jst) + " " + utc(at + std::chrono::hours(9)) + "）";
    }
    [[nodiscard]] Cell end(const std::optional<WallTime>& at) const {
        return at ? time(*at) : Cell{word(Word::lasting), "time"};
    }

    void heading(int level, const std::string& text) {
        const auto tag = "h" + std::to_string(level);
        out_.append("<").append(tag).append(">").append(text).append("</").append(tag).append(">\n");
    }
    void paragraph(Word which) { out_ += "<p>" + word(which) + "</p>\n"; }
    void fact(Word which, const std::string& value) {
        out_ += "<tr><th scope=\"row\">" + word(which) + "</th><td>" + value + "</td></tr>\n";
    }
    void head(std::initializer_list<Word> columns) {
        out_ += "<table>\n<thead><tr>";
        for (const auto column : columns) out_ += "<th scope=\"col\">" + word(column) + "</th>";
        out_ += "</tr></thead>\n<tbody>\n";
    }
    void row(std::initializer_list<Cell> cells, bool stop = false) {
        out_ += stop ? "<tr class=\"stop\">" : "<tr>";
        for (const auto& cell : cells) {
            out_ += cell.kind.empty() ? "<td>" : "<td class=\"" + std::string(cell.kind) + "\">";
            out_ += cell.text + "</td>";
        }
        out_ += "</tr>\n";
    }
    void foot() { out_ += "</tbody>\n</table>\n"; }

    void about() {
        out_ += "<table>\n<tbody>\n";
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
        foot();
    }

    void summary() {
        head({Word::tsu, Word::distinguished_name, Word::audits_made, Word::time_faults, Word::failed_audits,
              Word::outages});
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
        out_ += "<ul>\n";
        for (const auto& remark : report_.remarks)
            out_ += "<li>" + escaped(sentence(remark, language_)) + "</li>\n";
        out_ += "</ul>\n";
    }

    void own_clock() {
        const auto& clock = report_.clock;
        if (clock.recorded()) {
            const auto value = [&](const std::optional<std::int64_t>& us, bool sign) {
                return us ? ms(*us, sign) : word(Word::unknown);
            };
            out_ += "<table>\n<tbody>\n";
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
        heading(3, word(Word::unproved_spans));
        head({Word::from, Word::to, Word::reason});
        for (const auto& span : clock.unproved) row({time(span.from), end(span.to), plain(span.text)});
        foot();
    }

    void downtimes() {
        if (report_.downtimes.empty()) return paragraph(Word::no_downtimes);
        head({Word::from, Word::to, Word::kind});
        for (const auto& downtime : report_.downtimes)
            row({time(downtime.from), end(downtime.to),
                 Cell{word(downtime.recorded ? Word::stopped_in_order : Word::stopped_without_order), ""}});
        foot();
    }

    void tsu(const MonthlyTsu& tsu) {
        heading(2, word(Word::tsu) + ": " + escaped(tsu.name));
        certificates(tsu);
        limits(tsu);
        statistics(tsu);
        stops(tsu);
        outages(tsu);
        failures(tsu);
        audits(tsu);
    }

    void certificates(const MonthlyTsu& tsu) {
        head({Word::distinguished_name, Word::certificate, Word::valid_until});
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
        heading(3, word(Word::audit_limit));
        head({Word::policy, Word::offset_limit, Word::delay_limit});
        for (const auto& limits : tsu.limits)
            row({code(limits.policy), number("±" + ms(limits.max_offset_us, false)),
                 number(ms(limits.max_delay_us, false))});
        foot();
    }

    void statistics(const MonthlyTsu& tsu) {
        heading(3, word(Word::statistics));
        if (tsu.offset_us && tsu.delay_us) {
            out_ += "<table>\n<thead><tr><td></td><th scope=\"col\">" + word(Word::minimum) +
                    "</th><th scope=\"col\">" + word(Word::median) + "</th><th scope=\"col\">" +
                    word(Word::maximum) + "</th></tr></thead>\n<tbody>\n";
            values(Word::offset, *tsu.offset_us, true);
            values(Word::delay, *tsu.delay_us, false);
            foot();
        } else {
            paragraph(Word::no_measurement);
        }
        heading(3, word(Word::plot));
        out_ += Plot(report_, tsu).draw(tsu, language_);
        paragraph(Word::plot_about);
        heading(3, word(Word::outcomes));
        head({Word::outcome, Word::number});
        for (const auto& [outcome, count] : tsu.outcomes)
            if (count > 0 || outcome == "good" || outcome == "stop") row({named(outcome), number(count)});
        foot();
    }

    void values(Word what, const Spread& spread, bool sign) {
        out_ += "<tr><th scope=\"row\">" + word(what) + "</th>";
        for (const auto us : {spread.min, spread.median, spread.max})
            out_ += "<td class=\"number\">" + ms(us, sign) + "</td>";
        out_ += "</tr>\n";
    }

    void stops(const MonthlyTsu& tsu) {
        heading(3, word(Word::stops));
        if (tsu.time_faults() == 0) {
            paragraph(Word::no_stops);
        } else {
            head({Word::time, Word::offset, Word::delay, Word::verdict, Word::tac, Word::record});
            for (const auto& audit : tsu.audits)
                if (audit.stop)
                    row({time(audit.at), number(ms(audit.offset_us, true)), number(ms(audit.delay_us, false)),
                         verdict(audit), code(audit.tac), number(std::to_string(audit.record))});
            foot();
        }
        if (tsu.resumptions.empty()) return;
        heading(3, word(Word::resumptions));
        head({Word::time, Word::stopped_since, Word::tac, Word::record});
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
        heading(3, word(Word::outages));
        if (tsu.outages.empty()) return paragraph(Word::no_outages);
        head({Word::from, Word::to, Word::promised, Word::failed_audits});
        for (const auto& outage : tsu.outages)
            row({time(outage.from), end(outage.to), number(hours_minutes(outage.promised)),
                 number(outage.failures)});
        foot();
    }

    void failures(const MonthlyTsu& tsu) {
        heading(3, word(Word::failed_audits));
        if (tsu.failures.empty()) return paragraph(Word::no_failed_audits);
        head({Word::from, Word::to, Word::number, Word::outcome, Word::reason});
        for (const auto& run : tsu.failures)
            row({time(run.from), time(run.to), number(run.count), named(run.outcome), plain(run.text)});
        foot();
    }

    void audits(const MonthlyTsu& tsu) {
        heading(3, word(Word::all_audits));
        if (tsu.audits.empty()) return paragraph(Word::no_audits);
        head(
            {Word::time, Word::offset, Word::delay, Word::outcome, Word::cause, Word::verdict, Word::record});
        for (const auto& audit : tsu.audits)
            row({time(audit.at), number(ms(audit.offset_us, true)), number(ms(audit.delay_us, false)),
                 named(audit.stop ? "stop" : "good"), named(audit.cause), verdict(audit),
                 number(std::to_string(audit.record))},
                audit.stop);
        foot();
    }

    const MonthlyReport& report_;
    const Language language_;
    std::string out_;
};

}  // namespace

std::string to_html(const MonthlyReport& report, Language language) {
    return Page(report, language).write();
}

}  // namespace kokuin::taa
