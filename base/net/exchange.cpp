#include "base/net/exchange.h"

#include <httplib.h>
#include <spdlog/spdlog.h>

#include <algorithm>
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
         {"Connection", "Content-Length", "Content-Type", "Transfer-Encoding"}) {
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

// ------------------------------------------------------------------------------------------------ server
// side

class ServerExchange::Impl : private httplib::Server {
  public:
    Impl() {
        const auto with_body = [this](const httplib::Request&, httplib::Response& response,
                                      const httplib::ContentReader& reader) { read_body(response, reader); };
        const auto without_body = [this](const httplib::Request&, httplib::Response& response) {
            handle(response);
        };
        Get("/", without_body);  // HEAD, too
        Post("/", with_body);
        Put("/", with_body);
        Patch("/", with_body);
        Delete("/", with_body);
        set_post_routing_handler(
            [this](const httplib::Request&, httplib::Response& response) { finish(response); });
        // What is thrown here was thrown by httplib: handlers are caught in handle().
        set_exception_handler([](const httplib::Request&, httplib::Response& response, std::exception_ptr) {
            response.status = 500;
            response.headers.clear();
            response.body.clear();
        });
    }

    Outcome run(Channel& channel, const RequestHead& head, net::Request& request, const net::Handler& handler,
                const Limits& limits) {
        outcome_ = {};
        head_ = &head;
        request_ = &request;
        handler_ = &handler;
        limits_ = &limits;
        body_read_ = !head.framing.chunked && head.framing.length.value_or(0) == 0;
        ChannelStream stream(channel, canonical(head), limits.request_deadline,
                             octets_on_the_wire(limits.max_body));
        stream_ = &stream;
        bool closed = false;
        // Its result only says whether its writes succeeded; ours are gathered and can't fail yet.
        static_cast<void>(process_request(stream, false, closed, nullptr));
        if (!stream.flush(deadline_in(limits.response_deadline))) {
            outcome_.keep = false;
            outcome_.unread = false;  // nobody takes answers there
            if (stream.io() == Io::timeout) outcome_.timed_out = true;
        }
        return outcome_;
    }

  private:
    // All that httplib needs to know to frame the exchange.
    static std::string canonical(const RequestHead& head) {
        std::string out = head.method + " / HTTP/1.1\r\n";
        if (head.expect_continue) out += "Expect: 100-continue\r\n";
        return out + framing_fields(head.framing) + "\r\n";
    }

    void read_body(httplib::Response& response, const httplib::ContentReader& reader) {
        if (!body_read_) {
            bool too_large = false;
            const bool whole = reader([&](const char* octets, size_t size) {
                if (request_->body.size() + size > limits_->max_body) {
                    too_large = true;
                    return false;
                }
                append(request_->body, as_view({octets, size}));
                return true;
            });
            body_read_ = whole && !stream_->exhausted();
            outcome_.unread = !body_read_;
            if (too_large || stream_->exhausted()) return refuse(response, 413, "The body is too large.");
            if (stream_->io() == Io::timeout) {
                outcome_.timed_out = true;
                return refuse(response, 408, "The request took too long.");
            }
            if (!whole) return refuse(response, 400, "The body is malformed.");
        }
        handle(response);
    }

    static void refuse(httplib::Response& response, int status, const char* text) {
        response.status = status;
        response.set_content(std::string(text) + '\n', "text/plain; charset=utf-8");
    }

    void handle(httplib::Response& response) {
        if (limits_->complete) limits_->complete();
        outcome_.answered = true;
        try {
            const net::Response made = (*handler_)(*request_);
            if (made.status < 200 || made.status > 599)
                throw std::logic_error("a handler answered with status " + std::to_string(made.status));
            response.status = made.status;
            for (const auto& [name, value] : made.fields) {
                if (is_token(name) && is_field_value(value) && !reserved(name))
                    response.headers.emplace(name, value);
            }
            if (!made.body.empty())
                response.set_content(
                    reinterpret_cast<const char*>(made.body.data()), made.body.size(),
                    made.content_type.empty() ? "application/octet-stream" : made.content_type);
            else if (!made.content_type.empty())
                response.set_header("Content-Type", made.content_type);
        } catch (const std::exception& fault) {
            failed(response, fault.what());
        } catch (...) {
            failed(response, "an exception of unknown kind");
        }
    }

    void failed(httplib::Response& response, const char* what) {
        if (limits_->threw) limits_->threw();
        spdlog::error("net: a handler failed: method={} path={} peer={} error={}", request_->method,
                      request_->path, request_->peer.text(), what);
        response.headers.clear();
        refuse(response, 500, "Internal error.");
    }

    // Just before the response is written: the connection's fate is ours to tell.
    void finish(httplib::Response& response) {
        for (const auto* name : {"Connection", "Keep-Alive", "Accept-Ranges"}) response.headers.erase(name);
        // httplib is content with some malformed chunked bodies, after which nobody knows where the next
        // request starts.
        outcome_.keep = body_read_ && !head_->framing.chunked && head_->keep_alive && !outcome_.timed_out &&
                        (!limits_->may_keep || limits_->may_keep());
        if (!outcome_.keep)
            response.headers.emplace("Connection", "close");
        else if (head_->http10)
            response.headers.emplace("Connection", "keep-alive");
    }

    // Of the exchange that runs; a ServerExchange belongs to one thread.
    Outcome outcome_;
    const RequestHead* head_ = nullptr;
    net::Request* request_ = nullptr;
    const net::Handler* handler_ = nullptr;
    const Limits* limits_ = nullptr;
    ChannelStream* stream_ = nullptr;
    bool body_read_ = false;
};

ServerExchange::ServerExchange() : impl_(std::make_unique<Impl>()) {}
ServerExchange::~ServerExchange() = default;
ServerExchange::Outcome ServerExchange::run(Channel& channel, const RequestHead& head, Request& request,
                                            const Handler& handler, const Limits& limits) {
    return impl_->run(channel, head, request, handler, limits);
}

std::string plain_answer(const Response& response, bool keep, bool http10, bool without_body) {
    std::string out = "HTTP/1.1 " + std::to_string(response.status) + ' ';
    out += reason_phrase(response.status);
    out += "\r\nContent-Type: " + response.content_type +
           "\r\nContent-Length: " + std::to_string(response.body.size()) + "\r\n";
    for (const auto& [name, value] : response.fields) out += name + ": " + value + "\r\n";
    if (!keep) out += "Connection: close\r\n";
    if (keep && http10) out += "Connection: keep-alive\r\n";
    out += "\r\n";
    if (!without_body) out += as_text(response.body);
    return out;
}

// ------------------------------------------------------------------------------------------------ client
// side

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
