// The inside of Server. Two kinds of threads: one loop accepts and watches idle connections with epoll
// (server_loop.cpp); workers, made when needed, receive, call handlers and answer (server_work.cpp). A
// connection belongs to exactly one of: idle_, requests_, answers_ (under mutex_), the worker that took it,
// or the Reply of a handler that answers later.
#pragma once

#include <sys/stat.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <unordered_map>

#include "base/net/channel.h"
#include "base/net/exchange.h"
#include "base/net/head.h"
#include "base/net/server.h"
#include "base/net/socket.h"
#include "base/net/tls.h"

namespace kokuin::net {

struct Open {
    Open(std::uint64_t number, Fd fd, WaitWatcher* watcher) : id(number), channel(std::move(fd), watcher) {}
    std::uint64_t id;
    Channel channel;
    Peer peer;
    std::string key;  // cap_key(peer)
    std::chrono::steady_clock::time_point since = std::chrono::steady_clock::now();
    std::chrono::steady_clock::time_point queued{};  // into requests_
    bool secured = false;                            // the TLS handshake is done
    bool in_epoll = false;
    std::atomic<bool> receiving{false};  // a request is being received: stop() may cut it
    // The request that is answered now.
    bool wants_keep = false;
    AnswerShape shape;
    std::optional<Response> answer;  // from a Reply, on its way to a worker
};

// What waits in a socket.
enum class Peeked { octets, nothing, end };
Peeked peek(int fd);

// What the loop's descriptors are known by in epoll; connections have greater numbers.
constexpr std::uint64_t listener_id = 0;
constexpr std::uint64_t wake_id = 1;
constexpr std::uint64_t first_connection_id = 16;

class Server::Impl final : public WaitWatcher {
  public:
    Impl(ServerOptions options, std::shared_ptr<const Router> router)
        : options_(std::move(options)),
          router_(std::move(router)),
          date_(options_.wall_clock ? *options_.wall_clock : system_clock_) {}
    ~Impl() { stop(); }
    Impl(const Impl&) = delete;
    Impl& operator=(const Impl&) = delete;

    Done start();
    void stop();
    [[nodiscard]] std::uint16_t port() const { return port_; }
    [[nodiscard]] ServerCounters counters() const;

  private:
    using Clock = std::chrono::steady_clock;
    using Held = std::unique_ptr<Open>;
    struct Idle {
        Held connection;
        Clock::time_point expiry;
    };

    // server_loop.cpp. Functions marked (m) want mutex_ held.
    void loop();
    void accept_some(bool last);
    void admit(Fd fd, bool last);
    void wake() const;
    void watch_listener(bool on);        // (m)
    void expire(Clock::time_point now);  // (m)
    bool evict();                        // (m)
    void on_readable(std::uint64_t id);
    void park(Held connection);  // (m) lets it wait for its next request
    void dispose(Held connection);

    // server_work.cpp
    void enqueue(Held connection);      // (m) a request has come, or begins to
    void give_answer(Held connection);  // from a Reply
    bool give_work();                   // (m)
    [[nodiscard]] std::size_t workers_at_once() const;
    [[nodiscard]] bool may_take() const;    // (m)
    [[nodiscard]] bool is_overdue() const;  // (m)
    void begins_to_wait() override;
    void has_waited() override;
    void work(std::list<std::thread>::iterator self);
    void take_one(std::unique_lock<std::mutex>& lock);
    struct Taken;
    enum class Next {
        close,
        idle,   // wait for the next request
        later,  // a Reply has the connection
    };
    Next serve(Held& connection);
    bool secure(Open& connection);
    Next answer_one(Held& connection);
    Next call(Held& connection, const Handler& handler, const Request& request);
    Next call(Held& connection, const LaterHandler& handler, const Request& request);
    void handler_failed(const Request& request, const char* what);
    bool write_answer(Open& connection, const Response& response, bool keep);
    bool refuse(Open& connection, const Response& response, bool keep, bool unread);
    Io read_head(Open& connection, std::size_t& size, Deadline deadline) const;
    [[nodiscard]] bool may_keep(const Open& connection) const {
        return !stopping_ && Clock::now() - connection.since < options_.connection_lifetime;
    }
    void join_finished(std::unique_lock<std::mutex>& lock);

    ServerOptions options_;
    std::shared_ptr<const Router> router_;
    SystemWallClock system_clock_;
    DateField date_;
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
    std::condition_variable work_;  // for workers: granted_ > 0, or closing_
    std::condition_variable gone_;  // for stop(): a connection, or a thread, is gone
    std::deque<Held> requests_;     // octets of a request have come
    std::deque<Held> answers_;      // Open::answer waits to be written; these go first
    std::unordered_map<std::uint64_t, Idle> idle_;
    std::set<std::pair<Clock::time_point, std::uint64_t>> expiries_;
    std::unordered_map<std::string, unsigned> per_address_;
    std::unordered_map<std::uint64_t, const Open*> active_;  // with a worker now
    std::list<std::thread> threads_;
    std::list<std::thread> finished_;
    std::size_t free_ = 0;     // workers that wait for work
    std::size_t granted_ = 0;  // of them, those told to take some
    std::size_t busy_ = 0;     // workers (granted_ included) that neither wait for work nor for a client
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

}  // namespace kokuin::net
