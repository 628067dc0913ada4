// What the custodians' commands have in common: the running server is asked, people type, files are read.
// Internal to hsm/custody.
#pragma once

#include <string>

#include "base/result.h"
#include "base/secret.h"
#include "base/time.h"
#include "hsm/custody/commands.h"
#include "hsm/custody/papers/json.h"
#include "hsm/custody/share.h"

namespace kokuin::hsm::custody {

constexpr nanoseconds patience = seconds(30);
constexpr std::size_t shortest_passphrase = 12;

/// A text of another process, for the terminal: one line.
std::string shown(std::string_view text);

/// Asks the running server; its JSON answer.
Result<Json> ask(const Site& site, const std::string& method, const std::string& path,
                 const Json& body = nullptr, nanoseconds within = patience);

/// Says on stderr that a passphrase lies in a file.
void warn_unattended(const std::string& what);
/// A new passphrase for this custodian, typed twice, unseen; three tries.
Result<Secret> choose_passphrase(const std::string& custodian);

/// Errors name the file.
Result<ShareFile> read_share_file(const std::string& path);
/// Reads the passphrase of this share's custodian, and opens it.
Result<OpenShare> open_share(const Arguments& arguments, ShareFile file);

}  // namespace kokuin::hsm::custody
