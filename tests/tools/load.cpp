// kokuin-load: a load generator for RFC 3161 over HTTP/1.1 that leaves the CPU to the server (it shares two
// cores with it): one thread, epoll, requests built once. It outlives the server: lost connections are
// counted and made again.
//
// --save FILE appends one record for every granted token (and with --save-refusals for every refusal),
// written before the next request of that connection is sent, so that whatever is in the file was truly in a
// client's hands:
//   u32 length of what follows | u8 kind (0 granted, 1 refused) | u64 sent | u64 received (ns since 1970,
//   this process's CLOCK_REALTIME) | imprint sent (32 octets) | the token's ContentInfo, or the whole refusal
// Integers are big-endian.
#include "tests/tools/query.h"
#include "tests/tools/tally.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

namespace {

using namespace kokuin::load;

constexpr const char* usage =
    "kokuin-load --url http://ADDRESS:PORT/PATH [--connections N] [--requests N | --seconds S]\n"
    "            [--keep-alive on|off] [--cert-req on|off] [--timeout S]\n"
    "            [--save FILE] [--save-refusals]\n"
    "Without --requests and --seconds it runs until SIGTERM. Prints one line of JSON.\n"
    "Exit 0 when every request was granted, 1 when not, 2 wrong usage, 3 the environment.\n";

volatile std::sig_atomic_t told_to_end = 0;

[[noreturn]] void fail(int status, const std::string& text) {
    std::fprintf(stderr, "kokuin-load: %s\n", text.c_str());
    std::exit(status);
}

std::int64_t now_ns(clockid_t clock) {
    timespec t{};
    clock_gettime(clock, &t);
    return t.tv_sec * 1'000'000'000LL + t.tv_nsec;
}
std::int64_t mono() {
    return now_ns(CLOCK_MONOTONIC);
}

struct Options {
    std::string host = "127.0.0.1";
    int port = 3161;
    std::string path = "/";
    unsigned connections = 32;
    std::uint64_t requests = 0;  // 0: no limit
    double seconds = 0;          // 0: no limit
    bool keep_alive = true;
    bool cert_req = true;
    double timeout = 30;
    std::string save;
    bool save_refusals = false;
};

Options read_options(int argc, char** argv) {
    Options options;
    const auto on_off = [](const std::string& name, const std::string& text) {
        if (text != "on" && text != "off") fail(2, name + " takes on or off, not '" + text + "'");
        return text == "on";
    };
    const auto number = [](const std::string& name, const std::string& text) {
        char* end = nullptr;
        const double value = std::strtod(text.c_str(), &end);
        if (text.empty() || *end != '\0' || !(value >= 0))
            fail(2, name + " takes a number, not '" + text + "'");
        return value;
    };
    for (int i = 1; i < argc; ++i) {
        const std::string name = argv[i];
        if (name == "--help" || name == "-h") {
            std::fputs(usage, stdout);
            std::exit(0);
        }
        if (name == "--save-refusals") {
            options.save_refusals = true;
            continue;
        }
        if (i + 1 >= argc) fail(2, name + " is unknown or wants a value; see --help");
        const std::string value = argv[++i];
        if (name == "--url") {
            std::string rest = value.rfind("http://", 0) == 0 ? value.substr(7) : value;
            const auto slash = rest.find('/');
            options.path = slash == std::string::npos ? "/" : rest.substr(slash);
            rest = rest.substr(0, slash);
            const auto colon = rest.rfind(':');
            options.port =
                colon == std::string::npos ? 80 : static_cast<int>(number(name, rest.substr(colon + 1)));
            options.host = rest.substr(0, colon);
            if (options.host == "localhost") options.host = "127.0.0.1";
        } else if (name == "--connections") {
            options.connections = static_cast<unsigned>(number(name, value));
        } else if (name == "--requests") {
            options.requests = static_cast<std::uint64_t>(number(name, value));
        } else if (name == "--seconds") {
            options.seconds = number(name, value);
        } else if (name == "--keep-alive") {
            options.keep_alive = on_off(name, value);
        } else if (name == "--cert-req") {
            options.cert_req = on_off(name, value);
        } else if (name == "--timeout") {
            options.timeout = number(name, value);
        } else if (name == "--save") {
            options.save = value;
        } else {
            fail(2, "unknown option " + name + "; see --help");
        }
    }
    if (options.connections < 1) fail(2, "--connections must be 1 or more");
    return options;
}

// The file of --save.
class Keeper {
  public:
    explicit Keeper(const std::string& path) {
        if (path.empty()) return;
        fd_ = open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        if (fd_ < 0) fail(3, path + ": " + std::strerror(errno));
    }
    Keeper(const Keeper&) = delete;
    Keeper& operator=(const Keeper&) = delete;
    ~Keeper() {
        if (fd_ >= 0) close(fd_);
    }
    void keep(unsigned char kind, std::int64_t sent, std::int64_t received, const Imprint& imprint,
              std::string_view body) {
        if (fd_ < 0) return;
        record_.clear();
        integer(1 + 8 + 8 + imprint.size() + body.size(), 4);
        integer(kind, 1);
        integer(static_cast<std::uint64_t>(sent), 8);
        integer(static_cast<std::uint64_t>(received), 8);
        record_.append(reinterpret_cast<const char*>(imprint.data()), imprint.size());
        record_.append(body);
        if (write(fd_, record_.data(), record_.size()) != static_cast<ssize_t>(record_.size()))
            fail(3, std::string("writing the file of --save: ") + std::strerror(errno));
    }

  private:
    void integer(std::uint64_t value, int octets) {
        while (octets-- > 0) record_.push_back(static_cast<char>(value >> (8 * octets)));
    }
    int fd_ = -1;
    std::string record_;
};

class Load {
  public:
    explicit Load(const Options& options)
        : options_(options), keeper_(options.save), epoll_(epoll_create1(EPOLL_CLOEXEC)) {
        address_.sin_family = AF_INET;
        address_.sin_port = htons(static_cast<std::uint16_t>(options.port));
        if (inet_pton(AF_INET, options.host.c_str(), &address_.sin_addr) != 1)
            fail(2, "--url wants an IPv4 address or localhost, not '" + options.host + "'");
        const std::string host = options.host + ":" + std::to_string(options.port);
        for (unsigned i = 0; i < options.connections; ++i)
            connections_.push_back(std::make_unique<Connection>(
                Query(host, options.path, options.keep_alive, options.cert_req)));
    }
    Load(const Load&) = delete;
    Load& operator=(const Load&) = delete;
    ~Load() { close(epoll_); }

    Tally run() {
        begin_ = last_ = mono();
        const std::int64_t end =
            options_.seconds > 0 ? begin_ + static_cast<std::int64_t>(options_.seconds * 1e9) : 0;
        for (auto& connection : connections_) connect_now(*connection);
        std::int64_t looked = begin_;
        std::vector<epoll_event> events(connections_.size());
        for (;;) {
            const int count = epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), 20);
            const std::int64_t now = mono();
            if (told_to_end || (end != 0 && now >= end)) ending_ = true;
            for (int i = 0; i < count; ++i)
                serve(*static_cast<Connection*>(events[static_cast<std::size_t>(i)].data.ptr));
            if (now - looked >= 20'000'000 || count == 0) {  // ns
                looked = now;
                look_after(now);
            }
            if ((ending_ || exhausted()) && waiting_ == 0) break;
        }
        tally_.seconds = static_cast<double>(last_ - begin_) / 1e9;
        rusage usage_now{};
        getrusage(RUSAGE_SELF, &usage_now);
        for (const timeval& t : {usage_now.ru_utime, usage_now.ru_stime})
            tally_.cpu_seconds += static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
        return std::move(tally_);
    }

  private:
    enum class State { closed, connecting, idle, waiting };
    struct Connection {
        explicit Connection(Query with) : query(std::move(with)) {}
        Query query;
        int fd = -1;
        State state = State::closed;
        std::int64_t retry_at = 0;   // closed: not before (monotonic)
        std::int64_t sent_at = 0;    // waiting: monotonic
        std::int64_t sent_wall = 0;  // waiting: CLOCK_REALTIME
        std::string in;
        std::size_t body_at = 0, body_size = 0;  // known once the head is complete (body_at != 0)
        bool close_after = false;
    };

    bool exhausted() const { return options_.requests != 0 && tally_.requests >= options_.requests; }

    void connect_now(Connection& c) {
        if (ending_ || exhausted()) return;
        c.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (c.fd < 0) fail(3, std::string("socket: ") + std::strerror(errno));
        const int one = 1;
        setsockopt(c.fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        if (connect(c.fd, reinterpret_cast<const sockaddr*>(&address_), sizeof address_) != 0 &&
            errno != EINPROGRESS) {
            lose(c, "connect");
            return;
        }
        c.state = State::connecting;
        c.sent_at = mono();
        epoll_event event{};
        event.events = EPOLLOUT;
        event.data.ptr = &c;
        epoll_ctl(epoll_, EPOLL_CTL_ADD, c.fd, &event);
    }

    void drop(Connection& c) {
        if (c.state == State::waiting) --waiting_;
        if (c.fd >= 0) close(c.fd);
        c.fd = -1;
        c.state = State::closed;
        c.in.clear();
        c.body_at = 0;
    }

    // Something went wrong: counted, and tried again a little later.
    void lose(Connection& c, const std::string& kind) {
        ++tally_.errors[kind];
        drop(c);
        c.retry_at = mono() + 20'000'000;
    }

    void send_next(Connection& c) {
        if (ending_ || exhausted()) {
            drop(c);
            return;
        }
        const std::string_view text = c.query.next();
        c.sent_wall = now_ns(CLOCK_REALTIME);
        c.sent_at = mono();
        const ssize_t sent = send(c.fd, text.data(), text.size(), MSG_NOSIGNAL);
        // A request of a few hundred octets fits a socket's empty buffer, or the connection is gone.
        if (sent != static_cast<ssize_t>(text.size())) {
            lose(c, "closed_when_idle");
            return;
        }
        ++tally_.requests;
        ++waiting_;
        c.state = State::waiting;
        c.in.clear();
        c.body_at = 0;
    }

    void serve(Connection& c) {
        if (c.state == State::connecting) {
            int error = 0;
            socklen_t size = sizeof error;
            getsockopt(c.fd, SOL_SOCKET, SO_ERROR, &error, &size);
            if (error != 0) {
                lose(c, "connect");
                return;
            }
            ++tally_.connects;
            epoll_event event{};
            event.events = EPOLLIN | EPOLLRDHUP;
            event.data.ptr = &c;
            epoll_ctl(epoll_, EPOLL_CTL_MOD, c.fd, &event);
            c.state = State::idle;
            send_next(c);
            return;
        }
        char buffer[16384];
        const ssize_t got = recv(c.fd, buffer, sizeof buffer, 0);
        if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
        if (got <= 0) {
            if (c.state != State::waiting)
                drop(c);
            else
                lose(c, !c.in.empty()                    ? "closed_in_answer"
                        : got < 0 && errno == ECONNRESET ? "reset_before_answer"
                                                         : "closed_before_answer");
            return;
        }
        if (c.state != State::waiting) {
            lose(c, "unasked_octets");
            return;
        }
        c.in.append(buffer, static_cast<std::size_t>(got));
        if (c.body_at == 0 && !read_head(c)) return;
        if (c.in.size() - c.body_at >= c.body_size) answered(c);
    }

    // False: the head isn't complete yet, or the connection is lost.
    bool read_head(Connection& c) {
        const auto end = c.in.find("\r\n\r\n");
        if (end == std::string::npos) {
            if (c.in.size() > 65536) lose(c, "bad_http");
            return false;
        }
        if (c.in.compare(0, 7, "HTTP/1.") != 0 || c.in.size() < 12) {
            lose(c, "bad_http");
            return false;
        }
        if (c.in.compare(9, 3, "200") != 0) {
            lose(c, "status_" + c.in.substr(9, 3));
            return false;
        }
        bool has_length = false;
        c.close_after = !options_.keep_alive;
        for (std::size_t line = c.in.find("\r\n") + 2; line < end; line = c.in.find("\r\n", line) + 2) {
            const char* at = c.in.c_str() + line;
            if (strncasecmp(at, "content-length:", 15) == 0) {
                c.body_size = std::strtoul(at + 15, nullptr, 10);
                has_length = true;
            } else if (strncasecmp(at, "connection: close", 17) == 0) {
                c.close_after = true;
            }
        }
        if (!has_length) {
            lose(c, "bad_http");
            return false;
        }
        c.body_at = end + 4;
        return true;
    }

    void answered(Connection& c) {
        last_ = mono();
        const std::string_view body(c.in.data() + c.body_at, c.body_size);
        const Reply reply = read_reply(body);
        const auto& imprint = c.query.imprint();
        if (c.in.size() - c.body_at != c.body_size || reply.verdict == Verdict::malformed) {
            lose(c, "malformed_answer");
            return;
        }
        if (reply.verdict == Verdict::granted) {
            if (memmem(body.data(), body.size(), imprint.data(), imprint.size()) == nullptr) {
                lose(c, "foreign_answer");
                return;
            }
            ++tally_.granted;
            tally_.latencies_us.push_back(static_cast<std::uint32_t>((last_ - c.sent_at) / 1000));
            keeper_.keep(0, c.sent_wall, now_ns(CLOCK_REALTIME), imprint, reply.token);
        } else {
            ++tally_.refused[fail_info_name(reply.fail_info)];
            if (options_.save_refusals) keeper_.keep(1, c.sent_wall, now_ns(CLOCK_REALTIME), imprint, body);
        }
        --waiting_;
        c.state = State::idle;
        if (c.close_after) {
            drop(c);
            connect_now(c);
        } else {
            send_next(c);
        }
    }

    void look_after(std::int64_t now) {
        const auto patience = static_cast<std::int64_t>(options_.timeout * 1e9);
        for (auto& c : connections_) {
            if (c->state == State::closed && now >= c->retry_at)
                connect_now(*c);
            else if ((c->state == State::waiting || c->state == State::connecting) &&
                     now - c->sent_at > patience)
                lose(*c, c->state == State::waiting ? "timeout" : "connect_timeout");
        }
    }

    Options options_;
    Keeper keeper_;
    int epoll_;
    sockaddr_in address_{};
    std::vector<std::unique_ptr<Connection>> connections_;
    Tally tally_;
    std::uint64_t waiting_ = 0;
    std::int64_t begin_ = 0, last_ = 0;
    bool ending_ = false;
};

}  // namespace

int main(int argc, char** argv) {
    const Options options = read_options(argc, argv);
    std::signal(SIGPIPE, SIG_IGN);
    for (int signal : {SIGTERM, SIGINT}) std::signal(signal, [](int) { told_to_end = 1; });
    rlimit files{};
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    Tally tally = Load(options).run();
    std::printf("%s\n", tally.to_json().c_str());
    return tally.errors.empty() && tally.refused.empty() && tally.granted > 0 ? 0 : 1;
}
