// Sockets of the kernel: owned descriptors, listening, connecting. Inside base/net only.
#pragma once

#include <chrono>
#include <string>
#include <utility>

#include "base/net/http.h"
#include "base/result.h"

namespace kokuin::net {

/// A moment after which waiting ends. CLOCK_MONOTONIC: it is what poll and condition variables wait by.
using Deadline = std::chrono::steady_clock::time_point;
Deadline deadline_in(std::chrono::nanoseconds time);

/// Owns a file descriptor.
class Fd {
  public:
    Fd() = default;
    explicit Fd(int fd) : fd_(fd) {}
    ~Fd() { reset(); }
    Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    Fd& operator=(Fd&& other) noexcept {
        if (this != &other) {
            reset();
            fd_ = std::exchange(other.fd_, -1);
        }
        return *this;
    }
    [[nodiscard]] int get() const { return fd_; }
    explicit operator bool() const { return fd_ >= 0; }
    void reset();

  private:
    int fd_ = -1;
};

/// How waiting for a descriptor ended.
enum class Waited { ready, timeout, interrupted };
/// Waits until `fd` has one of `events` (poll's) or hung up. With `interrupt` ≥ 0, until that one is
/// readable, too.
Waited wait_for(int fd, short events, Deadline deadline, int interrupt = -1);

/// A listening TCP socket, non-blocking, backlog 1,024. Another listener on the same address and port is
/// refused: SO_REUSEPORT is not set.
Result<Fd> listen_tcp(const std::string& address, std::uint16_t port);
/// A listening Unix socket of mode 0600, non-blocking. A socket file where nobody listens is replaced; the
/// folder it stands in is made (mode 0700) if it is missing, but not the one above.
Result<Fd> listen_unix(const std::string& path);
/// The port a TCP socket is bound to.
std::uint16_t bound_port(int fd);

/// Connects, non-blocking from then on. Name resolution is the system's and keeps its own timeouts.
Result<Fd> connect_tcp(const std::string& host, std::uint16_t port, Deadline deadline);
Result<Fd> connect_unix(const std::string& path, Deadline deadline);

/// Who is at the other end, as far as the kernel knows; sets TCP_NODELAY. An IPv4 address mapped into IPv6 is
/// told as IPv4.
Peer peer_of(int fd);
/// What a cap per address counts by: the IPv4 address, or the /64 of an IPv6 one; empty for loopback and Unix
/// sockets.
std::string cap_key(const Peer& peer);

}  // namespace kokuin::net
