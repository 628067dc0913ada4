// The file a custodian keeps: the share of the PINs and the keys that go with it, under the custodian's
// passphrase.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/secret.h"
#include "hsm/custody/papers/roster.h"
#include "hsm/custody/papers/seal.h"

namespace kokuin::hsm::custody {

/// One custodian's part of both PINs of the token.
struct Share {
    Secret pin;      ///< of the user's PIN: opens the token
    Secret officer;  ///< of the security officer's PIN: could set the user's anew
};

/// What is read of such a file, in octets, at most.
constexpr std::size_t largest_share_file = 64U << 10U;

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
    /// join(Share::pin, Share::officer), for the custodian's sealing key. Absent for one who joined later
    /// (generation 0, no threshold): whose shares are in the rosters, as everybody's from the second
    /// generation on.
    std::optional<Box> share;
    bool operator==(const ShareFile&) const = default;

    /// JSON of several lines for `roster`, made for a custodian of it.
    [[nodiscard]] std::string to_json() const;
    /// Error (usage): it isn't a share file, is damaged (it carries a digest of itself), or newer than this
    /// program.
    static Result<ShareFile> from_json(std::string_view text);
};

/// A share file with its custodian's keys at hand; for a moment, in the process of one custodian.
struct OpenShare {
    ShareFile file;
    Secret seed;
    Share share;  ///< of the file's own generation; both empty if it has none
};

/// A custodian's new share file: `seed` (32 octets) under the passphrase, the share under the seed's key.
ShareFile make_share_file(const Roster& roster, const std::string& custodian, View seed, View passphrase,
                          const Share& share);
/// The file of a custodian who joins a ceremony that was held: keys, and no share yet.
ShareFile make_joining_file(const Roster& roster, const std::string& custodian, View seed, View passphrase);
/// The custodian's share in this roster. Error (no): the roster has none for these keys; (usage): it was
/// changed.
Result<Share> share_in(const Roster& roster, const OpenShare& open);
/// The public half of a custodian's file, which the custodian hands out: a card. JSON: "kokuin": "custodian",
/// "version", "ceremony", "custodian", "signing_key", "sealing_key".
struct Card {
    std::string ceremony;
    std::string custodian;
    PublicKeys keys;
    [[nodiscard]] std::string to_json() const;
    /// Error (usage): it isn't one.
    static Result<Card> from_json(std::string_view text);
};
/// Opens one. Error (no): wrong passphrase; (usage): it was changed.
Result<OpenShare> open_share_file(ShareFile file, View passphrase);

}  // namespace kokuin::hsm::custody
