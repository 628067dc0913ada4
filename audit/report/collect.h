// Reading a month out of an archive.
#pragma once

#include <string>

#include "audit/report/facts.h"
#include "base/month.h"
#include "base/result.h"
#include "base/time.h"

namespace kokuin::audit::report {

struct CollectOptions {
    std::string dir;  ///< of the archive
    Month month;
    std::string tsu;  ///< tokens, audits and gates of this one alone; empty: of all
    WallTime now{};
};

/// All of a report but `verified`. Reads each token of the month once (and each event of the archive: what
/// the month begins with was said before it), in an amount of memory that doesn't grow with the number of
/// tokens. Changes nothing. Tokens belong to a month by genTime, everything else by the time of its record
/// (UTC). Error: (usage) no archive; (no) nothing of this month is in it; (environment) it can't be read.
Result<Report> collect(const CollectOptions& options);

}  // namespace kokuin::audit::report
