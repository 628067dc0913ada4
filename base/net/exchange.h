// One request and its response on a Channel, spoken by cpp-httplib: it reads bodies, calls back, and writes
// the response; its own sockets, TLS, clients and pools are not used. Heads are read by head.h before, and
// what httplib gets to see of them is made anew from the values found. Inside base/net only; httplib.h stays
// in the .cpp.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/net/channel.h"
#include "base/net/client.h"
#include "base/net/head.h"
#include "base/net/router.h"

namespace kokuin::net {

/// Server side. Made once a thread (handlers of httplib are std::regex patterns) and used for many exchanges.
class ServerExchange {
  public:
    ServerExchange();
    ~ServerExchange();
    ServerExchange(const ServerExchange&) = delete;
    ServerExchange& operator=(const ServerExchange&) = delete;

    struct Limits {
        std::size_t max_body = 0;
        Deadline request_deadline;
        nanoseconds response_deadline{};
        /// Asked just before the response is written, once the body has been read: may the connection stay?
        std::function<bool()> may_keep;
        /// Called when the request is complete, before the handler.
        std::function<void()> complete;
        /// Called when the handler threw, before that is answered.
        std::function<void()> threw;
    };
    struct Outcome {
        bool answered = false;   ///< the handler was called
        bool timed_out = false;  ///< the request was not complete at its deadline, or the answer not taken
        bool keep = false;       ///< the connection can go on
        bool unread = false;     ///< the request was not read to its end: drain before closing
    };
    /// Reads the body that `head` announces into `request`, calls the handler and writes what it returns.
    /// Body too large: 413; malformed: 400; too slow: 408; handler throws: 500.
    Outcome run(Channel& channel, const RequestHead& head, Request& request, const Handler& handler,
                const Limits& limits);

  private:
    class Impl;
    std::unique_ptr<Impl> impl_;
};

/// The text of a response that is answered without a handler. `allow`-like fields are taken from `response`.
std::string plain_answer(const Response& response, bool keep, bool http10, bool without_body);

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
