// Accepting, and connections that are idle: one thread, epoll.
#include <poll.h>
#include <spdlog/spdlog.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

#include "base/net/server_impl.h"

namespace kokuin::net {

using namespace std::chrono_literals;

Peeked peek(int fd) {
    char octet = 0;
    const auto n = ::recv(fd, &octet, 1, MSG_PEEK | MSG_DONTWAIT);
    if (n > 0) return Peeked::octets;
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) return Peeked::nothing;
    return Peeked::end;
}

void Server::Impl::wake() const {
    const std::uint64_t one = 1;
    static_cast<void>(!::write(wake_.get(), &one, sizeof one));
}

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
            if (!requests_.empty()) {
                while (is_overdue() && give_work()) {
                }
                loop_wakes_ = std::min(loop_wakes_,
                                       std::max(requests_.front()->queued + options_.patience, now + 10ms));
            }
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
    auto connection = std::make_unique<Open>(0, std::move(fd), this);
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

}  // namespace kokuin::net
