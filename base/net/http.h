// What servers and clients of this project say to each other: HTTP requests and responses as values. Pure.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <sys/types.h>

#include "base/bytes.h"
#include "base/result.h"

namespace kokuin::net {

/// Header fields in the order they stand; names compare without case.
using Fields = std::vector<std::pair<std::string, std::string>>;
/// The value of the first field of that name; nothing if there is none.
std::optional<std::string_view> find_field(const Fields& fields, std::string_view name);

/// A certificate that the peer proved to hold (TLS), already verified against the configured CA.
struct PeerCertificate {
    Bytes der;
    Bytes sha256;                        ///< 32 octets, of `der`
    std::string common_name;             ///< last CN of the subject, UTF-8; empty if it has none
    std::vector<std::string> dns_names;  ///< subjectAltName dNSName, as they stand
};

/// Who is at the other end of a connection.
struct Peer {
    /// The process at the other end of a Unix socket when it connected (SO_PEERCRED).
    struct Process {
        uid_t uid = 0;
        gid_t gid = 0;
        pid_t pid = 0;
    };
    std::string address;  ///< numeric IP; empty on a Unix socket
    std::uint16_t port = 0;
    std::optional<Process> process;  ///< on a Unix socket only
    bool encrypted = false;          ///< TLS
    /// On TLS with a client certificate only. Shared, immutable.
    std::shared_ptr<const PeerCertificate> certificate;
    /// For logs: "127.0.0.1:4711" or "unix uid 0 pid 12".
    [[nodiscard]] std::string text() const;
};

/// One request as a handler sees it: framed, within its size limits and complete.
struct Request {
    std::string method;  ///< "GET" also where the client asked HEAD: the body of the answer is then left out
    std::string path;    ///< percent-decoded, without query; begins with '/', no NUL, no '.' or '..' segments
    std::string target;  ///< as the client wrote it, printable ASCII
    std::string content_type;  ///< media type in lower case, without parameters; empty if not stated
    Bytes body;
    Fields fields;  ///< all header fields, values without surrounding blanks
    /// What the names in braces of the route's pattern stand for here, in their order.
    std::vector<std::pair<std::string, std::string>> parameters;
    Peer peer;

    /// The value of a name in braces of the pattern; empty if the pattern has no such name.
    [[nodiscard]] std::string_view parameter(std::string_view name) const;
    /// The value of the first header field of that name.
    [[nodiscard]] std::optional<std::string_view> field(std::string_view name) const;
};

/// One response. Made by a handler, or received by a client.
struct Response {
    int status = 200;
    std::string content_type;  ///< may have parameters; in received ones as in Request
    Bytes body;
    /// More header fields. Connection, Content-Length, Content-Type and Transfer-Encoding are the server's
    /// and ignored.
    Fields fields;

    [[nodiscard]] std::optional<std::string_view> field(std::string_view name) const;
    /// application/json, from its text.
    static Response json(int status, std::string_view text);
    /// text/plain; charset=utf-8, a line end added if there is none.
    static Response text(int status, std::string_view text);
    static Response octets(int status, std::string content_type, Bytes body);
};

/// RFC 9110's phrase for a status; "Unknown" for one it hasn't.
std::string_view reason_phrase(int status);

/// True for 127.0.0.0/8, ::1 and localhost.
bool is_loopback(const std::string& host);

/// "https://HOST[:PORT][/PATH]" or "http://…", taken apart. No user info, no fragment.
struct Url {
    bool https = false;
    std::string host;  ///< without brackets
    std::uint16_t port = 0;
    std::string path;  ///< with query; at least "/"
};
/// Reads a Url; the error says what is allowed.
Result<Url> parse_url(std::string_view text);

}  // namespace kokuin::net
