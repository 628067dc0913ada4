// Acts that several people must agree to (KEY-2, ARC-7): somebody asks for one, custodians sign it, and with
// the last signature that is needed the server does it.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/secret.h"
#include "base/time.h"
#include "hsm/custody/papers/roster.h"
#include "hsm/custody/papers/statement.h"
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
    /// X25519: each custodian gives the share of the officer's PIN with the signature, sealed for it. Empty:
    /// none is asked for.
    Bytes letterbox{};

    /// What an officer's share on its way is bound to.
    [[nodiscard]] Bytes context(const std::string& custodian) const;
    [[nodiscard]] std::string to_json() const;
    static Result<Proposal> from_json(std::string_view text);
};

/// What the custodians agreed to, for the act's own record.
struct Agreement {
    std::string id;          ///< the statement's nonce
    std::string custodians;  ///< "officer-1, officer-3"
    std::string why;
    std::string by;
    std::shared_ptr<const Secret> officers_pin{};  ///< null where the act doesn't ask for it
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
    /// `roster`: the custodians in force; asked with a lock held.
    Approvals(std::function<Roster()> roster, Parts parts)
        : roster_(std::move(roster)), parts_(std::move(parts)) {}

    /// Does the act; the text says what was done.
    using CarryOut = std::function<Result<std::string>(const Agreement&)>;
    /// Whether it could be done now: asked before the last signature counts, so that none is lost.
    using Possible = std::function<Done()>;
    /// What is asked for, and by whom. `act` and `content` are what is signed.
    struct Wanted {
        std::string act;
        std::string content;
        std::string why;
        std::string by;
        std::string account;
        bool officers_pin = false;  ///< it takes the security officer's PIN
    };
    /// Asks for an act. It waits for a day, not over a restart, and not after custodians were replaced.
    /// Error (no): the same act waits already, or 16 others do; (environment): the archive.
    Result<Proposal> propose(const Wanted& wanted, Possible possible, CarryOut carry_out);
    [[nodiscard]] std::vector<Proposal> waiting();

    struct Outcome {
        Proposal proposal;
        bool done = false;
        std::string text;  ///< what was done
    };
    /// A custodian's signature under a proposal. With the last one the act is carried out; an Error is then
    /// what went wrong with it, and the proposal is gone. Error (no): no such proposal, or not the
    /// custodian's signature, or not the officer's share that goes with it.
    Result<Outcome> approve(const std::string& id, const Approval& approval,
                            const std::optional<Box>& officer = std::nullopt);

  private:
    struct Waiting {
        Proposal proposal;
        std::vector<Approval> approvals;
        std::map<std::string, Secret> officers;  // by custodian
        Possible possible;
        CarryOut carry_out;
        MonoTime until;
    };
    void forget_old();
    Result<Secret> officers_share(const Proposal& proposal, const Roster& roster,
                                  const std::string& custodian, const std::optional<Box>& box) const;

    const std::function<Roster()> roster_;
    const Parts parts_;
    const Letterbox letterbox_;
    std::mutex mutex_;
    std::map<std::string, Waiting> waiting_;  // by id
};

}  // namespace kokuin::hsm::custody
