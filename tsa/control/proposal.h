// An act that the running server did, or asks custodians to agree to: how that is said.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace kokuin::tsa::control {

/// One line out of {"text"} or {"proposal", "hsm"}: what was done, or who has to approve it, and how.
std::string done_or_proposed(const nlohmann::json& answer);

}  // namespace kokuin::tsa::control
