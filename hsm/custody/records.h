// What the archive says of a token's custodians.
#pragma once

#include <optional>
#include <string>

#include "base/bytes.h"
#include "base/result.h"
#include "hsm/custody/papers/roster.h"
#include "store/blob.h"
#include "store/record.h"

namespace kokuin::hsm::custody {

/// "custody.shared": from now on these custodians hold the PINs. Its blob is the roster.
struct SharedEvent {
    store::Event event;
    store::Blob roster;
};
SharedEvent shared_event(const Roster& roster);

/// What is kept of a key that has no states of its own (a TAA's): "key.generated", "key.requested",
/// "key.certified". The subject is its label; fields key, spki_sha256 (hex), account, and custodians where
/// they made it together.
store::Event key_event(const std::string& kind, const std::string& label, View spki,
                       const std::string& account, const std::string& custodians = "");

/// Who holds a token's PINs.
struct Rosters {
    std::optional<Roster> in_force;  ///< nothing if nobody ever shared its PINs
    std::optional<Roster> next;  ///< a re-sharing was begun ("custody.resharing") and neither done nor undone
};
/// Only reads; works while the archive is written.
Result<Rosters> read_rosters(const std::string& archive, const std::string& token);
/// The roster in force for this token; nothing if nobody ever shared its PINs. Only reads; works while the
/// archive is written.
Result<std::optional<Roster>> read_roster(const std::string& archive, const std::string& token);
/// SHA-256 (hex) of the configuration that custodians agreed to when they activated the token last; nothing
/// if they never did.
Result<std::optional<std::string>> read_agreed_settings(const std::string& archive, const std::string& token);

}  // namespace kokuin::hsm::custody
