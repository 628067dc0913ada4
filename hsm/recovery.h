// Keeps one token open: holds its Connection, notices its loss, brings it back. Internal to hsm.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "hsm/connection.h"

namespace kokuin::hsm {

/// Thread-safe, but for the destructor. Not copyable: it owns a thread.
class Recovery {
  public:
    /// `prepare` is called with every new connection before it is used (keys are found there); an error means
    /// that the attempt has failed.
    using Prepare = std::function<Done(Connection&)>;

    /// `first`, opened with `pin`, is at work from now on; null: locked, until unlock().
    Recovery(std::shared_ptr<Module> module, TokenOptions options, Locator locator,
             std::shared_ptr<Connection> first, Secret pin, Prepare prepare);
    ~Recovery();
    Recovery(const Recovery&) = delete;
    Recovery& operator=(const Recovery&) = delete;

    /// The connection at work, or the reason why there is none.
    [[nodiscard]] Result<std::shared_ptr<Connection>> connection() const;
    /// A call has shown that this connection is lost. Has no effect if it isn't the one at work any more.
    void lost(const std::shared_ptr<Connection>& connection, const std::string& why);

    /// As Token's functions of these names.
    Done unlock(Secret pin);
    void lock();
    Done change_pins(const PinChange& change);
    [[nodiscard]] bool locked() const;

    [[nodiscard]] std::string state() const;
    [[nodiscard]] std::uint64_t recoveries() const;
    [[nodiscard]] const TokenOptions& options() const { return options_; }

  private:
    enum class Phase { working, lost, refused, locked, changing };

    void run();
    void probe(const std::shared_ptr<Connection>& connection);
    // Goes to work with this PIN, or to lost or refused; `unlocking_` is held.
    Done open_with(std::shared_ptr<const Secret> pin);
    // One attempt; both don't hold the lock.
    Result<std::shared_ptr<Connection>, ConnectFailure> attempt(const Secret& pin);
    Result<std::shared_ptr<Connection>, ConnectFailure> connect(const Secret& pin);
    [[nodiscard]] Error why_not() const;  // with the lock held
    void tell(TokenEvent::Kind kind, const std::string& text) const;

    const std::shared_ptr<Module> module_;
    const TokenOptions options_;  // without the PIN
    const Locator locator_;
    const Prepare prepare_;
    const std::string name_;

    mutable std::mutex mutex_;
    std::condition_variable wake_;
    Phase phase_ = Phase::working;
    bool stop_ = false;
    std::string reason_;
    std::uint64_t recoveries_ = 0;
    std::shared_ptr<const Secret> pin_;  // null while locked; an attempt keeps the one it began with
    std::mutex unlocking_;               // one unlock() or lock() at a time; taken before mutex_
    std::shared_ptr<Connection> current_;
    std::shared_ptr<Connection> dying_;  // closed by the thread, not by the caller that met the loss
    std::thread thread_;
};

}  // namespace kokuin::hsm
