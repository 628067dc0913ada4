// What [taa] says, as the rules that TACs are judged by.
#pragma once

#include "base/result.h"
#include "base/time.h"
#include "tac/validate.h"
#include "tsa/config.h"

namespace kokuin::tsa {

/// Reads the anchors and the TAA's certificates and judges them, so that a mistake is seen at start and not
/// at the first TAC: there is a root among the anchors, and a valid path to it from the first certificate.
/// That one of them has ended, or that our clock is wrong, is no mistake of the configuration: TACs are
/// refused then, and the server starts. The error names the file.
Result<tac::Rules> load_rules(const TaaSettings& taa, WallTime now);

/// From the configured TAA's certificate to its root; empty if there is none that holds at `now`.
std::vector<pki::Certificate> path_of_taa(const tac::Rules& rules, WallTime now);

}  // namespace kokuin::tsa
