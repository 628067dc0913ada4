// Requests and responses on a Channel. Chunked bodies, and answers on the client's side, are read by
// cpp-httplib; its own sockets, TLS, clients and pools are not used. Heads are read by head.h before, and
// what httplib gets to see of them is made anew from the values found. Inside base/net only; httplib.h stays
// in the .cpp.
#pragma once

#include <chrono>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "base/net/channel.h"
#include "base/net/client.h"
#include "base/net/head.h"
#include "base/net/http.h"
#include "base/time.h"

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
/// The text of a response, with `date` (see DateField) if it isn't empty. Fields that HTTP doesn't allow, and
/// those written here, are left out of the response's own.
std::string text_of(const Response& response, const AnswerShape& shape, std::string_view date);

/// IMF-fixdate (RFC 9110 5.6.7), truncated to the second: "Sun, 06 Nov 1994 08:49:37 GMT".
std::string http_date(WallTime time);
/// The value of the Date field (RFC 9110 6.6.1), made anew only when the second changes. Thread-safe.
class DateField {
  public:
    /// `clock` must outlive this.
    explicit DateField(const WallClock& clock) : clock_(clock) {}
    std::string value();

  private:
    const WallClock& clock_;
    std::mutex mutex_;
    std::chrono::time_point<Wall, seconds> made_for_ = std::chrono::time_point<Wall, seconds>::min();
    std::string value_;
};

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
