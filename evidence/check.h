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
    Bytes spki{};           ///< the signer's SubjectPublicKeyInfo
    std::size_t chain = 0;  ///< from 0; a new chain is a hash-tree renewal
    WallTime time;          ///< its genTime
    std::string hash;       ///< "sha512"
    std::string tsa;        ///< subject of the signer's certificate
    WallTime until;         ///< end of that certificate
};
struct Verdict {
    std::vector<Stamped> stamps;      ///< oldest first, as far as they are good
    std::vector<std::string> faults;  ///< one line each
    /// Times at which nobody vouched for the object: a certificate had ended before the next time-stamp, or
    /// by now. One line each.
    std::vector<std::string> gaps;
    /// The object existed at stamps.front().time.
    [[nodiscard]] bool ok() const { return faults.empty() && gaps.empty(); }
};

/// A time-stamp against what it must be over: its imprint, and every check of tsp::verify() as of its
/// genTime; with nothing of SHA-1. Error (no): the first that fails, one line. Revocation isn't judged.
Result<Stamped> check_stamp(View time_stamp, pki::Hash hash, View imprint, const Believed& believed);

/// Climbs from the object's hash to each imprint, over each renewal, and checks each time-stamp; each must
/// have been made, and the last one be looked at (`now`), while the certificate of the one before was valid.
/// Pure; thread-safe.
Verdict check(const Sequence& chains, View object, const Believed& believed, WallTime now);

}  // namespace kokuin::evidence
