// Who holds the PINs of a token (KEY-2): the public half of a ceremony. The archive keeps it; nothing in it
// is secret.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "hsm/custody/papers/seal.h"

namespace kokuin::hsm::custody {

/// One custodian. `name` is a role or a number (no name of a person: it goes into records that nobody can
/// erase): 1 to 32 of a–z, 0–9, '-', '_'.
struct Custodian {
    std::string name;
    PublicKeys keys;
    /// SHA-256 of the custodian's shares: a wrong one is known for what it is before anything is combined.
    /// The shares are random, so this tells nothing of them.
    Bytes pin_share;
    Bytes officer_share;
    /// join(Share::pin, Share::officer) for the custodian's sealing key, bound to share_context(). Absent in
    /// a ceremony's first generation, where it is in the custodian's file.
    std::optional<Box> share{};
    bool operator==(const Custodian&) const = default;
};

struct Roster {
    std::string ceremony;               ///< 32 hexadecimal digits, random: which ceremony
    unsigned generation = 1;            ///< counts the re-sharings of it
    std::string token;                  ///< label of the HSM's token
    unsigned threshold = 0;             ///< that many custodians are enough; 2 … custodians
    std::vector<Custodian> custodians;  ///< at most 16, by name
    bool operator==(const Roster&) const = default;

    [[nodiscard]] const Custodian* find(std::string_view name) const;
    /// What a custodian's box is bound to: a share can't be passed off as one of another ceremony or
    /// custodian.
    [[nodiscard]] Bytes share_context(const std::string& custodian) const;
    /// "2 of 3 custodians (officer-1, officer-2, officer-3)".
    [[nodiscard]] std::string text() const;
    /// "officer-1 0123…, officer-2 4567…": each name with the first 16 octets (hex) of the SHA-256 of signing
    /// and sealing key.
    [[nodiscard]] std::string keys_text() const;
    /// The one JSON text of it, for the archive; docs/custody.md has its members.
    [[nodiscard]] std::string to_json() const;
    /// Strict. Error (environment): it isn't one, or newer than this program.
    static Result<Roster> from_json(std::string_view text);
};

constexpr std::size_t most_custodians = 16;
/// True if a custodian may be called this.
bool is_custodian_name(std::string_view name);

}  // namespace kokuin::hsm::custody
