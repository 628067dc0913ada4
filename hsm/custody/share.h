// The file a custodian keeps: the share of the PINs and the keys that go with it, under the custodian's
// passphrase.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "base/secret.h"
#include "hsm/custody/roster.h"
#include "hsm/custody/seal.h"

namespace kokuin::hsm::custody {

/// One custodian's part of both PINs of the token.
struct Share {
    Secret pin;      ///< of the user's PIN: opens the token
    Secret officer;  ///< of the security officer's PIN: could set the user's anew
};

/// A share file, closed. What can be read without the passphrase tells which ceremony it is of.
struct ShareFile {
    std::string ceremony;
    unsigned generation = 0;
    std::string token;
    unsigned threshold = 0;
    unsigned custodians = 0;
    std::string custodian;
    PublicKeys keys;
    Locked seed;  ///< the custodian's keys (see PublicKeys), under the passphrase
    Box share;    ///< join(Share::pin, Share::officer), for the custodian's sealing key
    bool operator==(const ShareFile&) const = default;

    /// JSON of several lines for `roster`, made for a custodian of it.
    [[nodiscard]] std::string to_json() const;
    /// Error (usage): it isn't a share file, is damaged (it carries a digest of itself), or newer than this
    /// program.
    static Result<ShareFile> from_json(std::string_view text);

    /// What the boxes are bound to: a share can't be passed off as one of another ceremony or custodian.
    [[nodiscard]] Bytes context() const;
};

/// A share file with its custodian's keys at hand; for a moment, in the process of one custodian.
struct OpenShare {
    ShareFile file;
    Secret seed;
    Share share;
};

/// A custodian's new share file: `seed` (32 octets) under the passphrase, the share under the seed's key.
ShareFile make_share_file(const Roster& roster, const std::string& custodian, View seed, View passphrase,
                          const Share& share);
/// Opens one. Error (no): wrong passphrase; (usage): it was changed.
Result<OpenShare> open_share_file(ShareFile file, View passphrase);

}  // namespace kokuin::hsm::custody
