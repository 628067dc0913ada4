// A connected socket, plain or under TLS, read and written with deadlines. Inside base/net only.
#pragma once

#include <string>
#include <string_view>

#include "base/net/socket.h"
#include "base/net/tls.h"

namespace kokuin::net {

enum class Io {
    ok,
    closed,   ///< the other end closed in good order
    timeout,  ///< the deadline passed
    failed,   ///< reset, TLS fault
};

/// Told when a thread is about to wait for the other end, and when it has waited. Not from two threads at
/// once for one channel.
class WaitWatcher {
  public:
    virtual void begins_to_wait() = 0;
    virtual void has_waited() = 0;

  protected:
    ~WaitWatcher() = default;
};

/// For one thread at a time, but for cut().
class Channel {
  public:
    /// `watcher`, if any, must outlive the channel.
    explicit Channel(Fd fd, WaitWatcher* watcher = nullptr) : fd_(std::move(fd)), watcher_(watcher) {}

    /// From now on everything goes through this session.
    void use_tls(TlsSession session) { tls_ = std::move(session); }
    Io handshake(Deadline deadline);

    /// Reads 1 to `size` octets: first what was received already, then from the socket.
    Io read(char* to, std::size_t size, std::size_t& got, Deadline deadline);
    /// Receives more octets behind those in received().
    Io receive(Deadline deadline);
    /// What was received and not read yet.
    [[nodiscard]] std::string_view received() const { return std::string_view(received_).substr(taken_); }
    void take(std::size_t count) { taken_ += count; }
    /// True if reading needs no waiting for the socket.
    [[nodiscard]] bool pending() const;
    /// Gives buffers back that are empty: a connection is going to idle.
    void shrink();

    Io write(std::string_view octets, Deadline deadline);
    /// Tells the other end that nothing more comes (TLS close_notify, FIN).
    void finish();
    /// Reads and forgets until the other end closes, the deadline passes or `limit` octets came. After an
    /// answer to a request that was not read to its end: closing with octets unread makes the kernel send a
    /// reset, which would eat the answer.
    void drain(std::size_t limit, Deadline deadline);
    /// Makes reads end now, from another thread.
    void cut() const;

    [[nodiscard]] int fd() const { return fd_.get(); }
    [[nodiscard]] const ssl_st* tls() const { return tls_.get(); }

  private:
    // Waits for one of `events` (poll's), up to the deadline.
    Waited wait(short events, Deadline deadline) const;
    Io read_socket(char* to, std::size_t size, std::size_t& got, Deadline deadline);
    template <typename Operation>
    Io tls_operation(Operation&& operation, Deadline deadline);

    Fd fd_;
    WaitWatcher* watcher_;
    TlsSession tls_;  // after fd_: goes first
    std::string received_;
    std::size_t taken_ = 0;
    bool broken_ = false;  // TLS must not be shut down after a fatal error
};

}  // namespace kokuin::net
