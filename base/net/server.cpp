#include "base/net/server.h"

#include <spdlog/spdlog.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <system_error>

#include "base/net/server_impl.h"

namespace kokuin::net {

using namespace std::chrono_literals;

Done Server::Impl::start() {
    if (loop_.joinable() || stopping_) return Error::usage(options_.name + ": a server can be started once");
    // OpenSSL writes without MSG_NOSIGNAL: a client that is gone must be an error, not the end of the
    // process.
    static_cast<void>(std::signal(SIGPIPE, SIG_IGN));
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
    while (give_work()) {  // nobody waits his turn any more
    }
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
