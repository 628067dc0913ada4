// A month's report for machines and for people. Pure.
#pragma once

#include <string>

#include "audit/report/facts.h"
#include "base/page/language.h"

namespace kokuin::audit::report {

/// One JSON object on one line (docs/report.md has its keys).
std::string to_json(const Report& report);

/// A whole HTML5 page that needs nothing else, to be printed on A4. Whatever comes out of records is escaped,
/// and stays in the language in which it was recorded.
std::string to_html(const Report& report, page::Language language);

}  // namespace kokuin::audit::report
