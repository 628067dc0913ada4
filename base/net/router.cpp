#include "base/net/router.h"

#include <algorithm>
#include <atomic>
#include <stdexcept>

namespace kokuin::net {

namespace {

// "/a/b" -> "a", "b"; "/" -> "".
std::vector<std::string_view> split(std::string_view path) {
    std::vector<std::string_view> out;
    path.remove_prefix(1);
    for (;;) {
        const auto slash = path.find('/');
        out.push_back(path.substr(0, slash));
        if (slash == std::string_view::npos) return out;
        path.remove_prefix(slash + 1);
    }
}

}  // namespace

struct Reply::Once {
    explicit Once(Give to) : give(std::move(to)) {}
    ~Once() {
        try {
            answer(Response::text(500, "Internal error."));
        } catch (...) {  // no memory for an answer: the server closes the connection with `give`
        }
    }
    Once(const Once&) = delete;
    Once& operator=(const Once&) = delete;
    void answer(Response response) {
        if (!given.exchange(true)) give(std::move(response));
    }
    Give give;
    std::atomic<bool> given{false};
};

Reply::Reply(Give give) : once_(std::make_shared<Once>(std::move(give))) {}
void Reply::operator()(Response response) const {
    once_->answer(std::move(response));
}

void Router::add(std::string method, const std::string& pattern, Handler handler, RouteLimits limits) {
    put(std::move(method), pattern, std::move(handler), std::move(limits));
}
void Router::add_later(std::string method, const std::string& pattern, LaterHandler handler,
                       RouteLimits limits) {
    put(std::move(method), pattern, std::move(handler), std::move(limits));
}

void Router::put(std::string method, const std::string& pattern, std::variant<Handler, LaterHandler> handler,
                 RouteLimits limits) {
    constexpr std::string_view methods[] = {"GET", "POST", "PUT", "PATCH", "DELETE"};
    if (std::find(std::begin(methods), std::end(methods), method) == std::end(methods))
        throw std::logic_error("a route can't have the method " + method);
    if (!pattern.starts_with('/')) throw std::logic_error("a route's pattern begins with '/': " + pattern);
    auto route = std::make_unique<Route>();
    for (const auto segment : split(pattern)) {
        if (!route->segments.empty() && route->segments.back().kind == Segment::Kind::rest)
            throw std::logic_error("{…...} must be last: " + pattern);
        if (!segment.starts_with('{')) {
            route->segments.push_back({Segment::Kind::literal, std::string(segment)});
            continue;
        }
        if (!segment.ends_with('}')) throw std::logic_error("unclosed brace: " + pattern);
        auto name = segment.substr(1, segment.size() - 2);
        const bool rest = name.ends_with("...");
        if (rest) name.remove_suffix(3);
        if (name.empty()) throw std::logic_error("a name is missing: " + pattern);
        route->segments.push_back({rest ? Segment::Kind::rest : Segment::Kind::one, std::string(name)});
    }
    for (const auto& other : routes_) {
        if (other->method == method && other->segments == route->segments)
            throw std::logic_error("two routes for " + method + ' ' + pattern);
    }
    route->method = std::move(method);
    route->handler = std::move(handler);
    route->limits = std::move(limits);
    routes_.push_back(std::move(route));
}

Router::Match Router::match(std::string_view method, std::string_view path,
                            std::string_view content_type) const {
    Match out;
    if (!path.starts_with('/')) {
        out.refusal = Response::text(404, "There is nothing here.");
        return out;
    }
    const auto parts = split(path);
    if (method == "HEAD") method = "GET";

    // More literal is better: the kinds of two patterns that fit are compared segment by segment.
    const auto fits = [&](const Route& route) {
        for (std::size_t i = 0; i < route.segments.size(); ++i) {
            if (i >= parts.size()) return false;
            const auto& segment = route.segments[i];
            if (segment.kind == Segment::Kind::rest) return true;
            if (segment.kind == Segment::Kind::literal ? segment.text != parts[i] : parts[i].empty())
                return false;
        }
        return route.segments.size() == parts.size();
    };
    const auto better = [](const Route& a, const Route& b) {
        return std::lexicographical_compare(
            a.segments.begin(), a.segments.end(), b.segments.begin(), b.segments.end(),
            [](const Segment& x, const Segment& y) { return x.kind < y.kind; });
    };
    const Route* best = nullptr;
    std::vector<std::string> allowed;
    for (const auto& route : routes_) {
        if (!fits(*route)) continue;
        if (route->method == method) {
            if (!best || better(*route, *best)) best = route.get();
        } else if (std::find(allowed.begin(), allowed.end(), route->method) == allowed.end()) {
            allowed.push_back(route->method);
            if (route->method == "GET") allowed.emplace_back("HEAD");
        }
    }
    if (!best) {
        if (allowed.empty()) {
            out.refusal = Response::text(404, "There is nothing here.");
            return out;
        }
        std::string list;
        for (const auto& name : allowed) list += (list.empty() ? "" : ", ") + name;
        out.refusal = Response::text(405, "This method can't be used here.");
        out.refusal->fields.emplace_back("Allow", list);
        return out;
    }
    const auto& types = best->limits.content_types;
    if (!types.empty() && std::find(types.begin(), types.end(), content_type) == types.end()) {
        std::string list;
        for (const auto& type : types) list += (list.empty() ? "" : ", ") + type;
        out.refusal = Response::text(415, "The Content-Type must be " + list + ".");
        out.refusal->fields.emplace_back(method == "PATCH" ? "Accept-Patch" : "Accept-Post", list);
        return out;
    }
    out.handler = &best->handler;
    out.limits = &best->limits;
    for (std::size_t i = 0; i < best->segments.size(); ++i) {
        const auto& segment = best->segments[i];
        if (segment.kind == Segment::Kind::literal) continue;
        if (segment.kind == Segment::Kind::one) {
            out.parameters.emplace_back(segment.text, std::string(parts[i]));
        } else {
            const auto begin = static_cast<std::size_t>(parts[i].data() - path.data());
            out.parameters.emplace_back(segment.text, std::string(path.substr(begin)));
        }
    }
    return out;
}

}  // namespace kokuin::net
