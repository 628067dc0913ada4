#include "base/net/exchange.h"

#include <httplib.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cstdio>
#include <cstring>

namespace kokuin::net {

namespace {

// What httplib reads from and writes to: first a head of ours, then the channel.
class ChannelStream : public httplib::Stream {
  public:
    ChannelStream(Channel& channel, std::string head, Deadline read_deadline, std::size_t budget)
        : channel_(channel), head_(std::move(head)), read_deadline_(read_deadline), budget_(budget) {}

    [[nodiscard]] bool is_readable() const override { return true; }
    [[nodiscard]] bool is_writable() const override { return true; }
    ssize_t read(char* to, size_t size) override {
        if (taken_ < head_.size()) {
            const auto n = std::min(size, head_.size() - taken_);
            std::memcpy(to, head_.data() + taken_, n);
            taken_ += n;
            return static_cast<ssize_t>(n);
        }
        if (io_ != Io::ok) return io_ == Io::closed ? 0 : -1;
        if (!flush(read_deadline_)) return -1;  // 100 Continue
        if (budget_ == 0) {
            exhausted_ = true;
            return -1;
        }
        std::size_t got = 0;
        io_ = channel_.read(to, std::min(size, budget_), got, read_deadline_);
        if (io_ != Io::ok) return io_ == Io::closed ? 0 : -1;
        budget_ -= got;
        return static_cast<ssize_t>(got);
    }
    // Gathered: the head and the body of a response go out in one piece (and in one TLS record).
    ssize_t write(const char* octets, size_t size) override {
        out_.append(octets, size);
        return static_cast<ssize_t>(size);
    }
    bool flush(Deadline deadline) {
        if (out_.empty()) return true;
        const auto io = channel_.write(out_, deadline);
        out_.clear();
        if (io != Io::ok) io_ = io;
        return io == Io::ok;
    }
    void get_remote_ip_and_port(std::string& /*ip*/, int& /*port*/) const override {}
    void get_local_ip_and_port(std::string& /*ip*/, int& /*port*/) const override {}
    // Asked only to compare it with FD_SETSIZE: we don't select().
    [[nodiscard]] socket_t socket() const override { return 0; }

    [[nodiscard]] Io io() const { return io_; }
    [[nodiscard]] bool exhausted() const { return exhausted_; }

  protected:
    void set_head(std::string head) { head_ = std::move(head); }
    void fail(Io io) { io_ = io; }
    void set_budget(std::size_t budget) { budget_ = budget; }
    [[nodiscard]] bool head_taken() const { return !head_.empty(); }
    Channel& channel_;

  private:
    std::string head_;
    std::size_t taken_ = 0;
    Deadline read_deadline_;
    std::size_t budget_;
    std::string out_;
    Io io_ = Io::ok;
    bool exhausted_ = false;
};

bool reserved(std::string_view name) {
    for (const std::string_view ours :
         {"Connection", "Content-Length", "Content-Type", "Date", "Transfer-Encoding"}) {
        if (find_field({{std::string(name), ""}}, ours)) return true;
    }
    return false;
}

std::string framing_fields(const Framing& framing) {
    if (framing.chunked) return "Transfer-Encoding: chunked\r\n";
    return "Content-Length: " + std::to_string(framing.length.value_or(0)) + "\r\n";
}

// One octet a chunk costs six; more than that is nonsense.
std::size_t octets_on_the_wire(std::size_t body) {
    return body * 8 + 4096;
}

}  // namespace

// ------------------------------------------------------------------------------------------ server side

namespace {

BodyOutcome too_large() {
    return {Response::text(413, "The body is too large."), false};
}
BodyOutcome too_slow() {
    return {Response::text(408, "The request took too long."), true};
}
BodyOutcome malformed() {
    return {Response::text(400, "The body is malformed."), false};
}

// httplib's server, of which one route reads a chunked body.
class ChunkedReader : private httplib::Server {
  public:
    ChunkedReader(Request& request, std::size_t max_body) : request_(request), max_body_(max_body) {
        const auto read = [this](const httplib::Request&, httplib::Response&,
                                 const httplib::ContentReader& reader) {
            whole_ = reader([&](const char* octets, size_t size) {
                if (request_.body.size() + size > max_body_) {
                    too_large_ = true;
                    return false;
                }
                append(request_.body, as_view({octets, size}));
                return true;
            });
        };
        Post("/", read);
    }

    BodyOutcome run(Channel& channel, const RequestHead& head, Deadline deadline) {
        ChannelStream stream(channel, "POST / HTTP/1.1\r\n" + framing_fields(head.framing) + "\r\n", deadline,
                             octets_on_the_wire(max_body_));
        bool closed = false;
        // The answer it writes stays in the stream and goes with it.
        static_cast<void>(process_request(stream, false, closed, nullptr));
        if (too_large_ || stream.exhausted()) return too_large();
        if (stream.io() == Io::timeout) return too_slow();
        if (!whole_) return malformed();
        return {};
    }

  private:
    Request& request_;
    std::size_t max_body_;
    bool whole_ = false;
    bool too_large_ = false;
};

}  // namespace

BodyOutcome read_body(Channel& channel, const RequestHead& head, Request& request, std::size_t max_body,
                      Deadline deadline) {
    const std::uint64_t length = head.framing.length.value_or(0);
    if (!head.framing.chunked && length == 0) return {};
    if (length > max_body) return too_large();
    if (head.expect_continue && channel.write("HTTP/1.1 100 Continue\r\n\r\n", deadline) == Io::timeout)
        return too_slow();
    if (head.framing.chunked) return ChunkedReader(request, max_body).run(channel, head, deadline);
    request.body.resize(length);
    for (std::size_t have = 0; have < length;) {
        std::size_t got = 0;
        const auto io =
            channel.read(reinterpret_cast<char*>(request.body.data()) + have, length - have, got, deadline);
        if (io == Io::timeout) return too_slow();
        if (io != Io::ok) return malformed();
        have += got;
    }
    return {};
}

std::string http_date(WallTime time) {
    constexpr const char* days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    constexpr const char* months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                      "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    const std::chrono::sys_seconds second{std::chrono::floor<std::chrono::seconds>(time.time_since_epoch())};
    const auto midnight = std::chrono::floor<std::chrono::days>(second);
    const std::chrono::year_month_day date{midnight};
    const std::chrono::hh_mm_ss clock{second - midnight};
    char text[64] = "";
    const int size =
        std::snprintf(text, sizeof text, "%s, %02u %s %04d %02d:%02d:%02d GMT",
                      days[std::chrono::weekday{midnight}.c_encoding()], static_cast<unsigned>(date.day()),
                      months[static_cast<unsigned>(date.month()) - 1], static_cast<int>(date.year()),
                      static_cast<int>(clock.hours().count()), static_cast<int>(clock.minutes().count()),
                      static_cast<int>(clock.seconds().count()));
    return {text, static_cast<std::size_t>(std::max(size, 0))};
}

std::string DateField::value() {
    const auto second = std::chrono::floor<std::chrono::seconds>(clock_.now());
    const std::lock_guard<std::mutex> lock(mutex_);
    if (second != made_for_) {
        value_ = http_date(second);
        made_for_ = second;
    }
    return value_;
}

std::string text_of(const Response& response, const AnswerShape& shape, std::string_view date) {
    std::string out = "HTTP/1.1 " + std::to_string(response.status) + ' ';
    out += reason_phrase(response.status);
    out += "\r\n";
    if (!date.empty()) out.append("Date: ").append(date).append("\r\n");
    // RFC 9110 8.6: a 204 has no length.
    const bool no_content = response.status == 204 || response.status == 304;
    if (!response.content_type.empty() && is_field_value(response.content_type))
        out += "Content-Type: " + response.content_type + "\r\n";
    else if (!response.body.empty())
        out += "Content-Type: application/octet-stream\r\n";
    if (!no_content) out += "Content-Length: " + std::to_string(response.body.size()) + "\r\n";
    for (const auto& [name, value] : response.fields) {
        if (is_token(name) && is_field_value(value) && !reserved(name))
            out.append(name).append(": ").append(value).append("\r\n");
    }
    if (!shape.keep) out += "Connection: close\r\n";
    if (shape.keep && shape.http10) out += "Connection: keep-alive\r\n";
    out += "\r\n";
    if (!shape.without_body && !no_content) out += as_text(response.body);
    return out;
}

// ------------------------------------------------------------------------------------------ client side

namespace {

// Reads and checks the head of the answer when httplib asks for its first octet, and gives it one of ours.
class AnswerStream final : public ChannelStream {
  public:
    AnswerStream(Channel& channel, const Call& call, std::size_t max_response, Deadline deadline)
        : ChannelStream(channel, "", deadline, 0),
          call_(call),
          max_response_(max_response),
          deadline_(deadline) {}

    ssize_t read(char* to, size_t size) override {
        if (!head_taken() && !take_head()) return -1;
        return ChannelStream::read(to, size);
    }
    [[nodiscard]] const ResponseHead& head() const { return head_; }
    [[nodiscard]] const std::string& fault() const { return fault_; }

  private:
    bool take_head() {
        // A server may answer before it has read everything (413) and close: then writing fails, but reading
        // may not.
        const bool written = flush(deadline_);
        const Io write_io = io();
        fail(Io::ok);
        for (;;) {
            const auto end = find_head_end(channel_.received());
            if (!end) {
                if (channel_.received().size() > max_response_) return wrong("its head is too long");
                const auto io = channel_.receive(deadline_);
                if (io == Io::ok) continue;
                fail(written ? io : write_io);
                return false;
            }
            auto head = parse_response_head(channel_.received().substr(0, *end));
            if (!head) return wrong(head.error().text);
            channel_.take(*end);
            if (head->status < 200) continue;  // 100 Continue
            head_ = std::move(*head);
            break;
        }
        const bool without_body = call_.method == "HEAD" || head_.status == 204 || head_.status == 304;
        if (!without_body && head_.framing.length.value_or(0) > max_response_)
            return wrong("it is larger than " + std::to_string(max_response_) + " octets");
        std::string canonical = "HTTP/1.1 " + std::to_string(head_.status) + " X\r\n";
        if (without_body)
            canonical += "Content-Length: 0\r\n";
        else if (head_.framing.chunked || head_.framing.length)
            canonical += framing_fields(head_.framing);
        set_head(canonical + "\r\n");
        set_budget(octets_on_the_wire(max_response_));
        return true;
    }
    bool wrong(std::string text) {
        fault_ = std::move(text);
        fail(Io::failed);
        return false;
    }

    const Call& call_;
    std::size_t max_response_;
    Deadline deadline_;
    ResponseHead head_;
    std::string fault_;
};

class ClientImpl final : public httplib::ClientImpl {
  public:
    explicit ClientImpl(const std::string& host) : httplib::ClientImpl(host, 0) {
        set_url_encode(false);
        set_decompress(false);
    }
    bool run(httplib::Stream& stream, httplib::Request& request, httplib::Response& response) {
        auto error = httplib::Error::Success;
        return process_request(stream, request, response, false, error);
    }
};

}  // namespace

ClientOutcome exchange(Channel& channel, const std::string& host, const Call& call, std::size_t max_response,
                       Deadline deadline) {
    ClientOutcome out;
    httplib::Request request;
    request.method = call.method;
    request.path = call.path;
    request.body = as_text(call.body);
    request.headers.emplace("Host", host);
    request.headers.emplace("User-Agent", "kokuin");
    if (!call.content_type.empty()) request.headers.emplace("Content-Type", call.content_type);
    for (const auto& [name, value] : call.fields) {
        if (is_token(name) && is_field_value(value) && !reserved(name)) request.headers.emplace(name, value);
    }
    bool too_large = false;
    request.content_receiver = [&](const char* octets, size_t size, uint64_t /*offset*/, uint64_t /*total*/) {
        if (out.response.body.size() + size > max_response) {
            too_large = true;
            return false;
        }
        append(out.response.body, as_view({octets, size}));
        return true;
    };
    AnswerStream stream(channel, call, max_response, deadline);
    httplib::Response response;
    ClientImpl client(host);
    bool done = false;
    try {
        done = client.run(stream, request, response);
    } catch (const std::exception& fault) {
        out.fault = fault.what();
        return out;
    }
    out.fault = stream.fault();
    if (too_large || stream.exhausted())
        out.fault = "it is larger than " + std::to_string(max_response) + " octets";
    const auto& head = stream.head();
    const bool until_closed = head.status != 0 && !head.framing.chunked && !head.framing.length;
    out.io = stream.io();
    if (out.io == Io::closed && until_closed && done) out.io = Io::ok;
    if (out.io == Io::ok && out.fault.empty() && !done) out.fault = "its body is malformed";
    if (out.io != Io::ok || !out.fault.empty()) return out;
    out.response.status = head.status;
    out.response.content_type = head.content_type;
    out.response.fields = head.fields;
    out.keep = head.keep_alive && !until_closed && !head.framing.chunked && channel.received().empty();
    return out;
}

}  // namespace kokuin::net
