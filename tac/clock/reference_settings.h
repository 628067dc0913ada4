// The table [reference] of a configuration, of tsad (TSA-6) and of taad (TAA-4) alike.
#pragma once

#include "base/config.h"
#include "tac/clock/chrony_daemon.h"
#include "tac/clock/reference.h"

namespace kokuin::tac::clock {

struct ReferenceSettings {
    chrony::Settings daemon;
    ReferenceRules rules;
    /// Without a word of the reference nothing goes out. False: it narrows the bound and can contradict, but
    /// may be missing.
    bool required = true;
};

/// Reads `servers` and `nts_servers` (three or more together: with two nobody knows which one lies) with
/// `dir` and `nts_ca`, or `socket`; `chronyd`, `chronyc`, `max_age`, `min_sources`, `required`.
ReferenceSettings read_reference(config::Table& table);

}  // namespace kokuin::tac::clock
