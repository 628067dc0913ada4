// Both PINs of a token set anew, as its security officer. Internal to hsm.
#pragma once

#include <memory>
#include <optional>

#include "hsm/call.h"
#include "hsm/locator.h"
#include "hsm/token.h"

namespace kokuin::hsm {

struct PinFailure {
    Error error;
    bool untouched;  ///< both PINs are what they were
};
/// The officer's PIN first, then the user's: so a change that broke off can be gone on with
/// (PinChange::begun), and where the user's is new the officer's is too. No session of this process with the
/// token may be open (PKCS#11: the officer's login is the whole process's). One wrong PIN is tried at most,
/// and none where the token warns that it would be the last. Nothing on success.
std::optional<PinFailure> set_pins(const std::shared_ptr<Module>& module, const Locator& locator,
                                   const PinChange& change);

}  // namespace kokuin::hsm
