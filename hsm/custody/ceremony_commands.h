// The commands of a ceremony: who holds the PINs, from the first time to the next. Internal to hsm/custody.
#pragma once

#include <iosfwd>

#include "base/result.h"
#include "hsm/custody/commands.h"
#include "hsm/custody/reshare.h"

namespace kokuin::hsm::custody {

/// Makes the token, its PINs, the share files and a first key; the server is down.
Result<int> ceremony_init(const Arguments& arguments, const Site& site, bool as_json, std::ostream& out);
/// Who holds the PINs, and what the running server has.
Result<int> ceremony_show(const Site& site, bool as_json, std::ostream& out);
/// A new custodian makes keys: NAME.share for the custodian, NAME.custodian to hand out.
Result<int> ceremony_join(const Arguments& arguments, const Site& site, bool as_json, std::ostream& out);
/// Who shall hold the PINs, by --threshold, --keep and --join.
Result<Successors> successors_of(const Arguments& arguments, const Roster& roster);
/// Asks the custodians in force to let others hold the PINs.
Result<int> ceremony_reshare(const Arguments& arguments, const Site& site, bool as_json, std::ostream& out);
/// The same where there is no server: those who open the token together agree at once (reshare_here.cpp). One
/// that broke off is gone on with.
Result<int> ceremony_reshare_here(const Arguments& arguments, const Site& site, bool as_json,
                                  std::ostream& out);

}  // namespace kokuin::hsm::custody
