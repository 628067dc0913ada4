// When a TSU asks its TAA for an audit (TAC-9).
#pragma once

#include <optional>
#include <string>

#include "base/time.h"
#include "tac/clock/reading.h"
#include "tac/gate.h"

namespace kokuin::tsa {

/// Why a new TAC is wanted for what needs one (`demand`), in words; nothing: none would help, or none is
/// needed yet. An audit costs the TAA a signature, and both sides a record for ten years: what no TAC can
/// cure isn't asked for. `before`: how long before the gate would close it is asked for. Pure.
std::optional<std::string> audit_wish(const tac::Gate& gate, const tac::Demand& demand,
                                      const tac::clock::Reading& now, nanoseconds before);

}  // namespace kokuin::tsa
