// Acts that several people must agree to (KEY-2, ARC-7): somebody asks for one, custodians sign it, and with
// the last signature that is needed the server does it.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "hsm/custody/roster.h"
#include "hsm/custody/statement.h"
#include "store/blob.h"
#include "store/record.h"

namespace kokuin::hsm::custody {

/// An act that waits for signatures.
struct Proposal {
    std::string id;  ///< first 8 digits of the statement's nonce: what people type
    Statement statement;
    std::string why;
    std::string by;  ///< who asked for it
    std::vector<std::string> given;
    unsigned threshold = 0;

    [[nodiscard]] std::string to_json() const;
    static Result<Proposal> from_json(std::string_view text);
};

/// What the custodians agreed to, for the act's own record.
struct Agreement {
    std::string id;          ///< the statement's nonce
    std::string custodians;  ///< "officer-1, officer-3"
    std::string why;
    std::string by;
};

/// Thread-safe. An act is carried out on the thread of its last signature, with no lock held.
class Approvals {
  public:
    struct Parts {
        std::string program;   ///< "tsad"
        std::string settings;  ///< SHA-256 of its configuration file, hex
        const MonoClock& mono;
        /// Durable on return. Kinds: "custody.proposed", "custody.agreed" (its blob is approvals_json()); the
        /// subject is the token's label.
        std::function<Done(const store::Event&, const std::vector<store::Blob>&)> record;
    };
    Approvals(const Roster& roster, Parts parts) : roster_(roster), parts_(std::move(parts)) {}

    /// Does the act; the text says what was done.
    using CarryOut = std::function<Result<std::string>(const Agreement&)>;
    /// Whether it could be done now: asked before the last signature counts, so that none is lost.
    using Possible = std::function<Done()>;
    /// Asks for an act. It waits for a day, and not over a restart. `act` and `content` are what is signed.
    /// Error (no): the same act waits already, or 16 others do; (environment): the archive.
    Result<Proposal> propose(const std::string& act, const std::string& content, const std::string& why,
                             const std::string& by, const std::string& account, Possible possible,
                             CarryOut carry_out);
    [[nodiscard]] std::vector<Proposal> waiting();

    struct Outcome {
        Proposal proposal;
        bool done = false;
        std::string text;  ///< what was done
    };
    /// A custodian's signature under a proposal. With the last one the act is carried out; an Error is then
    /// what went wrong with it, and the proposal is gone. Error (no): no such proposal, or not the
    /// custodian's signature.
    Result<Outcome> approve(const std::string& id, const Approval& approval);

  private:
    struct Waiting {
        Proposal proposal;
        std::vector<Approval> approvals;
        Possible possible;
        CarryOut carry_out;
        MonoTime until;
    };
    void forget_old();

    const Roster roster_;
    const Parts parts_;
    std::mutex mutex_;
    std::map<std::string, Waiting> waiting_;  // by id
};

}  // namespace kokuin::hsm::custody
