// What a custodian signs: an approval, as a text that anybody can check years later with the roster alone.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "hsm/custody/papers/roster.h"

namespace kokuin::hsm::custody {

/// An act that several custodians must agree to, and everything that is agreed to. Each member is one line.
struct Statement {
    std::string act;       ///< "activate", "reshare", "key-generate", …
    std::string program;   ///< "tsad", "taad": who will do it
    std::string ceremony;  ///< of the roster
    unsigned generation = 0;
    std::string token;     ///< label of the HSM's token
    std::string settings;  ///< SHA-256 of the configuration it runs with, hex (ARC-7)
    std::string content;   ///< what exactly is asked for, or empty
    std::string nonce;     ///< drawn by the program for this one act, hex

    /// "kokuin approval 1", then "NAME: VALUE" for each member, each line ended by a line feed; "custodian:
    /// NAME" last. These octets are signed (Ed25519).
    [[nodiscard]] std::string text(const std::string& custodian) const;
    bool operator==(const Statement&) const = default;
};

/// One custodian's agreement.
struct Approval {
    std::string custodian;
    Bytes signature;  ///< Ed25519 over Statement::text(custodian)
};

/// Signed with the custodian's seed.
Approval approve(const Statement& statement, const std::string& custodian, View seed);
/// Error (no) if the custodian isn't one of the roster or the signature isn't the custodian's over this
/// statement.
Done check(const Statement& statement, const Approval& approval, const Roster& roster);

/// The approvals of one act for the archive: JSON with each signed text and its signature.
std::string approvals_json(const Statement& statement, const std::vector<Approval>& approvals);
/// What approvals_json() wrote, believed by nobody: the one statement that so many custodians of this roster
/// have signed as it takes. Error (no): why there is none.
Result<Statement> agreed(std::string_view approvals, const Roster& roster);

}  // namespace kokuin::hsm::custody
