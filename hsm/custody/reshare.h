// Other custodians, the same keys: the PINs drawn anew and divided among them (KEY-2). The custodians in
// force agree to it, each giving the share of the security officer's PIN that goes with it; docs/custody.md
// has the whole act.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "hsm/custody/activation.h"
#include "hsm/custody/approvals.h"
#include "hsm/custody/papers/roster.h"
#include "hsm/token.h"

namespace kokuin::hsm::custody {

/// Who shall hold the PINs; all of it public.
struct Successors {
    unsigned threshold = 2;
    std::vector<std::pair<std::string, PublicKeys>> custodians;
};
/// Error (usage) that says what is allowed, as for a first ceremony; two with the same keys aren't.
Done check(const Successors& successors);
/// Roster::keys_text() of them.
std::string keys_text(const Successors& successors);

/// The next generation: PINs drawn, divided and sealed for each. Nothing of the shares is kept but in the
/// roster's boxes.
struct Division {
    Roster roster;
    Secret pin;
    Secret officer_pin;
};
Division divide(const Roster& now, const Successors& successors);

/// Asks the custodians for it. With the last approval the PINs are set anew (Activation::reshare()). Error
/// (usage): check(); otherwise as Approvals::propose(). Both must outlive the proposal.
Result<Proposal> propose_resharing(Activation& activation, Approvals& approvals, const Successors& successors,
                                   const std::string& why, const std::string& by, const std::string& account);

}  // namespace kokuin::hsm::custody
