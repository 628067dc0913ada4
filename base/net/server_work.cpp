// Workers: receiving requests, calling handlers, writing answers.
//
// A worker is busy, or waits for work, or waits for a client. Where ServerOptions::workers_at_once limits the
// busy ones, the others are not woken for what the busy ones will come back for: requests queue up here,
// where it costs nothing, instead of as threads in front of the same bottleneck.
#include <poll.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <limits>
#include <stdexcept>
#include <system_error>

#include "base/net/server_impl.h"

namespace kokuin::net {

using namespace std::chrono_literals;

namespace {

// How long a worker stays with its connection after an answer, in case the next request comes at once; then
// the connection waits in epoll and the worker is free.
constexpr auto stay = 50ms;
// A worker without work ends after this, so that a burst of connections doesn't cost memory for ever.
constexpr auto thread_idle = 10s;
// An answer to a request that was not read whole: how much and how long is read before closing.
constexpr std::size_t drain_octets = 8U << 20U;
constexpr auto drain_time = 2s;

// A handler's response, if HTTP has such a one.
Response checked(Response made) {
    if (made.status < 200 || made.status > 599)
        throw std::logic_error("a handler answered with status " + std::to_string(made.status));
    return made;
}

Response internal_error() {
    return Response::text(500, "Internal error.");
}

}  // namespace

// ----------------------------------------------------------------------------------------- who works when

bool Server::Impl::is_overdue() const {
    return !requests_.empty() && Clock::now() - requests_.front()->queued >= options_.patience;
}

std::size_t Server::Impl::workers_at_once() const {
    return options_.workers_at_once == 0 || stopping_ ? std::numeric_limits<std::size_t>::max() - 1
                                                      : options_.workers_at_once;
}

// For a worker that is among the busy ones.
bool Server::Impl::may_take() const {
    if (!answers_.empty()) return true;
    if (requests_.empty()) return false;
    return busy_ <= workers_at_once() || is_overdue();
}

// Wakes or makes a worker if there is something for it to do; true if it did.
bool Server::Impl::give_work() {
    // As many as there is to do are on their way already.
    if (granted_ >= answers_.size() + requests_.size()) return false;
    // Answers are short work and set a client free: one worker more may see to them.
    const std::size_t most = workers_at_once() + (answers_.empty() ? 0 : 1);
    if (busy_ >= most && !is_overdue()) return false;
    if (free_ > granted_) {
        ++granted_;
        ++busy_;
        work_.notify_one();
        return true;
    }
    if (threads_.size() >= options_.max_threads) return false;
    try {
        threads_.emplace_front();
        const auto self = threads_.begin();
        *self = std::thread([this, self] { work(self); });
        ++busy_;
        return true;
    } catch (const std::system_error& fault) {
        threads_.pop_front();
        if (threads_.empty())
            spdlog::error("net: listener={} gets no thread: {}", options_.name, fault.what());
        return false;
    }
}

void Server::Impl::enqueue(Held connection) {
    connection->queued = Clock::now();
    requests_.push_back(std::move(connection));
    give_work();
}

void Server::Impl::give_answer(Held connection) {
    const std::lock_guard<std::mutex> lock(mutex_);
    answers_.push_back(std::move(connection));
    give_work();
}

void Server::Impl::begins_to_wait() {
    const std::lock_guard<std::mutex> lock(mutex_);
    --busy_;
    give_work();
}

void Server::Impl::has_waited() {
    const std::lock_guard<std::mutex> lock(mutex_);
    ++busy_;
}

// Begins busy: who made or woke it has counted it.
void Server::Impl::work(std::list<std::thread>::iterator self) {
    std::unique_lock<std::mutex> lock(mutex_);
    for (;;) {
        while (may_take()) take_one(lock);
        --busy_;
        ++free_;
        work_.wait_for(lock, thread_idle, [this] { return closing_ || granted_ > 0; });
        --free_;
        if (granted_ == 0) break;
        --granted_;
    }
    finished_.splice(finished_.begin(), threads_, self);
    gone_.notify_all();
    wake();  // the loop joins it
}

void Server::Impl::take_one(std::unique_lock<std::mutex>& lock) {
    auto& queue = answers_.empty() ? requests_ : answers_;
    auto connection = std::move(queue.front());
    queue.pop_front();
    const auto id = connection->id;
    active_[id] = connection.get();
    lock.unlock();
    Next next = Next::close;
    try {
        next = serve(connection);
    } catch (const std::exception& fault) {
        spdlog::error("net: listener={} a connection failed: {}", options_.name, fault.what());
    }
    lock.lock();
    if (next == Next::later) return;
    active_.erase(id);
    if (next == Next::idle && !stopping_) {
        park(std::move(connection));
    } else if (next == Next::idle && peek(connection->channel.fd()) == Peeked::octets) {
        enqueue(std::move(connection));
    } else {
        lock.unlock();
        if (next == Next::idle) connection->channel.finish();
        dispose(std::move(connection));
        lock.lock();
    }
}

// ------------------------------------------------------------------------------------------ one connection

// Serves a connection until it is idle, to be closed, or with a Reply.
Server::Impl::Next Server::Impl::serve(Held& connection) {
    auto& channel = connection->channel;
    bool readable = true;  // by what the loop has seen
    if (connection->answer) {
        const Response answer = std::move(*connection->answer);
        connection->answer.reset();
        if (!write_answer(*connection, answer, connection->wants_keep)) return Next::close;
        readable = false;
    } else if (context_ && !connection->secured) {
        if (!secure(*connection)) return Next::close;
        readable = false;
    }
    for (;; readable = false) {
        if (!readable && !channel.pending()) {
            // The next request may come soon: staying with the connection saves a way through the loop. Not
            // so while others wait to be served.
            {
                const std::lock_guard<std::mutex> lock(mutex_);
                if (busy_ >= workers_at_once() || !requests_.empty() || !answers_.empty()) return Next::idle;
            }
            begins_to_wait();
            const auto waited = wait_for(channel.fd(), POLLIN, deadline_in(stay), stop_event_.get());
            has_waited();
            if (waited != Waited::ready) return Next::idle;
        }
        if (const auto next = answer_one(connection); next != Next::idle) return next;
    }
}

bool Server::Impl::secure(Open& connection) {
    auto& channel = connection.channel;
    auto session = make_server_session(context_, channel.fd());
    if (!session) {
        spdlog::error("net: listener={} {}", options_.name, session.error().text);
        return false;
    }
    channel.use_tls(std::move(*session));
    connection.receiving = true;
    const auto io = channel.handshake(deadline_in(options_.handshake_deadline));
    connection.receiving = false;
    if (io != Io::ok) {
        ++counts_.handshake_failed;
        spdlog::debug("net: listener={} peer={} handshake failed: {}", options_.name, connection.peer.text(),
                      io == Io::timeout ? "too slow" : tls_reason(channel.tls(), ""));
        // The alert must arrive, though the client may have sent its request already (TLS 1.3).
        channel.finish();
        if (io == Io::failed) channel.drain(64U << 10U, deadline_in(1s));
        return false;
    }
    connection.secured = true;
    connection.peer.certificate = peer_certificate(channel.tls());
    return true;
}

Io Server::Impl::read_head(Open& connection, std::size_t& size, Deadline deadline) const {
    auto& channel = connection.channel;
    size = 0;
    for (;;) {
        // RFC 9112 2.2: empty lines in front of a request are ignored.
        while (channel.received().starts_with("\r\n")) channel.take(2);
        if (const auto end = find_head_end(channel.received())) {
            size = *end;
            return Io::ok;
        }
        if (channel.received().size() > options_.max_head) return Io::ok;
        // What can't become a request (TLS on a plain port, binary garbage) needn't be waited for.
        if (!channel.received().empty() && channel.received().front() != '\r' &&
            !is_token(channel.received().substr(0, 1)))
            return Io::failed;
        if (const auto io = channel.receive(deadline); io != Io::ok) return io;
    }
}

// Writes an answer; true if the connection can go on.
bool Server::Impl::write_answer(Open& connection, const Response& response, bool keep) {
    auto& channel = connection.channel;
    connection.shape.keep = keep && may_keep(connection);
    const auto io = channel.write(text_of(response, connection.shape, date_.value()),
                                  deadline_in(options_.response_deadline));
    if (io == Io::timeout) ++counts_.timed_out;
    if (io == Io::ok && connection.shape.keep) return true;
    channel.finish();
    return false;
}

// Answers without a handler; true if the connection can go on. `unread`: the request wasn't read to its end.
bool Server::Impl::refuse(Open& connection, const Response& response, bool keep, bool unread) {
    ++counts_.rejected;
    if (write_answer(connection, response, keep)) return true;
    if (unread) connection.channel.drain(drain_octets, deadline_in(drain_time));
    return false;
}

// Receives one request and answers it, or has it answered.
Server::Impl::Next Server::Impl::answer_one(Held& connection) {
    auto& channel = connection->channel;
    const auto deadline = deadline_in(options_.request_deadline);
    const auto refused = [&](int status, const char* text) {
        static_cast<void>(refuse(*connection, Response::text(status, text), false, true));
        return Next::close;
    };
    connection->shape = {};
    connection->receiving = true;
    std::size_t size = 0;
    const auto io = read_head(*connection, size, deadline);
    if (io == Io::timeout) {
        ++counts_.timed_out;
        return refused(408, "The request took too long.");
    }
    if (io == Io::failed && channel.pending()) return refused(400, "This is not HTTP.");
    if (io != Io::ok) return Next::close;
    if (size == 0 || size > options_.max_head) return refused(431, "The header is too large.");
    auto head = parse_request_head(channel.received().substr(0, size));
    channel.take(size);
    if (!head) return refused(head.error().status, head.error().text.c_str());
    connection->shape.http10 = head->http10;
    connection->shape.without_body = head->method == "HEAD";
    // httplib is content with some malformed chunked bodies, after which nobody knows where the next request
    // starts.
    connection->wants_keep = head->keep_alive && !head->framing.chunked;

    auto match = router_->match(head->method, head->path, head->content_type);
    std::size_t max_body = options_.max_body;
    if (match.limits && match.limits->max_body) max_body = *match.limits->max_body;
    const auto length = head->framing.length.value_or(0);
    Request request;
    if (match.refusal) {
        // A small body is read, so that the connection can stay.
        const bool readable = !head->framing.chunked && (length == 0 || !head->expect_continue);
        const bool whole = readable && !read_body(channel, *head, request, max_body, deadline).refusal;
        return refuse(*connection, *match.refusal, whole && connection->wants_keep, !whole) ? Next::idle
                                                                                            : Next::close;
    }

    request.method = head->method == "HEAD" ? "GET" : head->method;
    request.path = head->path;
    request.target = head->target;
    request.content_type = head->content_type;
    request.fields = std::move(head->fields);
    request.parameters = std::move(match.parameters);
    request.peer = connection->peer;
    const auto body = read_body(channel, *head, request, max_body, deadline);
    if (body.timed_out) ++counts_.timed_out;
    if (body.refusal) {
        static_cast<void>(refuse(*connection, *body.refusal, false, true));
        return Next::close;
    }
    connection->receiving = false;
    ++counts_.requests;
    return std::visit([&](const auto& handler) { return call(connection, handler, request); },
                      *match.handler);
}

void Server::Impl::handler_failed(const Request& request, const char* what) {
    ++counts_.failed;
    spdlog::error("net: a handler failed: method={} path={} peer={} error={}", request.method, request.path,
                  request.peer.text(), what);
}

Server::Impl::Next Server::Impl::call(Held& connection, const Handler& handler, const Request& request) {
    Response response;
    try {
        response = checked(handler(request));
    } catch (const std::exception& fault) {
        handler_failed(request, fault.what());
        response = internal_error();
    } catch (...) {
        handler_failed(request, "an exception of unknown kind");
        response = internal_error();
    }
    return write_answer(*connection, response, connection->wants_keep) ? Next::idle : Next::close;
}

// What a Reply holds: the connection, until it is answered.
struct Server::Impl::Taken {
    Taken(Server::Impl& owner, Held held) : server(owner), connection(std::move(held)) {}
    ~Taken() {
        if (connection) server.dispose(std::move(connection));
    }
    Taken(const Taken&) = delete;
    Taken& operator=(const Taken&) = delete;
    void give(Response response) {
        try {
            connection->answer = checked(std::move(response));
        } catch (const std::exception& fault) {
            ++server.counts_.failed;
            spdlog::error("net: listener={} {}", server.options_.name, fault.what());
            connection->answer = internal_error();
        }
        server.give_answer(std::move(connection));
    }
    Server::Impl& server;
    Held connection;
};

Server::Impl::Next Server::Impl::call(Held& connection, const LaterHandler& handler, const Request& request) {
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        active_.erase(connection->id);  // another worker may have it before the handler returns
    }
    const Reply reply([taken = std::make_shared<Taken>(*this, std::move(connection))](Response response) {
        taken->give(std::move(response));
    });
    try {
        handler(request, reply);
    } catch (const std::exception& fault) {
        handler_failed(request, fault.what());
    } catch (...) {
        handler_failed(request, "an exception of unknown kind");
    }
    return Next::later;
}

}  // namespace kokuin::net
