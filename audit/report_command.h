// tsaudit report.
#pragma once

#include <iosfwd>
#include <string>

#include "base/page/language.h"
#include "base/result.h"

namespace kokuin::audit {

/// What its command line says, as text.
struct ReportArguments {
    std::string archive;
    std::string month;
    std::string tsu;    ///< empty: all
    std::string out;    ///< file; empty: `out`
    std::string trust;  ///< file; empty: none
    page::Language language = page::Language::en;
    bool json = false;
    bool verify = true;  ///< verify the archive, too
};

/// Writes the report of a month: HTML, or JSON. Records of the month and later are verified, and the tree
/// over those before; all of them where no checkpoint of the archive stands at the beginning. Error (no),
/// after it is written: something isn't whole.
Done write_report(const ReportArguments& arguments, std::ostream& out);

}  // namespace kokuin::audit
