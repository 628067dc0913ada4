// A token that is open: user logged in, sessions at hand. Internal to hsm. One Connection is one attempt that
// went well; after a loss it is thrown away and another one is made.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "hsm/call.h"
#include "hsm/locator.h"
#include "hsm/token.h"
#include "pki/hash.h"

namespace kokuin::hsm {

/// How a hash is signed in this token; chosen once, when it opens.
enum class SigningMode {
    none,      ///< not at all
    combined,  ///< CKM_SHAxxx_RSA_PKCS: digest and padding in the module
    raw,       ///< CKM_RSA_PKCS over a DigestInfo of ours (RFC 8017 9.2)
};

struct ConnectFailure {
    Error error;
    bool refused = false;     ///< by the PIN: never again
    std::uint64_t epoch = 0;  ///< in which it was tried
};

class Connection : public std::enable_shared_from_this<Connection> {
  public:
    /// Finds the token, opens the sessions, logs in, asks for the mechanisms. `pin` is only read.
    static Result<std::shared_ptr<Connection>, ConnectFailure> open(const std::shared_ptr<Module>& module,
                                                                    const TokenOptions& options,
                                                                    const Locator& locator, View pin);

    /// A session of the pool, the caller's own until it goes. Not copyable: two would use it at once.
    class Lease {
      public:
        Lease(Lease&& other) noexcept = default;
        Lease& operator=(Lease&&) = delete;
        ~Lease();
        [[nodiscard]] CK_SESSION_HANDLE session() const { return session_->handle(); }

      private:
        friend class Connection;
        Lease(std::shared_ptr<Connection> owner, Session session)
            : owner_(std::move(owner)), session_(std::move(session)) {}
        std::shared_ptr<Connection> owner_;
        std::optional<Session> session_;
    };
    /// Waits for its turn, first come, first served; nothing if the time runs out or the connection is lost
    /// meanwhile.
    std::optional<Lease> borrow(std::chrono::milliseconds wait);

    /// The right to call the module in this connection's epoch.
    [[nodiscard]] std::optional<ModuleCall> enter() const { return ModuleCall::enter(*module_, epoch_); }
    /// A session of its own that may write.
    [[nodiscard]] Result<Session, CK_RV> writing_session() const {
        return Session::open(module_, epoch_, token_.slot, CKF_RW_SESSION);
    }

    /// Ends all waiting; no session is given out any more.
    void abandon();
    /// Logs the user out at once, also under calls in progress, which then fail.
    void log_out();
    [[nodiscard]] bool abandoned() const;

    [[nodiscard]] std::uint64_t epoch() const { return epoch_; }
    [[nodiscard]] const FoundToken& token() const { return token_; }
    /// Whether the token has this mechanism for this use (CKF_SIGN, …).
    [[nodiscard]] Result<bool, CK_RV> offers(const ModuleCall& call, CK_MECHANISM_TYPE mechanism,
                                             CK_FLAGS use) const;
    [[nodiscard]] SigningMode mode(pki::Hash hash) const { return modes_[static_cast<std::size_t>(hash)]; }

    /// Handles of private keys, by a name that Token chooses.
    [[nodiscard]] std::optional<CK_OBJECT_HANDLE> handle(const std::string& name) const;
    void remember(const std::string& name, CK_OBJECT_HANDLE handle);
    void forget(const std::string& name);

    /// Set once something has been signed.
    std::atomic<bool> has_signed{false};

  private:
    Connection(std::shared_ptr<Module> module, std::uint64_t epoch, FoundToken token)
        : module_(std::move(module)), epoch_(epoch), token_(std::move(token)) {}
    CK_RV choose_modes(const ModuleCall& call);
    void give_back(Session session);

    std::shared_ptr<Module> module_;
    std::uint64_t epoch_;
    FoundToken token_;
    std::array<SigningMode, 4> modes_{};

    mutable std::mutex mutex_;
    // A session that comes back goes to the caller that has waited longest, never past it: otherwise new
    // callers would overtake the waiting ones under load, some of them for ever.
    struct Waiting {
        std::condition_variable ready;
        std::optional<Session> session;
    };
    std::deque<Waiting*> waiting_;  // on their callers' stacks; not empty only while idle_ is
    std::vector<Session> idle_;
    bool abandoned_ = false;
    std::map<std::string, CK_OBJECT_HANDLE> handles_;
};

}  // namespace kokuin::hsm
