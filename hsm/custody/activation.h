// The side of custody that runs in the server: takes shares, one custodian after the other, until there are
// enough to open the token.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/secret.h"
#include "hsm/custody/papers/roster.h"
#include "hsm/custody/papers/statement.h"
#include "hsm/custody/share.h"
#include "hsm/token.h"
#include "store/blob.h"
#include "store/record.h"

namespace kokuin::hsm::custody {

/// What a custodian's side must know to give a share: from the server.
struct Challenge {
    Statement statement;  ///< act "activate": giving a share is agreeing to it
    Bytes letterbox;      ///< X25519: whom to seal the share for
    Roster roster;
    /// A re-sharing was begun and broke off: custodians of `roster` and of this one must both come, and give
    /// both PINs' shares.
    std::optional<Roster> next{};
    bool officers_too = false;  ///< the officer's PIN's share is wanted too: only beside `next`
    bool follows = false;       ///< this is to_next() of another

    [[nodiscard]] std::string to_json() const;
    static Result<Challenge> from_json(std::string_view text);
    /// What a share on its way is bound to.
    [[nodiscard]] Bytes context(const std::string& custodian) const;
    /// The challenge to a custodian of `next`.
    [[nodiscard]] Challenge to_next() const;
};

/// A share on its way to the server; only that server's process can read it.
struct Given {
    std::string ceremony;
    unsigned generation = 0;
    Approval approval;
    Box share;                     ///< the share of the user's PIN
    std::optional<Box> officer{};  ///< of the officer's, where it is wanted

    [[nodiscard]] std::string to_json() const;
    static Result<Given> from_json(std::string_view text);
};
/// Answers a challenge. Error (no): the share file is of another ceremony, token or generation; the text says
/// which.
Result<Given> answer(const Challenge& challenge, const OpenShare& share);
/// To every roster of the challenge that this custodian has a share in; one or two.
Result<std::vector<Given>> answers(const Challenge& challenge, const OpenShare& share);
/// The same look alone, before anybody has typed a passphrase.
Done fits(const Challenge& challenge, const ShareFile& file);

/// Thread-safe; calls take turns. Shares and PIN are in Secrets only, and the shares only until there are
/// enough of them, or deactivate().
class Activation {
  public:
    struct Parts {
        std::string program;   ///< "tsad"
        std::string settings;  ///< SHA-256 of its configuration file, hex
        /// Opens the token. An Error (environment) counts as open: the token can't be reached now and comes
        /// back by itself with this PIN (Token::unlock). Error (usage): the token has refused it.
        std::function<Done(const Secret& pin)> open;
        std::function<void()> close;
        /// Durable on return. Kinds: "custody.share", "custody.activated" (its blob is approvals_json()),
        /// "custody.deactivated", "custody.kept", "custody.changed" (settings), "custody.refused"; the
        /// subject is the token's label.
        std::function<Done(const store::Event&, const std::vector<store::Blob>&)> record;
        /// Sets both PINs anew and opens the token with the user's (Token::change_pins(), whose errors are
        /// meant).
        std::function<Done(const PinChange&)> change{};
    };
    /// `next`: of a re-sharing that broke off (read_resharing()).
    Activation(Roster roster, Parts parts, std::optional<Roster> next = std::nullopt);

    [[nodiscard]] Challenge challenge() const;

    struct State {
        bool activated = false;
        bool refused = false;            ///< the token has refused the PIN: nothing helps in this process
        std::vector<std::string> given;  ///< custodians whose share is here; empty once activated
        unsigned threshold = 0;
        std::string text;          ///< one line
        std::string custodians{};  ///< "officer-1, officer-3": who activated it; empty if a keeper did
    };
    /// As it was after the last act; never waits for one, whatever the token does.
    [[nodiscard]] State state() const;
    /// The custodians in force; likewise.
    [[nodiscard]] Roster roster() const;

    /// Takes a share. With the last one that is needed the token is opened and everything recorded.
    /// `account`: who asked, by the kernel's word. Error (no): not of this ceremony, nobody's share, changed,
    /// signed for something else, or nothing to do; (usage): the token refused the PIN; (environment): the
    /// archive. A share that was given before is taken once. Whatever is wrong with a share, the token hears
    /// nothing of it.
    Result<State> give(const Given& given, const std::string& account);
    /// Opens the token with a PIN that was kept over a restart, if custodians agreed to exactly these
    /// settings when it was activated: `agreed`, of the archive. Error (no): they have changed; the
    /// custodians must activate it again.
    Done reopen(Secret pin, const std::string& agreed);
    /// Closes the token and forgets the PIN and what was given. `why`, `by`: for the record. Error (no):
    /// nothing is active; (environment): closed, but not recorded.
    Done deactivate(const std::string& why, const std::string& by, const std::string& account);
    /// From now on `next` holds the PINs, which are set anew. Records "custody.resharing" (its blob is
    /// `next`) before and "custody.shared" after: what happens between is gone on with after a crash (State,
    /// Challenge::next). Error (no): not activated, or nothing was changed; (environment): it broke off, and
    /// custodians of both rosters must come.
    Done reshare(const Roster& next, const PinChange& change, const std::string& custodians,
                 const std::string& why);

  private:
    [[nodiscard]] State state_locked() const;
    [[nodiscard]] Challenge challenge_locked() const;
    Done activate_locked();
    Done go_on_resharing();
    [[nodiscard]] Error unfit(const Error& error) const;
    Done take_over(const std::string& custodians);
    Done broken_off(const Error& error);
    Done record_shared(const std::string& custodians, const std::string& text);
    [[nodiscard]] Statement statement_of(const Roster& roster) const;
    [[nodiscard]] Done record_agreed(const Roster& roster);
    Done record(store::Event event, const std::vector<store::Blob>& blobs = {}, const Roster* of = nullptr);
    Done open_locked(const Secret& pin);
    void begin_anew();

    struct Held {
        Secret share;
        Secret officer;
        Approval approval;
    };
    // One act after the other; state() and roster() show what it led to.
    class Turn {
      public:
        explicit Turn(Activation& of) : of_(of), lock_(of.mutex_) {}
        ~Turn() { of_.show(); }
        Turn(const Turn&) = delete;
        Turn& operator=(const Turn&) = delete;

      private:
        Activation& of_;
        std::unique_lock<std::mutex> lock_;
    };
    void show();
    struct Shown {
        State state;
        Roster roster;
        Challenge challenge;
    };
    using Bench = std::map<std::string, Held>;  // by custodian
    static Result<Secret> combine_all(const Bench& bench, Secret Held::*which);
    Roster roster_;
    std::optional<Roster> next_;
    const Parts parts_;
    const Letterbox letterbox_;
    mutable std::mutex shown_mutex_;
    Shown shown_;
    mutable std::mutex mutex_;
    std::string nonce_;
    Bench held_;
    Bench held_of_next_;
    bool activated_ = false;
    bool refused_ = false;
    std::string trouble_;
    std::string activated_by_;
    bool unrecorded_ = false;  ///< who holds the PINs now isn't in the archive yet
};

}  // namespace kokuin::hsm::custody
