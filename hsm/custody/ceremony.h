// A ceremony (KEY-2): PINs that nobody has seen, and the shares that are all there is of them. Only draws and
// divides; commands.h has the act with a token and an archive around it.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/secret.h"
#include "hsm/custody/papers/roster.h"
#include "hsm/custody/share.h"

namespace kokuin::hsm::custody {

/// Who shall hold the PINs of a token.
struct Plan {
    std::string token;       ///< its label
    unsigned threshold = 2;  ///< 2 … number of custodians: one alone is what custody is there to prevent
    std::vector<std::string> custodians;
};
/// Error (usage) that says what is allowed.
Done check(const Plan& plan);

/// Everything of a ceremony, for a moment, in the process that holds it.
struct Ceremony {
    Secret pin;
    Secret officer_pin;
    Roster roster;
    std::vector<Share> shares;  ///< in the order of roster.custodians
    std::vector<Secret> seeds;  ///< likewise: the custodians' keys
};
/// Draws PINs and keys and divides the PINs. `plan` has passed check().
Ceremony hold(const Plan& plan);

}  // namespace kokuin::hsm::custody
