#include "base/net/head.h"

#include <strings.h>

#include <algorithm>
#include <charconv>

namespace kokuin::net {

namespace {

constexpr std::size_t max_fields = 100;
constexpr std::size_t max_target = 2048;

bool same(std::string_view a, std::string_view b) {
    return a.size() == b.size() && strncasecmp(a.data(), b.data(), a.size()) == 0;
}

std::string_view trimmed(std::string_view text) {
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
    while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
    return text;
}

// One line up to CRLF; false on a bare CR, a bare LF or none.
bool take_line(std::string_view& rest, std::string_view& line) {
    const auto end = rest.find('\n');
    if (end == std::string_view::npos || end == 0 || rest[end - 1] != '\r') return false;
    line = rest.substr(0, end - 1);
    rest.remove_prefix(end + 1);
    return line.find('\r') == std::string_view::npos;
}

HeadFault bad(std::string text) {
    return {400, std::move(text)};
}

Result<Fields, HeadFault> parse_fields(std::string_view rest) {
    Fields fields;
    std::string_view line;
    for (;;) {
        if (!take_line(rest, line)) return bad("Header lines end in CR LF.");
        if (line.empty()) break;
        if (fields.size() == max_fields) return HeadFault{431, "Too many header fields."};
        const auto colon = line.find(':');
        if (colon == std::string_view::npos || !is_token(line.substr(0, colon)))
            return bad("A header field is malformed.");
        const auto value = trimmed(line.substr(colon + 1));
        if (!is_field_value(value)) return bad("A header field has a control character in it.");
        fields.emplace_back(line.substr(0, colon), value);
    }
    if (!rest.empty()) return bad("There is more than a head.");
    return fields;
}

// What both kinds of message have in their fields.
struct Common {
    Framing framing;
    std::string content_type;
    bool close = false;
    bool keep = false;
    bool encoded = false;
    unsigned hosts = 0;
};

Result<Common, HeadFault> read_common(const Fields& fields) {
    Common out;
    bool coded = false;
    bool typed = false;
    for (const auto& [name, value] : fields) {
        if (same(name, "Content-Length")) {
            std::uint64_t length = 0;
            const auto [end, fault] = std::from_chars(value.data(), value.data() + value.size(), length);
            if (value.empty() || value.front() == '-' || fault != std::errc() ||
                end != value.data() + value.size())
                return bad("Content-Length is malformed.");
            if (out.framing.length) return bad("Content-Length stands twice.");
            out.framing.length = length;
        } else if (same(name, "Transfer-Encoding")) {
            if (coded) return bad("Transfer-Encoding stands twice.");
            if (!same(value, "chunked")) return HeadFault{501, "Only chunked transfer coding is known."};
            coded = true;
        } else if (same(name, "Content-Encoding")) {
            if (!same(value, "identity") && !value.empty()) out.encoded = true;
        } else if (same(name, "Content-Type")) {
            if (typed) return bad("Content-Type stands twice.");
            typed = true;
            out.content_type = media_type(value);
        } else if (same(name, "Host")) {
            ++out.hosts;
        } else if (same(name, "Connection")) {
            std::string_view list = value;
            while (!list.empty()) {
                const auto comma = list.find(',');
                const auto option = trimmed(list.substr(0, comma));
                if (same(option, "close")) out.close = true;
                if (same(option, "keep-alive")) out.keep = true;
                if (comma == std::string_view::npos) break;
                list.remove_prefix(comma + 1);
            }
        }
    }
    if (coded && out.framing.length) return bad("Content-Length and Transfer-Encoding exclude each other.");
    out.framing.chunked = coded;
    return out;
}

int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

// The decoded path of a target in origin or absolute form; nothing if it is neither or not acceptable.
std::optional<std::string> decode_path(std::string_view target) {
    if (target == "*") return "*";
    for (const std::string_view scheme : {"http://", "https://"}) {
        if (target.size() < scheme.size() || !same(target.substr(0, scheme.size()), scheme)) continue;
        target.remove_prefix(scheme.size());
        const auto slash = target.find_first_of("/?");
        if (slash == 0) return std::nullopt;
        target = slash == std::string_view::npos || target[slash] == '?' ? "/" : target.substr(slash);
        break;
    }
    target = target.substr(0, target.find('?'));
    if (!target.starts_with('/')) return std::nullopt;
    std::string path;
    for (std::size_t i = 0; i < target.size(); ++i) {
        if (target[i] == '#') return std::nullopt;
        if (target[i] != '%') {
            path += target[i];
            continue;
        }
        if (i + 2 >= target.size()) return std::nullopt;
        const int high = hex_digit(target[i + 1]);
        const int low = hex_digit(target[i + 2]);
        if (high < 0 || low < 0) return std::nullopt;
        const int octet = high * 16 + low;
        if (octet < 0x20 || octet == 0x7f || octet == '/') return std::nullopt;
        path += static_cast<char>(octet);
        i += 2;
    }
    for (std::size_t begin = 1; begin <= path.size();) {
        const auto end = std::min(path.find('/', begin), path.size());
        const auto segment = std::string_view(path).substr(begin, end - begin);
        if (segment == "." || segment == "..") return std::nullopt;
        begin = end + 1;
    }
    return path;
}

}  // namespace

bool is_token(std::string_view text) {
    return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               (c != '\0' && std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos);
    });
}

bool is_field_value(std::string_view text) {
    return std::all_of(text.begin(), text.end(), [](char c) {
        const auto octet = static_cast<unsigned char>(c);
        return (octet >= 0x20 && octet != 0x7f) || octet == '\t';
    });
}

std::string media_type(std::string_view content_type) {
    std::string out(trimmed(content_type.substr(0, content_type.find(';'))));
    for (auto& c : out) {
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    }
    return out;
}

std::optional<std::size_t> find_head_end(std::string_view received) {
    // An empty line with a bare LF ends it too, so that such a head is refused at once and not waited for.
    for (auto at = received.find('\n'); at != std::string_view::npos; at = received.find('\n', at + 1)) {
        if (received.substr(at + 1).starts_with("\r\n")) return at + 3;
        if (received.substr(at + 1).starts_with("\n")) return at + 2;
    }
    return std::nullopt;
}

Result<RequestHead, HeadFault> parse_request_head(std::string_view head) {
    std::string_view line;
    if (!take_line(head, line)) return bad("Header lines end in CR LF.");
    const auto first = line.find(' ');
    const auto second = first == std::string_view::npos ? first : line.find(' ', first + 1);
    if (second == std::string_view::npos) return bad("The request line is malformed.");
    const auto method = line.substr(0, first);
    const auto target = line.substr(first + 1, second - first - 1);
    const auto version = line.substr(second + 1);
    if (!is_token(method) || method.size() > 32) return bad("The method is malformed.");
    if (version.size() != 8 || !version.starts_with("HTTP/") || version[6] != '.')
        return bad("The request line is malformed.");
    if (version != "HTTP/1.1" && version != "HTTP/1.0")
        return HeadFault{505, "HTTP/1.1 and HTTP/1.0 are spoken here."};
    if (target.size() > max_target) return HeadFault{414, "The request target is too long."};
    if (!std::all_of(target.begin(), target.end(), [](char c) { return c > ' ' && c < 0x7f; }))
        return bad("The request target is malformed.");

    RequestHead out;
    out.method = method;
    out.target = target;
    out.http10 = version == "HTTP/1.0";
    auto path = decode_path(target);
    if (!path) return bad("The request target is malformed.");
    out.path = std::move(*path);

    auto fields = parse_fields(head);
    if (!fields) return std::move(fields).error();
    out.fields = std::move(*fields);
    auto common = read_common(out.fields);
    if (!common) return std::move(common).error();
    // RFC 9112 3.2
    if (common->hosts > 1 || (common->hosts == 0 && !out.http10)) return bad("There must be one Host field.");
    out.framing = common->framing;
    out.content_type = std::move(common->content_type);
    out.keep_alive = !common->close && (!out.http10 || common->keep);
    if (out.framing.chunked && out.http10) return bad("HTTP/1.0 knows no transfer coding.");
    const bool body = out.framing.chunked || out.framing.length.value_or(0) > 0;
    if (body && (method == "GET" || method == "HEAD")) return bad("A GET has no body.");
    if (body && common->encoded) return HeadFault{415, "Encoded content is not accepted."};
    for (const auto& [name, value] : out.fields) {
        if (!same(name, "Expect") || out.http10) continue;
        if (!same(value, "100-continue")) return HeadFault{417, "Only 100-continue can be expected."};
        out.expect_continue = body;
    }
    return out;
}

Result<ResponseHead, HeadFault> parse_response_head(std::string_view head) {
    std::string_view line;
    if (!take_line(head, line)) return bad("header lines don't end in CR LF");
    // HTTP/1.1 200 OK; the phrase and its blank may be missing
    if (line.size() < 12 || !line.starts_with("HTTP/1.") || (line[7] != '0' && line[7] != '1') ||
        line[8] != ' ' || (line.size() > 12 && line[12] != ' '))
        return bad("the status line is no HTTP/1.1");
    ResponseHead out;
    const auto [end, fault] = std::from_chars(line.data() + 9, line.data() + 12, out.status);
    if (fault != std::errc() || end != line.data() + 12 || out.status < 100 || out.status > 599)
        return bad("the status is malformed");
    auto fields = parse_fields(head);
    if (!fields) return std::move(fields).error();
    out.fields = std::move(*fields);
    auto common = read_common(out.fields);
    if (!common) return std::move(common).error();
    if (common->encoded) return bad("the body is compressed though that wasn't asked for");
    out.framing = common->framing;
    out.content_type = std::move(common->content_type);
    out.keep_alive = !common->close && (line[7] == '1' || common->keep);
    return out;
}

}  // namespace kokuin::net
