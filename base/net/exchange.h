// Requests and responses on a Channel. Chunked bodies, and answers on the client's side, are read by
// cpp-httplib; its own sockets, TLS, clients and pools are not used. Heads are read by head.h before, and
// what httplib gets to see of them is made anew from the values found. Inside base/net only; httplib.h stays
// in the .cpp.
#pragma once

#include <optional>
#include <string>

#include "base/net/channel.h"
#include "base/net/client.h"
#include "base/net/head.h"
#include "base/net/http.h"

namespace kokuin::net {

/// Server side: reads the body that `head` announces into `request`; "100 Continue" is sent first where the
/// client waits for it.
struct BodyOutcome {
    /// Why the body isn't whole, as an answer: too large 413, malformed or broken off 400, too slow 408.
    std::optional<Response> refusal;
    bool timed_out = false;
};
BodyOutcome read_body(Channel& channel, const RequestHead& head, Request& request, std::size_t max_body,
                      Deadline deadline);

/// What of a request shapes the text of its answer.
struct AnswerShape {
    bool keep = false;          ///< the connection goes on
    bool http10 = false;        ///< an HTTP/1.0 client is told so explicitly
    bool without_body = false;  ///< HEAD
};
/// The text of a response. Fields that HTTP doesn't allow, and those that frame the message, are left out.
std::string text_of(const Response& response, const AnswerShape& shape);

/// Client side: one request on an open channel.
struct ClientOutcome {
    Io io = Io::failed;  ///< ok, or how the channel failed
    std::string fault;   ///< what is wrong with the answer, if the channel is fine; empty if nothing
    bool keep = false;   ///< the connection can be used again
    Response response;   ///< only with io ok and no fault
};
ClientOutcome exchange(Channel& channel, const std::string& host, const Call& call, std::size_t max_response,
                       Deadline deadline);

}  // namespace kokuin::net
