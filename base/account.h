// The accounts of this machine.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

namespace kokuin {

/// The name of an account; nothing if the machine has none for this uid. Thread-safe.
std::optional<std::string> account_name(uid_t uid);

}  // namespace kokuin
