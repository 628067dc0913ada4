// `taad report`: the monthly reports by hand, without an HSM, while taad runs or not.
#pragma once

#include <iosfwd>
#include <string>

#include "base/result.h"
#include "base/time.h"
#include "taa/config.h"
#include "taa/monthly_texts.h"

namespace kokuin::taa {

struct ReportArguments {
    std::string month;                 ///< "2026-11"
    std::string tsa;                   ///< empty: all
    std::string html;                  ///< a file for the HTML beside the folder's; empty: none
    Language language = Language::en;  ///< of that file
    bool json = false;
};

/// Writes the reports of a month into the configured folder and tells `out` the paths, or with `json` the
/// reports, one a line. One that the archive keeps comes out as it is kept; a finished month that it doesn't
/// keep is kept now if nobody else writes the archive; where that can't be, and for an unfinished month,
/// `notes` says so. Gives 0. Errors: usage (the month's text, no such TSA, one file for several TSAs), no
/// (nothing to report), environment.
Result<int> report(const Settings& settings, const ReportArguments& arguments, WallTime now,
                   std::ostream& out, std::ostream& notes);

}  // namespace kokuin::taa
