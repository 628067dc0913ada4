// The monthly report for machines and for people. Pure.
#pragma once

#include <string>

#include "taa/monthly_report.h"
#include "taa/monthly_texts.h"

namespace kokuin::taa {

/// One JSON object on one line (docs/taa.md has its keys).
std::string to_json(const MonthlyReport& report);

/// A whole HTML5 page that needs nothing else: no script, no resource from elsewhere, made to be printed on
/// A4. Whatever comes out of certificates and events is escaped.
std::string to_html(const MonthlyReport& report, Language language);

}  // namespace kokuin::taa
