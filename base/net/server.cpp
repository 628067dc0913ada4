#include "base/net/server.h"

#include <poll.h>
#include <spdlog/spdlog.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <csignal>
#include <deque>
#include <list>
#include <mutex>
#include <set>
#include <system_error>
#include <thread>
#include <unordered_map>

#include "base/net/channel.h"
#include "base/net/exchange.h"
#include "base/net/head.h"
#include "base/net/socket.h"
#include "base/net/tls.h"

namespace kokuin::net {

namespace {

using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

// How long a thread stays with its connection after an answer, in case the next request comes at once; then
// the connection waits in epoll and the thread is free.
constexpr auto stay = 50ms;
// A thread without work ends after this, so that a burst of connections doesn't cost memory for ever.
constexpr auto thread_idle = 10s;
// An answer to a request that was not read whole: how much and how long is read before closing.
constexpr std::size_t drain_octets = 8U << 20U;
constexpr auto drain_time = 2s;

constexpr std::uint64_t listener_id = 0;
constexpr std::uint64_t wake_id = 1;
constexpr std::uint64_t first_connection_id = 16;

struct Open {
    Open(std::uint64_t number, Fd fd) : id(number), channel(std::move(fd)) {}
    std::uint64_t id;
    Channel channel;
    Peer peer;
    std::string key;  // cap_key(peer)
    Clock::time_point since = Clock::now();
    bool secured = false;  // the TLS handshake is done
    bool in_epoll = false;
    std::atomic<bool> receiving{false};  // a request is being received: stop() may cut it
};

// True if octets (or the end) wait in the socket.
enum class Peeked { octets, nothing, end };
Peeked peek(int fd) {
    char octet = 0;
    const auto n = ::recv(fd, &octet, 1, MSG_PEEK | MSG_DONTWAIT);
    if (n > 0) return Peeked::octets;
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) return Peeked::nothing;
    return Peeked::end;
}

}  // namespace

// Two kinds of threads. One loop accepts and watches idle connections (epoll); workers, made when needed,
// receive, call handlers and answer. A connection belongs to exactly one of: idle_ (under mutex_), queue_
// (under mutex_), or the worker that took it.
class Server::Impl {
  public:
    Impl(ServerOptions options, std::shared_ptr<const Router> router)
        : options_(std::move(options)), router_(std::move(router)) {}
    ~Impl() { stop(); }

    Done start();
    void stop();
    [[nodiscard]] std::uint16_t port() const { return port_; }
    [[nodiscard]] ServerCounters counters() const;

  private:
    using Held = std::unique_ptr<Open>;
    struct Idle {
        Held connection;
        Clock::time_point expiry;
    };

    void loop();
    void accept_some(bool last);
    void admit(Fd fd, bool last);
    void wake() const;
    void watch_listener(bool on);
    void expire(Clock::time_point now);
    bool evict();
    void on_readable(std::uint64_t id);

    void enqueue(Held connection);
    void park(Held connection);
    void dispose(Held connection);
    void work(std::list<std::thread>::iterator self);
    bool serve(Held& connection, ServerExchange& exchange);
    bool secure(Open& connection);
    bool answer_one(Open& connection, ServerExchange& exchange);
    bool refuse(Open& connection, const RequestHead* head, const Response& response, bool keep, bool unread);
    Io read_head(Open& connection, std::size_t& size, Deadline deadline) const;
    [[nodiscard]] bool may_keep(const Open& connection) const {
        return !stopping_ && Clock::now() - connection.since < options_.connection_lifetime;
    }
    void join_finished(std::unique_lock<std::mutex>& lock);

    ServerOptions options_;
    std::shared_ptr<const Router> router_;
    TlsContext context_;
    Fd listener_;
    Fd epoll_;
    Fd wake_;        // makes the loop look around
    Fd stop_event_;  // readable from stop() on: ends the staying of workers
    std::uint16_t port_ = 0;
    struct stat socket_file_ {};
    std::thread loop_;
    std::atomic<bool> stopping_{false};
    std::mutex stop_mutex_;  // stop() from two threads

    mutable std::mutex mutex_;
    std::condition_variable work_;  // for workers: queue_ has something, or closing_
    std::condition_variable gone_;  // for stop(): a connection is gone
    std::deque<Held> queue_;
    std::unordered_map<std::uint64_t, Idle> idle_;
    std::set<std::pair<Clock::time_point, std::uint64_t>> expiries_;
    std::unordered_map<std::string, unsigned> per_address_;
    std::unordered_map<std::uint64_t, const Open*> active_;  // with a worker now
    std::list<std::thread> threads_;
    std::list<std::thread> finished_;
    std::size_t free_threads_ = 0;
    std::uint64_t next_id_ = first_connection_id;
    std::uint64_t open_ = 0;
    Clock::time_point loop_wakes_ = Clock::time_point::max();
    bool listener_off_ = false;
    Clock::time_point listener_back_ = Clock::time_point::min();
    bool closing_ = false;  // no more work will come: workers end

    struct Counts {
        std::atomic<std::uint64_t> accepted{0}, refused{0}, evicted{0}, handshake_failed{0}, requests{0},
            rejected{0}, timed_out{0}, failed{0};
    } counts_;
};

// ------------------------------------------------------------------------------------------ starting and
// stopping

Done Server::Impl::start() {
    if (loop_.joinable() || stopping_) return Error::usage(options_.name + ": a server can be started once");
    // OpenSSL writes without MSG_NOSIGNAL: a client that is gone must be an error, not the end of the
    // process.
    std::signal(SIGPIPE, SIG_IGN);
    if (options_.tls) {
        auto context = make_context(*options_.tls);
        if (!context) return std::move(context).error().in("listener " + options_.name);
        context_ = std::move(*context);
    }
    auto listener = options_.unix_path.empty() ? listen_tcp(options_.address, options_.port)
                                               : listen_unix(options_.unix_path);
    if (!listener) return std::move(listener).error().in("listener " + options_.name);
    listener_ = std::move(*listener);
    port_ = options_.unix_path.empty() ? bound_port(listener_.get()) : 0;
    if (!options_.unix_path.empty()) ::lstat(options_.unix_path.c_str(), &socket_file_);
    epoll_ = Fd(::epoll_create1(EPOLL_CLOEXEC));
    wake_ = Fd(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
    stop_event_ = Fd(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
    epoll_event on_listener{EPOLLIN, {}};
    on_listener.data.u64 = listener_id;
    epoll_event on_wake{EPOLLIN, {}};
    on_wake.data.u64 = wake_id;
    if (!epoll_ || !wake_ || !stop_event_ ||
        ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, listener_.get(), &on_listener) != 0 ||
        ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, wake_.get(), &on_wake) != 0)
        return Error::environment("listener " + options_.name +
                                  ": the kernel gives no epoll: " + std::generic_category().message(errno));
    try {
        loop_ = std::thread([this] { loop(); });
    } catch (const std::system_error& fault) {
        return Error::environment("listener " + options_.name + ": no thread: " + fault.what());
    }
    return {};
}

void Server::Impl::stop() {
    const std::lock_guard<std::mutex> once(stop_mutex_);
    stopping_ = true;
    if (!loop_.joinable()) return;
    const std::uint64_t one = 1;
    static_cast<void>(!::write(stop_event_.get(), &one, sizeof one));
    wake();
    loop_.join();  // it emptied the backlog and closed what was idle

    std::unique_lock<std::mutex> lock(mutex_);
    const auto grace = deadline_in(options_.stop_grace);
    while (open_ > 0) {
        if (gone_.wait_until(lock, grace) != std::cv_status::timeout) continue;
        // Requests whose end hasn't come: their senders are cut. Looked at again and again, because a worker
        // may only now begin to receive one.
        for (const auto& [id, connection] : active_) {
            if (connection->receiving) connection->channel.cut();
        }
        gone_.wait_for(lock, 20ms);
    }
    closing_ = true;
    work_.notify_all();
    while (!threads_.empty()) gone_.wait(lock);
    join_finished(lock);
}

void Server::Impl::join_finished(std::unique_lock<std::mutex>& lock) {
    std::list<std::thread> ended;
    ended.swap(finished_);
    lock.unlock();
    for (auto& thread : ended) thread.join();
    lock.lock();
}

void Server::Impl::wake() const {
    const std::uint64_t one = 1;
    static_cast<void>(!::write(wake_.get(), &one, sizeof one));
}

// ------------------------------------------------------------------------------------------------------- the
// loop

void Server::Impl::loop() {
    epoll_event events[128];
    while (!stopping_) {
        int timeout = -1;
        {
            std::unique_lock<std::mutex> lock(mutex_);
            join_finished(lock);
            const auto now = Clock::now();
            expire(now);
            if (listener_off_ && now >= listener_back_ &&
                (open_ < options_.max_connections || !idle_.empty()))
                watch_listener(true);
            loop_wakes_ = expiries_.empty() ? Clock::time_point::max() : expiries_.begin()->first;
            if (listener_off_) loop_wakes_ = std::min(loop_wakes_, now + 100ms);
            if (loop_wakes_ != Clock::time_point::max())
                timeout = static_cast<int>(std::clamp<std::int64_t>(
                    std::chrono::ceil<milliseconds>(loop_wakes_ - now).count(), 0, 3'600'000));
        }
        const int n = ::epoll_wait(epoll_.get(), events, 128, timeout);
        for (int i = 0; i < n; ++i) {
            const auto id = events[i].data.u64;
            if (id == listener_id) {
                accept_some(false);
            } else if (id == wake_id) {
                std::uint64_t count = 0;
                static_cast<void>(!::read(wake_.get(), &count, sizeof count));
            } else {
                on_readable(id);
            }
        }
    }
    // Who has connected and sent is served still; then nobody can connect any more.
    accept_some(true);
    if (!options_.unix_path.empty()) {
        struct stat there {};
        if (::lstat(options_.unix_path.c_str(), &there) == 0 && there.st_ino == socket_file_.st_ino &&
            there.st_dev == socket_file_.st_dev)
            ::unlink(options_.unix_path.c_str());
    }
    listener_.reset();
    std::vector<Held> closed;
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        std::vector<Held> late;
        for (auto& [id, idle] : idle_) {
            // Its request may have come while we were busy here.
            const bool sent = peek(idle.connection->channel.fd()) == Peeked::octets;
            (sent ? late : closed).push_back(std::move(idle.connection));
        }
        idle_.clear();
        expiries_.clear();
        for (auto& connection : late) enqueue(std::move(connection));
    }
    for (auto& connection : closed) {
        connection->channel.finish();
        dispose(std::move(connection));
    }
}

// With `last`, whatever is in the backlog, whether there is room or not.
void Server::Impl::accept_some(bool last) {
    for (int i = 0; last || i < 64; ++i) {
        if (!last) {
            std::unique_lock<std::mutex> lock(mutex_);
            if (open_ >= options_.max_connections) {
                // Room is only made for one who is really waiting.
                if (wait_for(listener_.get(), POLLIN, Clock::now()) != Waited::ready) return;
                if (!evict()) {
                    watch_listener(false);
                    return;
                }
            }
        }
        Fd fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
        if (fd) {
            admit(std::move(fd), last);
            continue;
        }
        if (errno == EINTR || errno == ECONNABORTED || errno == EPROTO) continue;
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            const int code = errno;
            std::unique_lock<std::mutex> lock(mutex_);
            if (evict()) continue;
            if (last) return;
            // Not readable by waiting: without a pause the loop would spin.
            spdlog::warn("net: listener={} can't accept: {}; {} connections are open, raise LimitNOFILE",
                         options_.name, std::generic_category().message(code), open_);
            watch_listener(false);
            listener_back_ = Clock::now() + 100ms;
        }
        return;
    }
}

void Server::Impl::admit(Fd fd, bool last) {
    auto connection = std::make_unique<Open>(0, std::move(fd));
    connection->peer = peer_of(connection->channel.fd());
    connection->peer.encrypted = context_ != nullptr;
    connection->key = cap_key(connection->peer);
    ++counts_.accepted;
    const auto peeked = peek(connection->channel.fd());
    std::unique_lock<std::mutex> lock(mutex_);
    if (!connection->key.empty() && options_.max_connections_per_address > 0) {
        auto& count = per_address_[connection->key];
        if (count >= options_.max_connections_per_address) {
            ++counts_.refused;
            return;
        }
        ++count;
    } else {
        connection->key.clear();
    }
    ++open_;
    connection->id = next_id_++;
    if (peeked == Peeked::octets) {
        enqueue(std::move(connection));
    } else if (peeked == Peeked::end || last) {
        lock.unlock();
        dispose(std::move(connection));
    } else {
        park(std::move(connection));
    }
}

// mutex_ is held.
void Server::Impl::watch_listener(bool on) {
    epoll_event event{};
    event.events = on ? static_cast<std::uint32_t>(EPOLLIN) : 0U;
    event.data.u64 = listener_id;
    ::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, listener_.get(), &event);
    listener_off_ = !on;
    if (on) listener_back_ = Clock::time_point::min();
}

// Closes idle connections whose time is over. mutex_ is held.
void Server::Impl::expire(Clock::time_point now) {
    while (!expiries_.empty() && expiries_.begin()->first <= now) {
        const auto found = idle_.find(expiries_.begin()->second);
        auto connection = std::move(found->second.connection);
        idle_.erase(found);
        expiries_.erase(expiries_.begin());
        connection->channel.finish();
        mutex_.unlock();
        dispose(std::move(connection));
        mutex_.lock();
    }
}

// Closes the connection that is idle for longest; false if none is. mutex_ is held.
bool Server::Impl::evict() {
    if (expiries_.empty()) return false;
    const auto found = idle_.find(expiries_.begin()->second);
    auto connection = std::move(found->second.connection);
    idle_.erase(found);
    expiries_.erase(expiries_.begin());
    ++counts_.evicted;
    mutex_.unlock();
    dispose(std::move(connection));
    mutex_.lock();
    return true;
}

void Server::Impl::on_readable(std::uint64_t id) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = idle_.find(id);
    if (found == idle_.end()) return;  // expired in this very round
    expiries_.erase({found->second.expiry, id});
    auto connection = std::move(found->second.connection);
    idle_.erase(found);
    enqueue(std::move(connection));
}

// Gives a connection to the workers. mutex_ is held.
void Server::Impl::enqueue(Held connection) {
    queue_.push_back(std::move(connection));
    if (free_threads_ < queue_.size() && threads_.size() < options_.max_threads) {
        try {
            threads_.emplace_front();
            const auto self = threads_.begin();
            *self = std::thread([this, self] { work(self); });
        } catch (const std::system_error& fault) {
            threads_.pop_front();
            if (threads_.empty())
                spdlog::error("net: listener={} gets no thread: {}", options_.name, fault.what());
        }
    }
    work_.notify_one();
}

// Lets a connection wait for its next request. mutex_ is held.
void Server::Impl::park(Held connection) {
    connection->channel.shrink();
    auto expiry = deadline_in(options_.idle_timeout);
    if (options_.connection_lifetime < Clock::time_point::max() - connection->since)
        expiry = std::min<Clock::time_point>(expiry, connection->since + options_.connection_lifetime);
    const auto id = connection->id;
    epoll_event event{};
    event.events = EPOLLIN | EPOLLRDHUP | EPOLLONESHOT;
    event.data.u64 = id;
    const int fd = connection->channel.fd();
    const int operation = connection->in_epoll ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    connection->in_epoll = true;
    idle_[id] = {std::move(connection), expiry};
    expiries_.emplace(expiry, id);
    if (::epoll_ctl(epoll_.get(), operation, fd, &event) != 0) {
        // No memory for one more: as if it had expired.
        expiries_.erase({expiry, id});
        idle_[id].expiry = Clock::time_point::min();
        expiries_.emplace(Clock::time_point::min(), id);
    }
    if (listener_off_ || expiries_.begin()->first < loop_wakes_) wake();
}

// Closes a connection for good. mutex_ is not held.
void Server::Impl::dispose(Held connection) {
    const auto key = connection->key;
    connection.reset();
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!key.empty()) {
        const auto found = per_address_.find(key);
        if (--found->second == 0) per_address_.erase(found);
    }
    --open_;
    if (listener_off_) wake();
    gone_.notify_all();
}

// -------------------------------------------------------------------------------------------------------
// workers

void Server::Impl::work(std::list<std::thread>::iterator self) {
    ServerExchange exchange;
    std::unique_lock<std::mutex> lock(mutex_);
    for (;;) {
        if (queue_.empty()) {
            ++free_threads_;
            const bool some = work_.wait_for(lock, thread_idle, [this] {
                return closing_ || !queue_.empty();
            }) && !queue_.empty();
            --free_threads_;
            if (!some) break;
        }
        auto connection = std::move(queue_.front());
        queue_.pop_front();
        active_[connection->id] = connection.get();
        lock.unlock();
        const auto id = connection->id;
        bool idle = false;
        try {
            idle = serve(connection, exchange);
        } catch (const std::exception& fault) {
            spdlog::error("net: listener={} a connection failed: {}", options_.name, fault.what());
        }
        lock.lock();
        active_.erase(id);
        if (idle && !stopping_) {
            park(std::move(connection));
        } else if (idle && peek(connection->channel.fd()) == Peeked::octets) {
            enqueue(std::move(connection));
        } else {
            lock.unlock();
            if (idle) connection->channel.finish();
            dispose(std::move(connection));
            lock.lock();
        }
    }
    finished_.splice(finished_.begin(), threads_, self);
    gone_.notify_all();
    wake();  // the loop joins it
}

// Serves one connection until it is idle (true) or to be closed (false).
bool Server::Impl::serve(Held& connection, ServerExchange& exchange) {
    auto& channel = connection->channel;
    if (context_ && !connection->secured && !secure(*connection)) return false;
    for (;;) {
        if (!channel.pending()) {
            // Nothing there (after a handshake, a request or a spurious wake-up): stay a little, but not
            // while others wait for a thread.
            bool spare = false;
            {
                const std::lock_guard<std::mutex> lock(mutex_);
                spare = queue_.empty() && (free_threads_ > 0 || threads_.size() < options_.max_threads);
            }
            if (wait_for(channel.fd(), POLLIN, deadline_in(spare ? nanoseconds(stay) : nanoseconds(0)),
                         stop_event_.get()) != Waited::ready)
                return true;
        }
        if (!answer_one(*connection, exchange)) return false;
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

// Answers without a handler; true if the connection can go on.
bool Server::Impl::refuse(Open& connection, const RequestHead* head, const Response& response, bool keep,
                          bool unread) {
    ++counts_.rejected;
    auto& channel = connection.channel;
    const auto io =
        channel.write(plain_answer(response, keep, head && head->http10, head && head->method == "HEAD"),
                      deadline_in(options_.response_deadline));
    if (io == Io::ok && keep) return true;
    channel.finish();
    if (io == Io::ok && unread) channel.drain(drain_octets, deadline_in(drain_time));
    return false;
}

// Receives one request and answers it; true if the connection can go on.
bool Server::Impl::answer_one(Open& connection, ServerExchange& exchange) {
    auto& channel = connection.channel;
    const auto deadline = deadline_in(options_.request_deadline);
    connection.receiving = true;
    std::size_t size = 0;
    const auto io = read_head(connection, size, deadline);
    if (io == Io::timeout) {
        ++counts_.timed_out;
        return refuse(connection, nullptr, Response::text(408, "The request took too long."), false, true);
    }
    if (io == Io::failed && channel.pending())
        return refuse(connection, nullptr, Response::text(400, "This is not HTTP."), false, true);
    if (io != Io::ok) return false;
    if (size == 0 || size > options_.max_head)
        return refuse(connection, nullptr, Response::text(431, "The header is too large."), false, true);
    auto head = parse_request_head(channel.received().substr(0, size));
    channel.take(size);
    if (!head)
        return refuse(connection, nullptr, Response::text(head.error().status, head.error().text), false,
                      true);

    auto match = router_->match(head->method, head->path, head->content_type);
    std::size_t max_body = options_.max_body;
    if (match.limits && match.limits->max_body) max_body = *match.limits->max_body;
    const auto length = head->framing.length.value_or(0);
    const bool body = head->framing.chunked || length > 0;
    if (match.refusal) {
        // A small body is read, so that the connection can stay.
        bool keep = !body;
        if (length > 0 && length <= max_body && !head->expect_continue) {
            keep = true;
            for (std::uint64_t left = length; left > 0 && keep;) {
                char buffer[4096];
                std::size_t got = 0;
                keep =
                    channel.read(buffer, std::min<std::size_t>(left, sizeof buffer), got, deadline) == Io::ok;
                left -= got;
            }
        }
        const bool unread = !keep;
        return refuse(connection, &*head, *match.refusal, keep && head->keep_alive && may_keep(connection),
                      unread);
    }
    if (length > max_body)
        return refuse(connection, &*head, Response::text(413, "The body is too large."), false, true);

    Request request;
    request.method = head->method == "HEAD" ? "GET" : head->method;
    request.path = head->path;
    request.target = head->target;
    request.content_type = head->content_type;
    request.fields = std::move(head->fields);
    request.parameters = std::move(match.parameters);
    request.peer = connection.peer;

    ServerExchange::Limits limits;
    limits.max_body = max_body;
    limits.request_deadline = deadline;
    limits.response_deadline = options_.response_deadline;
    limits.may_keep = [&] { return may_keep(connection); };
    limits.complete = [&] {
        connection.receiving = false;
        ++counts_.requests;
    };
    limits.threw = [&] { ++counts_.failed; };
    const auto outcome = exchange.run(channel, *head, request, *match.handler, limits);
    connection.receiving = false;
    if (!outcome.answered) ++counts_.rejected;
    if (outcome.timed_out) ++counts_.timed_out;
    if (outcome.keep) return true;
    channel.finish();
    if (outcome.unread) channel.drain(drain_octets, deadline_in(drain_time));
    return false;
}

ServerCounters Server::Impl::counters() const {
    ServerCounters out;
    out.accepted = counts_.accepted;
    out.refused = counts_.refused;
    out.evicted = counts_.evicted;
    out.handshake_failed = counts_.handshake_failed;
    out.requests = counts_.requests;
    out.rejected = counts_.rejected;
    out.timed_out = counts_.timed_out;
    out.failed = counts_.failed;
    const std::lock_guard<std::mutex> lock(mutex_);
    out.connections = open_;
    out.active = active_.size();
    out.threads = threads_.size();
    return out;
}

// ------------------------------------------------------------------------------------------------------
// interface

Server::Server(ServerOptions options, std::shared_ptr<const Router> router)
    : impl_(std::make_unique<Impl>(std::move(options), std::move(router))) {}
Server::~Server() = default;
Done Server::start() {
    return impl_->start();
}
void Server::stop() {
    impl_->stop();
}
std::uint16_t Server::port() const {
    return impl_->port();
}
ServerCounters Server::counters() const {
    return impl_->counters();
}

std::uint64_t raise_file_limit() {
    rlimit limit{};
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
    if (limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
        getrlimit(RLIMIT_NOFILE, &limit);
    }
    return limit.rlim_cur;
}

}  // namespace kokuin::net
