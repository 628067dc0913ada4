// What operators ask of a running taad over its Unix socket: the steps of admission (TAA-6).
#pragma once

#include <functional>
#include <string>

#include "base/net/router.h"
#include "taa/admission.h"
#include "taa/config.h"

namespace kokuin::taa {

/// POST /tsu, for root and the user that taad runs as; 403 for all others. JSON {"archive", "step", "tsu",
/// "why", "by", "certificate", "peer", "called"}: the id of the archive it is for, and what was looked at.
/// 200 {"record"}: done, durably · 400 what is asked isn't readable or not possible at all · 409 it doesn't
/// fit what the TSU is · 503 the archive; with {"error"}. `taken`: called before the answer, so that its
/// first audit needn't wait.
void add_control_routes(net::Router& router, Admissions& admissions,
                        std::function<void(const std::string& tsu)> taken);

/// Takes the step: asks the taad that listens on the configured socket, or, if none does, does it itself as
/// the one writer of the archive. `order.account` is filled in by whoever does it. Errors as of
/// Admissions::take.
Result<store::RecordNumber> order_step(const Settings& settings, Admissions::Order order,
                                       const WallClock& wall);

}  // namespace kokuin::taa
