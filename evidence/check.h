// Whether an evidence record proves what it claims (RFC 4998 5.3).
#pragma once

#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "evidence/record.h"
#include "pki/certificate.h"

namespace kokuin::evidence {

/// Whose time-stamps are believed.
struct Believed {
    std::vector<pki::Certificate> anchors;  ///< roots of the TSAs' certificates; none: paths aren't judged
    std::vector<pki::Certificate> certificates;  ///< between them, where the time-stamps don't bring them
};

/// One time-stamp of a record.
struct Stamped {
    std::size_t chain = 0;  ///< from 0; a new chain is a hash-tree renewal
    WallTime time;          ///< its genTime
    std::string hash;       ///< "sha512"
    std::string tsa;        ///< subject of the signer's certificate
    WallTime until;         ///< end of that certificate
};
struct Verdict {
    std::vector<Stamped> stamps;      ///< oldest first, as far as they are good
    std::vector<std::string> faults;  ///< one line each; none: the object existed at stamps.front().time
    [[nodiscard]] bool ok() const { return faults.empty(); }
};

/// A time-stamp against what it must be over: its imprint, every check of tsp::verify(), and its certificate
/// still valid at `then` (when the next one was made, or now). Error (no): the first that fails, one line.
Result<Stamped> check_stamp(View time_stamp, pki::Hash hash, View imprint, const Believed& believed,
                            WallTime then);

/// Climbs from the object's hash to each imprint, over each renewal, and checks each time-stamp. The last
/// one's certificate must be valid `now`. Pure; thread-safe.
Verdict check(const Sequence& chains, View object, const Believed& believed, WallTime now);

}  // namespace kokuin::evidence
