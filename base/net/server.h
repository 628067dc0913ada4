// The HTTP server: listening, connections, TLS, deadlines, limits and heads are ours; chunked bodies are read
// by cpp-httplib.
//
// What a connection may cost is bounded everywhere: a connection that is idle, or waits for a handler that
// answers later (Reply), holds no thread; one that sends holds a thread, but only until the deadline of its
// request; heads, bodies, connections and connections per address are capped. Whatever is refused gets a
// well-formed answer where HTTP allows one.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/net/http.h"
#include "base/net/router.h"
#include "base/result.h"
#include "base/time.h"

namespace kokuin::net {

/// TLS 1.2 (ECDHE with AES-GCM only) and 1.3.
struct ServerTls {
    std::string certificate;  ///< PEM file: the server's certificate, then the chain above it
    std::string key;          ///< PEM file: its private key, not encrypted
    /// PEM file of the CAs a client's certificate must be under. If given, a client without one is refused in
    /// the handshake, and Peer::certificate is always set. Empty: clients are not asked.
    std::string client_ca;
};

struct ServerOptions {
    std::string name = "http";  ///< for logs: "http", "audit", …
    std::string address =
        "127.0.0.1";         ///< numeric IPv4 or IPv6 address, or "localhost"; ignored with unix_path
    std::uint16_t port = 0;  ///< 0: any free one; see Server::port()
    std::string unix_path;   ///< listens here (mode 0600) instead, if not empty; its folder is made
    std::optional<ServerTls> tls;
    /// What the Date of every answer is read from (RFC 9110 6.6.1); must outlive the server. Null: the
    /// system's clock. It says nothing about the time in tokens.
    const WallClock* wall_clock = nullptr;

    std::size_t max_head = 16U << 10U;  ///< octets of request line and header fields
    std::size_t max_body = 8U << 10U;   ///< octets, unless the route says otherwise; more is 413
    /// From the first octet of a request until its last: a slow sender is cut (408).
    nanoseconds request_deadline = seconds(10);
    /// From the handler's answer until its last octet is with the kernel: a slow reader is cut.
    nanoseconds response_deadline = seconds(10);
    nanoseconds handshake_deadline = seconds(5);  ///< of TLS, from its first octet
    nanoseconds idle_timeout = seconds(30);       ///< between requests, and before the first
    /// After it a connection is closed as soon as it is idle, or with its next response.
    nanoseconds connection_lifetime = std::chrono::minutes(30);

    /// Open connections at once. When reached, the connection idle for longest makes room; if none is idle,
    /// new ones wait in the backlog.
    unsigned max_connections = 4096;
    /// From one IP address (IPv6: its /64); 0: no cap. Loopback and Unix sockets are exempt: there a reverse
    /// proxy stands. More are closed at once.
    unsigned max_connections_per_address = 256;
    /// Threads at most; they are made when needed. Each request holds one from its first octet until its
    /// handler has returned, and its answer holds one while it is written.
    unsigned max_threads = 1400;
    /// Of them, those that run at once, neither without work nor waiting for a client; 0: no limit. For
    /// listeners whose handlers all go through the same bottleneck (an HSM with so many sessions): more
    /// threads in front of it only get in each other's way. Requests above it wait their turn.
    unsigned workers_at_once = 0;
    /// A request that has waited this long for its turn gets a thread in spite of workers_at_once: a
    /// bottleneck that hangs must not hold up those who don't need it.
    nanoseconds patience = seconds(1);
    /// stop(): requests still being sent after this are cut; those already with a handler are always
    /// finished.
    nanoseconds stop_grace = seconds(5);
};

/// What a server has done so far and does now. Counters only grow.
struct ServerCounters {
    std::uint64_t accepted = 0;  ///< connections
    std::uint64_t refused = 0;   ///< connections closed at once: cap per address
    std::uint64_t evicted = 0;   ///< idle connections closed to make room
    std::uint64_t handshake_failed =
        0;                       ///< TLS: no or bad client certificate, wrong version, garbage, too slow
    std::uint64_t requests = 0;  ///< answered by a handler
    std::uint64_t rejected = 0;  ///< requests answered by the server itself (400, 404, 405, 413, 415, 431, …)
    std::uint64_t timed_out = 0;    ///< requests cut at their deadline
    std::uint64_t failed = 0;       ///< handlers that threw
    std::uint64_t connections = 0;  ///< open now
    std::uint64_t active = 0;       ///< of them, with a thread now
    std::uint64_t threads = 0;      ///< now
};

/// One listener. All functions may be called from any thread.
class Server {
  public:
    /// Nothing is opened yet. `router` is not changed any more.
    Server(ServerOptions options, std::shared_ptr<const Router> router);
    /// Stops, if that wasn't done.
    ~Server();
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;

    /// Binds, listens, and returns when connections are accepted. The error says which address or file and
    /// what to do: port taken (two servers never share one), address not of this machine, certificate and key
    /// unreadable or not a pair, Unix socket in use (a stale one, where nobody listens, is replaced). To be
    /// called once.
    [[nodiscard]] Done start();
    /// Stops accepting, closes idle connections, lets requests in flight finish (bounded by stop_grace plus
    /// what handlers take plus response_deadline), joins all threads; removes the Unix socket. What a client
    /// that has its request in the backlog already sent is answered too. Idempotent.
    void stop();

    /// The port listened on (also where options said 0); 0 on a Unix socket or before start().
    [[nodiscard]] std::uint16_t port() const;
    [[nodiscard]] ServerCounters counters() const;

  private:
    class Impl;
    std::unique_ptr<Impl> impl_;
};

/// Raises the soft limit of open files to the hard one (each connection is one), for main; returns what it is
/// now.
std::uint64_t raise_file_limit();

}  // namespace kokuin::net
