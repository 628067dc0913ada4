// The HTTP client: deadlines, TLS and size caps are ours; HTTP is spoken by cpp-httplib.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/net/http.h"
#include "base/result.h"
#include "base/time.h"

namespace kokuin::net {

/// TLS 1.2 (ECDHE with AES-GCM only) and 1.3. The server's certificate is always checked.
struct ClientTls {
    std::string ca;             ///< PEM file of the anchors; the system's own are not used
    std::string expected_name;  ///< DNS name or IP address the certificate must carry (subjectAltName; CN is
                                ///< not asked)
    std::string certificate;    ///< PEM file: ours, then the chain above it; empty: none
    std::string key;            ///< PEM file: its private key
};

struct ClientOptions {
    std::string host;  ///< name or address; ignored with unix_path
    std::uint16_t port = 0;
    std::string unix_path;  ///< connects here instead, if not empty
    std::optional<ClientTls> tls;
    std::size_t max_response = 1U << 20U;  ///< octets of head and body together; more is an error
};

/// One request to send.
struct Call {
    std::string method = "GET";
    std::string path = "/";  ///< with query, already percent-encoded
    std::string content_type;
    Bytes body;
    Fields fields;
};

class Client;

/// An open connection to a server, for several requests one after the other (HTTP keep-alive). For one thread
/// at a time. A failed request closes it; so does a server that doesn't keep it.
class Connection {
  public:
    Connection(Connection&&) noexcept;
    Connection& operator=(Connection&&) noexcept;
    ~Connection();

    /// Sends and waits for the whole answer, whatever its status; `deadline` bounds all of it.
    Result<Response> request(const Call& call, nanoseconds deadline);
    /// False once it is closed; then make another one.
    [[nodiscard]] bool open() const;
    /// The server's certificate (TLS only).
    [[nodiscard]] std::shared_ptr<const PeerCertificate> peer() const;

  private:
    friend class Client;
    struct Impl;
    explicit Connection(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

/// Where a server is and how it is recognised. Immutable, cheap to copy, thread-safe.
class Client {
  public:
    /// Reads the TLS files once; the error names the file and what is wrong with it. Nothing is connected
    /// yet.
    static Result<Client> make(ClientOptions options);

    /// Resolves, connects and does the TLS handshake within `deadline`. Errors (Kind::environment), one line
    /// each: name unknown, connection refused, timed out, certificate not trusted (why), certificate for
    /// other names (which), our own certificate refused.
    [[nodiscard]] Result<Connection> connect(nanoseconds deadline) const;
    /// One request on a connection of its own; `deadline` bounds connecting and answer together.
    [[nodiscard]] Result<Response> request(const Call& call, nanoseconds deadline) const;
    /// For messages: "https://host:port" or "unix:/path".
    [[nodiscard]] const std::string& where() const;

  private:
    friend class Connection;
    struct Shared;
    explicit Client(std::shared_ptr<const Shared> shared);
    std::shared_ptr<const Shared> shared_;
};

/// One request over a connection of its own to an http URL's host and port (what is asked for is the call's);
/// `deadline` bounds all of it, `largest` the answer, in octets.
Result<Response> request_once(const Url& url, const Call& call, std::size_t largest, nanoseconds deadline);

}  // namespace kokuin::net
