// Heads of HTTP/1.x messages (RFC 9112), read strictly. cpp-httplib never sees what a stranger sent but what
// is made of the values here: its own reading of heads takes too much for granted (unbounded field counts,
// ranges and media types through std::regex, compressed bodies, Connection compared with case). Pure; no I/O.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/net/http.h"
#include "base/result.h"

namespace kokuin::net {

/// Why a head is not accepted: the status to answer with, and a generic text for the wire.
struct HeadFault {
    int status = 400;
    std::string text;
};

/// How the body of a message is framed.
struct Framing {
    std::optional<std::uint64_t> length;  ///< Content-Length
    bool chunked = false;                 ///< Transfer-Encoding: chunked
};

struct RequestHead {
    std::string method;  ///< a token of at most 32 characters
    std::string target;  ///< as it stands
    std::string path;    ///< see Request::path; "*" for the asterisk form
    std::string content_type;
    Fields fields;
    Framing framing;
    bool http10 = false;
    bool keep_alive = false;  ///< what the client wants
    bool expect_continue = false;
};

struct ResponseHead {
    int status = 0;
    std::string content_type;
    Fields fields;
    Framing framing;
    bool keep_alive = false;
};

/// Where a head ends in what has been received: the number of its octets with the empty line, or nothing yet.
/// Empty lines in front of a head must be dropped first.
std::optional<std::size_t> find_head_end(std::string_view received);

/// Reads a whole head (with its empty line). Refused: bare CR or LF, control characters, folded lines, blanks
/// around names, more than 100 fields, targets above 2,048 octets (414), a missing or doubled Host
/// (HTTP/1.1), a doubled or malformed Content-Length, one beside Transfer-Encoding, codings other than
/// chunked (501), compressed bodies (415), expectations other than 100-continue (417), versions other
/// than 1.0 and 1.1 (505), paths with '.' or '..' segments or encoded slashes, bodies of GET and HEAD.
Result<RequestHead, HeadFault> parse_request_head(std::string_view head);
/// The same of a response; a status from 100 to 599.
Result<ResponseHead, HeadFault> parse_response_head(std::string_view head);

/// True for RFC 9110's token.
bool is_token(std::string_view text);
/// True if `text` can stand in a field value: no control characters but HT.
bool is_field_value(std::string_view text);
/// Media type of a Content-Type in lower case, without parameters.
std::string media_type(std::string_view content_type);

}  // namespace kokuin::net
