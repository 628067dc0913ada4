#include "base/net/channel.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>

namespace kokuin::net {

Waited Channel::wait(short events, Deadline deadline) const {
    if (watcher_) watcher_->begins_to_wait();
    const auto waited = wait_for(fd_.get(), events, deadline);
    if (watcher_) watcher_->has_waited();
    return waited;
}

// Repeats an operation of OpenSSL until it neither wants to read nor to write.
template <typename Operation>
Io Channel::tls_operation(Operation&& operation, Deadline deadline) {
    for (;;) {
        ERR_clear_error();
        errno = 0;
        const int n = operation();
        if (n > 0) return Io::ok;
        switch (SSL_get_error(tls_.get(), n)) {
            case SSL_ERROR_WANT_READ:
                if (wait(POLLIN, deadline) != Waited::ready) return Io::timeout;
                break;
            case SSL_ERROR_WANT_WRITE:
                if (wait(POLLOUT, deadline) != Waited::ready) return Io::timeout;
                break;
            case SSL_ERROR_ZERO_RETURN:
                return Io::closed;
            default:
                broken_ = true;
                return Io::failed;
        }
    }
}

Io Channel::handshake(Deadline deadline) {
    return tls_operation([&] { return SSL_do_handshake(tls_.get()); }, deadline);
}

Io Channel::read_socket(char* to, std::size_t size, std::size_t& got, Deadline deadline) {
    got = 0;
    if (tls_) {
        int n = 0;
        const auto io = tls_operation(
            [&] {
                return n = SSL_read(tls_.get(), to, static_cast<int>(std::min<std::size_t>(size, INT_MAX)));
            },
            deadline);
        if (io == Io::ok) got = static_cast<std::size_t>(n);
        return io;
    }
    for (;;) {
        const auto n = ::recv(fd_.get(), to, size, 0);
        if (n > 0) {
            got = static_cast<std::size_t>(n);
            return Io::ok;
        }
        if (n == 0) return Io::closed;
        if (errno == EINTR) continue;
        if (errno != EAGAIN && errno != EWOULDBLOCK) return Io::failed;
        if (wait(POLLIN, deadline) != Waited::ready) return Io::timeout;
    }
}

Io Channel::read(char* to, std::size_t size, std::size_t& got, Deadline deadline) {
    if (taken_ < received_.size()) {
        got = std::min(size, received_.size() - taken_);
        std::memcpy(to, received_.data() + taken_, got);
        taken_ += got;
        return Io::ok;
    }
    // A reader that takes octet by octet must not cost a system call each.
    if (size >= 2048) return read_socket(to, size, got, deadline);
    if (const auto io = receive(deadline); io != Io::ok) return io;
    return read(to, size, got, deadline);
}

Io Channel::receive(Deadline deadline) {
    // A sender of octet after octet always has the next one ready; only here its deadline is looked at.
    if (std::chrono::steady_clock::now() >= deadline) return Io::timeout;
    if (taken_ > 0) {
        received_.erase(0, taken_);
        taken_ = 0;
    }
    char buffer[4096];
    std::size_t got = 0;
    const auto io = read_socket(buffer, sizeof buffer, got, deadline);
    if (io == Io::ok) received_.append(buffer, got);
    return io;
}

bool Channel::pending() const {
    return taken_ < received_.size() || (tls_ && SSL_pending(tls_.get()) > 0);
}

void Channel::shrink() {
    if (taken_ < received_.size()) return;
    std::string().swap(received_);
    taken_ = 0;
}

Io Channel::write(std::string_view octets, Deadline deadline) {
    while (!octets.empty()) {
        std::size_t sent = 0;
        if (tls_) {
            int n = 0;
            const auto io = tls_operation(
                [&] {
                    return n = SSL_write(tls_.get(), octets.data(),
                                         static_cast<int>(std::min<std::size_t>(octets.size(), INT_MAX)));
                },
                deadline);
            if (io != Io::ok) return io == Io::closed ? Io::failed : io;
            sent = static_cast<std::size_t>(n);
        } else {
            const auto n = ::send(fd_.get(), octets.data(), octets.size(), MSG_NOSIGNAL);
            if (n < 0) {
                if (errno == EINTR) continue;
                if (errno != EAGAIN && errno != EWOULDBLOCK) return Io::failed;
                if (wait(POLLOUT, deadline) != Waited::ready) return Io::timeout;
                continue;
            }
            sent = static_cast<std::size_t>(n);
        }
        octets.remove_prefix(sent);
    }
    return Io::ok;
}

void Channel::finish() {
    if (tls_ && !broken_ && SSL_is_init_finished(tls_.get())) {
        ERR_clear_error();
        SSL_shutdown(tls_.get());
    }
    ::shutdown(fd_.get(), SHUT_WR);
}

void Channel::drain(std::size_t limit, Deadline deadline) {
    char buffer[16384];
    std::size_t total = 0;
    while (total < limit) {
        // Past TLS: what is left isn't looked at.
        const auto n = ::recv(fd_.get(), buffer, sizeof buffer, MSG_DONTWAIT);
        if (n == 0) return;
        if (n > 0) {
            total += static_cast<std::size_t>(n);
            if (std::chrono::steady_clock::now() >= deadline) return;
            continue;
        }
        if (errno == EINTR) continue;
        if ((errno != EAGAIN && errno != EWOULDBLOCK) || wait(POLLIN, deadline) != Waited::ready) return;
    }
}

void Channel::cut() const {
    ::shutdown(fd_.get(), SHUT_RD);
}

}  // namespace kokuin::net
