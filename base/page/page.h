// Reports as HTML: one page that needs nothing else (no script, no resource from elsewhere), made to be
// printed on A4. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

#include "base/page/language.h"
#include "base/time.h"

namespace kokuin::page {

/// Text of anybody, fit to stand in HTML and in the values of its attributes: one line.
std::string escaped(std::string_view text);

/// Microseconds as "+0.123 ms"; sizes that can't be negative go without a sign.
std::string ms(std::int64_t us, bool sign);
/// "2026-11-27 04:46:45".
std::string utc(WallTime time);
/// "26:03:59": hours, minutes, seconds.
std::string hours_minutes(nanoseconds span);

/// A cell of a table: its text, escaped, and its class in the page's style.
struct Cell {
    std::string text;
    std::string_view kind;
};
Cell number(std::string text);
Cell number(std::size_t value);
Cell time(WallTime at);
/// Of octets, OIDs and the like.
Cell code(std::string_view text);
Cell plain(std::string_view text);

/// Writes one page, from its top to its end. What it takes is HTML, escaped by whoever has made it, where the
/// parameter is called `html`, and any text otherwise.
class Page {
  public:
    Page(Language language, std::string_view title);

    void heading(int level, std::string_view text);
    void paragraph(std::string_view text, std::string_view kind = "");
    void html(std::string_view html) { out_ += html; }

    /// A table of names and values: begin_facts(), fact() …, end_table().
    void begin_facts();
    void fact(std::string_view name, std::string_view html);
    /// A table with columns: begin_table(), row() …, end_table(). A column without a name is one of names.
    void begin_table(std::initializer_list<std::string_view> columns);
    void row(std::initializer_list<Cell> cells, bool alarming = false);
    /// A row that begins with a name.
    void named_row(std::string_view name, std::initializer_list<Cell> cells);
    void end_table();

    /// To be called once, last.
    std::string finish(std::string_view notes);

  private:
    std::string out_;
};

}  // namespace kokuin::page
