#include "base/net/socket.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <system_error>

namespace kokuin::net {

namespace {

constexpr int backlog = 1024;

std::string reason(int code) {
    return std::generic_category().message(code);
}

std::string shown(const std::string& address, std::uint16_t port) {
    return (address.find(':') != std::string::npos ? '[' + address + ']' : address) + ':' +
           std::to_string(port);
}

struct Address {
    sockaddr_storage storage{};
    socklen_t size = 0;
    [[nodiscard]] const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

bool numeric(const std::string& text, std::uint16_t port, Address& out) {
    sockaddr_in four{};
    if (inet_pton(AF_INET, text.c_str(), &four.sin_addr) == 1) {
        four.sin_family = AF_INET;
        four.sin_port = htons(port);
        std::memcpy(&out.storage, &four, sizeof four);
        out.size = sizeof four;
        return true;
    }
    sockaddr_in6 six{};
    if (inet_pton(AF_INET6, text.c_str(), &six.sin6_addr) == 1) {
        six.sin6_family = AF_INET6;
        six.sin6_port = htons(port);
        std::memcpy(&out.storage, &six, sizeof six);
        out.size = sizeof six;
        return true;
    }
    return false;
}

bool unix_address(const std::string& path, Address& out) {
    sockaddr_un local{};
    local.sun_family = AF_UNIX;
    if (path.empty() || path.size() >= sizeof local.sun_path) return false;
    std::memcpy(local.sun_path, path.data(), path.size());
    std::memcpy(&out.storage, &local, sizeof local);
    out.size = sizeof local;
    return true;
}

// Makes the folder a socket will stand in, if only that one is missing.
Done make_folder_of(const std::string& path) {
    const auto slash = path.find_last_of('/');
    if (slash == std::string::npos || slash == 0) return {};
    const auto folder = path.substr(0, slash);
    if (::mkdir(folder.c_str(), 0700) == 0 || errno == EEXIST) return {};
    if (errno == ENOENT || errno == ENOTDIR)
        return Error::usage(path + ": there is no place for this socket: the folder above " + folder +
                            " is missing; make it, or choose another path");
    return Error::environment(path + ": the folder of this socket can't be made: " + reason(errno));
}

// Starts or finishes a connect; 0 or an errno, ETIMEDOUT at the deadline.
int connect_to(int fd, const Address& address, Deadline deadline) {
    if (::connect(fd, address.get(), address.size) == 0) return 0;
    if (errno != EINPROGRESS && errno != EINTR) return errno;
    if (wait_for(fd, POLLOUT, deadline) != Waited::ready) return ETIMEDOUT;
    int fault = 0;
    socklen_t size = sizeof fault;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &fault, &size) != 0) return errno;
    return fault;
}

}  // namespace

Deadline deadline_in(std::chrono::nanoseconds time) {
    const auto now = std::chrono::steady_clock::now();
    if (time > Deadline::max() - now) return Deadline::max();
    return now + std::chrono::duration_cast<Deadline::duration>(time);
}

void Fd::reset() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
}

Waited wait_for(int fd, short events, Deadline deadline, int interrupt) {
    pollfd polled[2] = {{fd, events, 0}, {interrupt, POLLIN, 0}};
    for (;;) {
        const auto left = deadline - std::chrono::steady_clock::now();
        // Rounded up: a poll of 0 ms just before the deadline would spin.
        const auto ms = std::chrono::ceil<std::chrono::milliseconds>(left).count();
        if (ms < 0) return Waited::timeout;
        const int n =
            ::poll(polled, interrupt >= 0 ? 2 : 1, static_cast<int>(std::min<std::int64_t>(ms, 3'600'000)));
        if (n > 0) return polled[0].revents != 0 ? Waited::ready : Waited::interrupted;
        if (n < 0 && errno != EINTR) return Waited::ready;  // the read or write that follows tells the fault
        if (n == 0 && std::chrono::steady_clock::now() >= deadline) return Waited::timeout;
    }
}

Result<Fd> listen_tcp(const std::string& address, std::uint16_t port) {
    const auto where = shown(address, port);
    Address bound;
    if (!numeric(address == "localhost" ? "127.0.0.1" : address, port, bound))
        return Error::usage(where + ": not a numeric IP address; give one of this machine's, or 127.0.0.1");
    Fd fd(::socket(bound.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!fd) return Error::environment(where + ": no socket: " + reason(errno));
    // So that a restart needn't wait for old connections (TIME_WAIT). On Linux it lets nobody share a
    // listening port.
    const int on = 1;
    setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    const auto refused = [&](int code) {
        if (code == EADDRINUSE)
            return Error::environment(where +
                                      ": the port is taken by another process; stop that one (ss -ltnp shows "
                                      "which) or configure another port");
        if (code == EADDRNOTAVAIL)
            return Error::environment(where +
                                      ": not an address of this machine (ip address shows which are)");
        if (code == EACCES)
            return Error::environment(where + ": not permitted; ports below 1024 need CAP_NET_BIND_SERVICE");
        return Error::environment(where + ": can't listen: " + reason(code));
    };
    if (::bind(fd.get(), bound.get(), bound.size) != 0) return refused(errno);
    if (::listen(fd.get(), backlog) != 0) return refused(errno);
    return fd;
}

Result<Fd> listen_unix(const std::string& path) {
    Address bound;
    if (!unix_address(path, bound))
        return Error::usage(path + ": too long for a Unix socket (107 octets); choose a shorter path");
    if (auto made = make_folder_of(path); !made) return std::move(made).error();
    struct stat there {};
    if (::lstat(path.c_str(), &there) == 0) {
        if (!S_ISSOCK(there.st_mode))
            return Error::usage(path + ": something that is no socket stands there; move it away");
        Fd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
        if (!probe) return Error::environment(path + ": no socket: " + reason(errno));
        if (::connect(probe.get(), bound.get(), bound.size) == 0 || errno != ECONNREFUSED)
            return Error::environment(path + ": another process listens on this socket; stop that one first");
        if (::unlink(path.c_str()) != 0)
            return Error::environment(path + ": a stale socket that can't be removed: " + reason(errno));
    }
    Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!fd) return Error::environment(path + ": no socket: " + reason(errno));
    if (::bind(fd.get(), bound.get(), bound.size) != 0)
        return Error::environment(path + ": can't make the socket: " + reason(errno));
    // Before listen() nobody can connect, whatever the umask was.
    if (::chmod(path.c_str(), 0600) != 0 || ::listen(fd.get(), backlog) != 0) {
        const int code = errno;
        ::unlink(path.c_str());
        return Error::environment(path + ": can't listen: " + reason(code));
    }
    return fd;
}

std::uint16_t bound_port(int fd) {
    sockaddr_storage storage{};
    socklen_t size = sizeof storage;
    if (getsockname(fd, reinterpret_cast<sockaddr*>(&storage), &size) != 0) return 0;
    if (storage.ss_family == AF_INET) return ntohs(reinterpret_cast<sockaddr_in*>(&storage)->sin_port);
    if (storage.ss_family == AF_INET6) return ntohs(reinterpret_cast<sockaddr_in6*>(&storage)->sin6_port);
    return 0;
}

Result<Fd> connect_tcp(const std::string& host, std::uint16_t port, Deadline deadline) {
    const auto where = shown(host, port);
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_ADDRCONFIG;
    addrinfo* found = nullptr;
    std::vector<Address> addresses(1);
    if (!numeric(host, port, addresses.front())) {
        addresses.clear();
        if (const int code = getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found);
            code != 0)
            return Error::environment(where + ": the name can't be resolved: " + gai_strerror(code));
        const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owner(found, freeaddrinfo);
        for (const auto* at = found; at; at = at->ai_next) {
            Address address;
            std::memcpy(&address.storage, at->ai_addr, at->ai_addrlen);
            address.size = at->ai_addrlen;
            addresses.push_back(address);
        }
    }
    int code = 0;
    for (const auto& address : addresses) {
        Fd fd(::socket(address.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
        if (!fd) return Error::environment(where + ": no socket: " + reason(errno));
        code = connect_to(fd.get(), address, deadline);
        if (code == 0) {
            const int on = 1;
            setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
            return fd;
        }
    }
    if (code == ECONNREFUSED)
        return Error::environment(where +
                                  ": connection refused; is the server running, and is this its port?");
    if (code == ETIMEDOUT) return Error::environment(where + ": timed out while connecting");
    return Error::environment(where + ": can't connect: " + reason(code));
}

Result<Fd> connect_unix(const std::string& path, Deadline deadline) {
    Address address;
    if (!unix_address(path, address)) return Error::usage(path + ": too long for a Unix socket (107 octets)");
    Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!fd) return Error::environment(path + ": no socket: " + reason(errno));
    const int code = connect_to(fd.get(), address, deadline);
    if (code == 0) return fd;
    if (code == ENOENT || code == ECONNREFUSED)
        return Error::environment(path + ": nobody listens there; is the server running?");
    if (code == EACCES || code == EPERM)
        return Error::environment(path + ": not permitted; run this as the user of the server or as root");
    if (code == ETIMEDOUT || code == EAGAIN) return Error::environment(path + ": timed out while connecting");
    return Error::environment(path + ": can't connect: " + reason(code));
}

Peer peer_of(int fd) {
    Peer out;
    sockaddr_storage storage{};
    socklen_t size = sizeof storage;
    if (getpeername(fd, reinterpret_cast<sockaddr*>(&storage), &size) != 0) return out;
    char text[INET6_ADDRSTRLEN] = "";
    const int on = 1;
    if (storage.ss_family == AF_INET) {
        const auto* four = reinterpret_cast<const sockaddr_in*>(&storage);
        inet_ntop(AF_INET, &four->sin_addr, text, sizeof text);
        out.port = ntohs(four->sin_port);
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    } else if (storage.ss_family == AF_INET6) {
        const auto* six = reinterpret_cast<const sockaddr_in6*>(&storage);
        if (IN6_IS_ADDR_V4MAPPED(&six->sin6_addr))
            inet_ntop(AF_INET, &six->sin6_addr.s6_addr[12], text, sizeof text);
        else
            inet_ntop(AF_INET6, &six->sin6_addr, text, sizeof text);
        out.port = ntohs(six->sin6_port);
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    } else if (storage.ss_family == AF_UNIX) {
        ucred who{};
        socklen_t length = sizeof who;
        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &length) == 0)
            out.process = Peer::Process{who.uid, who.gid, who.pid};
    }
    out.address = text;
    return out;
}

std::string cap_key(const Peer& peer) {
    if (peer.address.empty() || peer.address.starts_with("127.") || peer.address == "::1") return {};
    in6_addr six{};
    if (inet_pton(AF_INET6, peer.address.c_str(), &six) == 1) return {reinterpret_cast<const char*>(&six), 8};
    return peer.address;
}

}  // namespace kokuin::net
