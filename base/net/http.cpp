#include "base/net/http.h"

#include <arpa/inet.h>
#include <strings.h>

#include <algorithm>
#include <charconv>

namespace kokuin::net {

std::optional<std::string_view> find_field(const Fields& fields, std::string_view name) {
    for (const auto& [key, value] : fields) {
        if (key.size() == name.size() && strncasecmp(key.data(), name.data(), name.size()) == 0) return value;
    }
    return std::nullopt;
}

std::string Peer::text() const {
    if (process) return "unix uid " + std::to_string(process->uid) + " pid " + std::to_string(process->pid);
    const bool six = address.find(':') != std::string::npos;
    return (six ? '[' + address + ']' : address) + ':' + std::to_string(port);
}

std::string_view Request::parameter(std::string_view name) const {
    for (const auto& [key, value] : parameters) {
        if (key == name) return value;
    }
    return {};
}

std::optional<std::string_view> Request::field(std::string_view name) const {
    return find_field(fields, name);
}
std::optional<std::string_view> Response::field(std::string_view name) const {
    return find_field(fields, name);
}

Response Response::octets(int status, std::string content_type, Bytes body) {
    Response out;
    out.status = status;
    out.content_type = std::move(content_type);
    out.body = std::move(body);
    return out;
}

Response Response::json(int status, std::string_view text) {
    return octets(status, "application/json", Bytes(text.begin(), text.end()));
}

Response Response::text(int status, std::string_view text) {
    Bytes body(text.begin(), text.end());
    if (body.empty() || body.back() != '\n') body.push_back('\n');
    return octets(status, "text/plain; charset=utf-8", std::move(body));
}

std::string_view reason_phrase(int status) {
    switch (status) {
        case 100:
            return "Continue";
        case 200:
            return "OK";
        case 201:
            return "Created";
        case 202:
            return "Accepted";
        case 204:
            return "No Content";
        case 301:
            return "Moved Permanently";
        case 302:
            return "Found";
        case 304:
            return "Not Modified";
        case 400:
            return "Bad Request";
        case 401:
            return "Unauthorized";
        case 403:
            return "Forbidden";
        case 404:
            return "Not Found";
        case 405:
            return "Method Not Allowed";
        case 406:
            return "Not Acceptable";
        case 408:
            return "Request Timeout";
        case 409:
            return "Conflict";
        case 411:
            return "Length Required";
        case 413:
            return "Payload Too Large";
        case 414:
            return "URI Too Long";
        case 415:
            return "Unsupported Media Type";
        case 417:
            return "Expectation Failed";
        case 422:
            return "Unprocessable Content";
        case 429:
            return "Too Many Requests";
        case 431:
            return "Request Header Fields Too Large";
        case 500:
            return "Internal Server Error";
        case 501:
            return "Not Implemented";
        case 502:
            return "Bad Gateway";
        case 503:
            return "Service Unavailable";
        case 504:
            return "Gateway Timeout";
        case 505:
            return "HTTP Version Not Supported";
        default:
            return "Unknown";
    }
}

bool is_loopback(const std::string& host) {
    if (host == "::1" || host == "localhost") return true;
    in_addr address{};
    return inet_pton(AF_INET, host.c_str(), &address) == 1 && (ntohl(address.s_addr) >> 24U) == 127;
}

Result<Url> parse_url(std::string_view text) {
    const auto bad = [] {
        return Error::usage("not a URL; allowed: https://HOST[:PORT][/PATH] or http://HOST[:PORT][/PATH]");
    };
    Url out;
    if (text.starts_with("https://")) {
        out.https = true;
        text.remove_prefix(8);
    } else if (text.starts_with("http://")) {
        text.remove_prefix(7);
    } else {
        return bad();
    }
    if (!std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < 0x7f && c != '#'; }))
        return bad();
    const auto end = text.find_first_of("/?");
    auto authority = text.substr(0, end);
    out.path = end == std::string_view::npos ? "/" : std::string(text.substr(end));
    if (out.path.front() == '?') out.path.insert(0, "/");
    if (authority.find('@') != std::string_view::npos) return bad();

    std::string_view port;
    if (authority.starts_with('[')) {
        const auto close = authority.find(']');
        if (close == std::string_view::npos) return bad();
        out.host = authority.substr(1, close - 1);
        authority.remove_prefix(close + 1);
        if (!authority.empty() && authority.front() != ':') return bad();
        if (!authority.empty()) port = authority.substr(1);
        if (!authority.empty() && port.empty()) return bad();
    } else {
        const auto colon = authority.find(':');
        out.host = authority.substr(0, colon);
        if (colon != std::string_view::npos) {
            port = authority.substr(colon + 1);
            if (port.empty()) return bad();
        }
    }
    if (out.host.empty()) return bad();
    out.port = out.https ? 443 : 80;
    if (!port.empty()) {
        const auto [rest, fault] = std::from_chars(port.data(), port.data() + port.size(), out.port);
        if (fault != std::errc() || rest != port.data() + port.size() || out.port == 0) return bad();
    }
    return out;
}

}  // namespace kokuin::net
