// tsaudit report.
#pragma once

#include <iosfwd>
#include <string>

#include "base/result.h"

namespace kokuin::audit {

/// What its command line says, as text.
struct ReportArguments {
    std::string archive;
    std::string month;
    std::string tsu;              ///< empty: all
    std::string out;              ///< file; empty: `out`
    std::string trust;            ///< file; empty: none
    std::string language = "en";  ///< of the page: "en", "ja"
    bool json = false;
    bool no_verify = false;  ///< leave out the verification of the archive
};

/// Writes the report of a month: HTML, or JSON. Records of the month and later are verified, and the tree
/// over those before; all of them where no checkpoint of the archive stands at the beginning. Error (no),
/// after it is written: something isn't whole.
Done write_report(const ReportArguments& arguments, std::ostream& out);

}  // namespace kokuin::audit
