// The commands of tsca: each opens what it needs, does one thing, says what it did, and closes everything.
#pragma once

#include <iosfwd>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "ca/config.h"
#include "hsm/custody/commands.h"
#include "hsm/custody/session.h"

namespace kokuin::ca {

/// What the commands read from the command line.
struct Arguments {
    hsm::custody::SessionArguments session;
    std::string why;
    std::string by;
    std::string label;
    unsigned bits = 3072;
    std::string profile;
    std::string csr;
    std::string output;
    unsigned days = 0;  ///< 0: as configured
    std::string successor_of;
    std::string serial;
    std::string reason;
    std::string folder;
};

/// What the custodians' commands need to know.
hsm::custody::Site site_of(const Settings& settings);

/// All of them: what was done to `out`, as one JSON object with `json`; the exit code. Those that need a key
/// (generate_key, make_ca, issue, publish) let custodians open the token, as hsm/custody/session.h has it,
/// after everything that can be checked without a key. While custodians are asked, the archive's lock is
/// held: there is one tsca at a time.
Result<int> init_archive(const Settings& settings, bool json, std::ostream& out);
Result<int> key_generate(const Settings& settings, const Arguments& arguments, bool json, std::ostream& out);
Result<int> make_ca(Profile profile, const Settings& settings, const Arguments& arguments, bool json,
                    std::ostream& out);
Result<int> issue(const Settings& settings, const Arguments& arguments, bool json, std::ostream& out);
Result<int> revoke(const Settings& settings, const Arguments& arguments, bool json, std::ostream& out);
Result<int> publish(const Settings& settings, const Arguments& arguments, bool json, std::ostream& out);

/// One line, or with `json` one object a line, for every certificate: serial, profile, subject, state
/// ("good", "revoked", "ended"), not_before, not_after, issued_at, why, by, successor_of, revoked_at, reason.
Result<int> list(const Settings& settings, bool json, std::ostream& out);
/// One certificate: all of that, why and by whom it was revoked, its PEM (to `output` if that is given).
Result<int> show(const Settings& settings, const Arguments& arguments, bool json, std::ostream& out);

}  // namespace kokuin::ca
