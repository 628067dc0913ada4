// Which handler answers which path and method.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/net/http.h"

namespace kokuin::net {

/// Answers one request. Called from many threads at once. What it throws becomes a generic 500 and a line in
/// the log.
using Handler = std::function<Response(const Request&)>;

/// Answers one request, now or later. A value that may be copied, moved to another thread and kept; the
/// request's connection is neither read nor closed meanwhile. The first call's response goes out, what comes
/// after it is ignored; if the last copy goes without a call, the client gets a generic 500. Calling it never
/// waits for the client: a thread of the server's writes. Server::stop() waits for every answer.
class Reply {
  public:
    /// How the server is told; called once at most.
    using Give = std::function<void(Response)>;
    explicit Reply(Give give);
    void operator()(Response response) const;

  private:
    struct Once;
    std::shared_ptr<Once> once_;
};

/// A handler that needn't be done when it returns: what it waits for (a disk, say) costs no thread. Throwing
/// is as with Handler, if it hasn't answered before.
using LaterHandler = std::function<void(const Request&, Reply)>;

/// What a route demands of a request beyond method and path.
struct RouteLimits {
    /// Media types (lower case, without parameters) a body may have; anything else, or none, is 415. Empty:
    /// all.
    std::vector<std::string> content_types;
    /// Instead of the server's max_body, in octets.
    std::optional<std::size_t> max_body;
};

/// Filled by main before the server starts, then only read.
class Router {
  public:
    /// `method`: GET (answers HEAD too), POST, PUT, PATCH or DELETE. `pattern`: segments that must be the
    /// same ("/tsa"), a name in braces for one segment of any content ("/tsa/{policy}"), and, last, a name
    /// with dots for all that remains, at least one segment ("/repository/{path...}"). The most literal
    /// pattern wins, then the one added first. The same method and pattern twice, or a malformed pattern, is
    /// a defect of the program (std::logic_error).
    void add(std::string method, const std::string& pattern, Handler handler, RouteLimits limits = {});
    void add_later(std::string method, const std::string& pattern, LaterHandler handler,
                   RouteLimits limits = {});

    /// Where a request goes. Exactly one of `handler` and `refusal` is set.
    struct Match {
        const std::variant<Handler, LaterHandler>* handler = nullptr;
        const RouteLimits* limits = nullptr;
        std::vector<std::pair<std::string, std::string>> parameters;
        /// 404, 405 with Allow, or 415.
        std::optional<Response> refusal;
    };
    /// `method` as the client wrote it; `content_type` empty if it stated none.
    [[nodiscard]] Match match(std::string_view method, std::string_view path,
                              std::string_view content_type) const;

  private:
    void put(std::string method, const std::string& pattern, std::variant<Handler, LaterHandler> handler,
             RouteLimits limits);

    struct Segment {
        enum class Kind { literal, one, rest } kind;
        std::string text;
        friend bool operator==(const Segment&, const Segment&) = default;
    };
    struct Route {
        std::string method;
        std::vector<Segment> segments;
        std::variant<Handler, LaterHandler> handler;
        RouteLimits limits;
    };
    std::vector<std::unique_ptr<Route>> routes_;
};

}  // namespace kokuin::net
