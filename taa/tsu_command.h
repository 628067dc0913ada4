// taad tsu …: who is served (TAA-6).
#pragma once

#include <iosfwd>
#include <string>

#include "base/result.h"
#include "base/time.h"
#include "taa/admission.h"
#include "taa/config.h"

namespace kokuin::taa {

struct TsuArguments {
    std::string tsu;
    std::string why;
    std::string by;
};

/// One line, or with `json` one object a line, for every TSU that is configured or ever was served: tsu,
/// state, served (whether anything leaves for it), why_not (null if served), since, why, by, account,
/// reviewed, review_due, overdue, certificate, peer, called, tsa. Only reads; works while taad runs. 0.
Result<int> tsu_list(const Settings& settings, bool json, WallTime now, std::ostream& out);

/// Takes a step (see order_step) and says so. 0.
Result<int> tsu_step(const Settings& settings, Step step, const TsuArguments& arguments, bool json,
                     const WallClock& wall, std::ostream& out);

}  // namespace kokuin::taa
