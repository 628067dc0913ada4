#include "base/page/page.h"

#include <cstdio>
#include <utility>

#include "base/text.h"

namespace kokuin::page {
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

}  // namespace

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

Page::Page(Language language, std::string_view title) {
    const auto shown = escaped(title);
    out_ = "<!DOCTYPE html>\n<html lang=\"" + std::string(name(language)) +
           "\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width\">\n";
    out_ +=
        "<title>" + shown + "</title>\n<style>" + std::string(style) + "</style>\n</head>\n<body>\n<main>\n";
}

void Page::heading(int level, std::string_view text) {
    const auto tag = "h" + std::to_string(level);
    out_.append("<").append(tag).append(">").append(escaped(text)).append("</").append(tag).append(">\n");
}

void Page::paragraph(std::string_view text, std::string_view kind) {
    out_ += kind.empty() ? "<p>" : "<p class=\"" + std::string(kind) + "\">";
    out_ += escaped(text) + "</p>\n";
}

void Page::begin_facts() {
    out_ += "<table>\n<tbody>\n";
}

void Page::fact(std::string_view name, std::string_view html) {
    out_ += "<tr><th scope=\"row\">" + escaped(name) + "</th><td>" + std::string(html) + "</td></tr>\n";
}

void Page::begin_table(std::initializer_list<std::string_view> columns) {
    out_ += "<table>\n<thead><tr>";
    for (const auto column : columns)
        out_ += column.empty() ? "<td></td>" : "<th scope=\"col\">" + escaped(column) + "</th>";
    out_ += "</tr></thead>\n<tbody>\n";
}

void Page::row(std::initializer_list<Cell> cells, bool alarming) {
    out_ += alarming ? "<tr class=\"stop\">" : "<tr>";
    for (const auto& cell : cells) {
        out_ += cell.kind.empty() ? "<td>" : "<td class=\"" + std::string(cell.kind) + "\">";
        out_ += cell.text + "</td>";
    }
    out_ += "</tr>\n";
}

void Page::named_row(std::string_view name, std::initializer_list<Cell> cells) {
    out_ += "<tr><th scope=\"row\">" + escaped(name) + "</th>";
    for (const auto& cell : cells)
        out_ += "<td class=\"" + std::string(cell.kind) + "\">" + cell.text + "</td>";
    out_ += "</tr>\n";
}

void Page::end_table() {
    out_ += "</tbody>\n</table>\n";
}

std::string Page::finish(std::string_view notes) {
    paragraph(notes, "notes");
    out_ += "</main>\n</body>\n</html>\n";
    return std::move(out_);
}

}  // namespace kokuin::page
