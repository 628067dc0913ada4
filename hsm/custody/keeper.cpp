#include "hsm/custody/keeper.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <spdlog/spdlog.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstring>

#include "base/time.h"

extern char** environ;

namespace kokuin::hsm::custody {
namespace {

// Messages of the socket pair: one octet that says what, one with the length of the token's label, that
// label, the PIN.
constexpr std::uint8_t holds = 'H';        // keeper → server, first of all, for each token: this PIN
constexpr std::uint8_t that_is_all = 'A';  // keeper → server, after these
constexpr std::uint8_t keep_it = 'K';      // server → keeper
constexpr std::uint8_t forget_it = 'F';
constexpr std::size_t head = 2;
constexpr std::size_t longest_label = 255;
constexpr std::size_t longest_pin = 512;

constexpr int child_descriptor = 3;
constexpr milliseconds answer_within{5000};
constexpr milliseconds first_pause{100};
constexpr milliseconds longest_pause{30'000};
constexpr milliseconds hangs_after{20'000};
constexpr milliseconds well{60'000};  // a child that lived so long was well

/// A message with its PIN; wiped when it goes.
struct Message {
    std::array<std::uint8_t, head + longest_label + longest_pin> octets{};
    std::size_t size = 0;
    ~Message() { ::explicit_bzero(octets.data(), octets.size()); }
    [[nodiscard]] View view() const { return View(octets).first(size); }
    [[nodiscard]] std::uint8_t what() const { return octets[0]; }
    [[nodiscard]] std::string token() const { return std::string(as_text(view().subspan(head, label()))); }
    [[nodiscard]] View pin() const { return view().subspan(head + label()); }
    [[nodiscard]] bool whole() const { return size >= head && size >= head + label(); }

  private:
    [[nodiscard]] std::size_t label() const { return octets[1]; }
};

void put(Message& message, std::uint8_t what, const std::string& token, View pin) {
    const auto label = as_view(token).first(std::min(token.size(), longest_label));
    pin = pin.first(std::min(pin.size(), longest_pin));
    message.octets[0] = what;
    message.octets[1] = static_cast<std::uint8_t>(label.size());
    std::copy(label.begin(), label.end(), message.octets.begin() + head);
    std::copy(pin.begin(), pin.end(),
              message.octets.begin() + head + static_cast<std::ptrdiff_t>(label.size()));
    message.size = head + label.size() + pin.size();
}

bool send_message(int socket, View message) {
    while (true) {
        const auto sent = ::send(socket, message.data(), message.size(), MSG_NOSIGNAL);
        if (sent >= 0) return true;
        if (errno != EINTR) return false;
    }
}

/// False at the end of the stream.
bool receive(int socket, Message& message) {
    while (true) {
        const auto got = ::recv(socket, message.octets.data(), message.octets.size(), 0);
        if (got < 0 && errno == EINTR) continue;
        message.size = got > 0 ? static_cast<std::size_t>(got) : 0;
        return got > 0;
    }
}

milliseconds now() {
    return std::chrono::duration_cast<milliseconds>(SystemMonoClock().now().time_since_epoch());
}

class KeeperProcess {
  public:
    KeeperProcess(std::string program, std::vector<std::string> arguments)
        : program_(std::move(program)), arguments_(std::move(arguments)) {}

    Result<int> run() {
        std::array<char, PATH_MAX> path{};
        const auto length = ::readlink("/proc/self/exe", path.data(), path.size() - 1);
        if (length <= 0) return Error::environment("keeper: its own program can't be found: " + reason());
        file_.assign(path.data(), static_cast<std::size_t>(length));
        sigset_t awaited;
        sigemptyset(&awaited);
        for (const int one : {SIGTERM, SIGINT, SIGHUP, SIGCHLD}) sigaddset(&awaited, one);
        sigprocmask(SIG_BLOCK, &awaited, nullptr);
        signals_ = Descriptor(::signalfd(-1, &awaited, SFD_CLOEXEC | SFD_NONBLOCK));
        if (!signals_) return Error::environment("keeper: no signalfd: " + reason());
        if (auto done = start(); !done) return std::move(done).error();
        while (!over_) {
            wait();
            if (!child_ && next_start_ && *next_start_ <= now()) {
                next_start_.reset();
                if (auto done = start(); !done) {
                    spdlog::error("keeper text=\"{}\"", done.error().text);
                    plan_restart();
                }
            }
        }
        return exit_code_;
    }

  private:
    static std::string reason() { return std::strerror(errno); }

    Done start() {
        started_ = now();
        told_to_end_.reset();
        std::array<int, 2> pair{};
        if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair.data()) != 0)
            return Error::environment("keeper: no socket pair: " + reason());
        Descriptor mine(pair[0]);
        const Descriptor theirs(pair[1]);
        std::vector<std::string> words{program_};
        words.insert(words.end(), arguments_.begin(), arguments_.end());
        words.insert(words.end(), {"--kept-by", std::to_string(child_descriptor)});
        std::vector<char*> argv;
        for (auto& word : words) argv.push_back(word.data());
        argv.push_back(nullptr);

        posix_spawn_file_actions_t actions;
        posix_spawn_file_actions_init(&actions);
        // Where both are the same, dup2 would leave close-on-exec set; glibc's clears it then (POSIX.1-2024).
        posix_spawn_file_actions_adddup2(&actions, theirs.get(), child_descriptor);
        posix_spawnattr_t attributes;
        posix_spawnattr_init(&attributes);
        sigset_t none;
        sigemptyset(&none);
        posix_spawnattr_setsigmask(&attributes, &none);
        // A group of its own: Ctrl-C reaches the keeper, which tells it once; a second signal would end it at
        // once.
        posix_spawnattr_setpgroup(&attributes, 0);
        posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
        pid_t pid = -1;
        const int failed = ::posix_spawn(&pid, file_.c_str(), &actions, &attributes, argv.data(), environ);
        posix_spawn_file_actions_destroy(&actions);
        posix_spawnattr_destroy(&attributes);
        if (failed != 0)
            return Error::environment("keeper: " + file_ + " can't be started: " + std::strerror(failed));
        child_ = pid;
        socket_ = std::move(mine);
        for (const auto& [token, pin] : pins_) {
            Message message;
            put(message, holds, token, pin.view());
            send_message(socket_.get(), message.view());
        }
        Message last;
        put(last, that_is_all, "", View());
        send_message(socket_.get(), last.view());
        spdlog::info("keeper event=started program={} pid={} holds={}", program_, pid, !pins_.empty());
        return {};
    }

    void wait() {
        std::array<pollfd, 2> watched{pollfd{signals_.get(), POLLIN, 0}, pollfd{socket_.get(), POLLIN, 0}};
        int timeout = -1;
        if (next_start_)
            timeout = static_cast<int>(std::max<std::int64_t>(0, (*next_start_ - now()).count()));
        if (::poll(watched.data(), socket_ ? 2 : 1, timeout) < 0) return;
        if (socket_ && watched[1].revents != 0) listen();
        signalfd_siginfo info{};
        while (::read(signals_.get(), &info, sizeof info) == sizeof info)
            hear(static_cast<int>(info.ssi_signo));
    }

    void listen() {
        Message message;
        if (!receive(socket_.get(), message)) {
            socket_.reset();
            return;
        }
        if (!message.whole()) return;
        const auto token = message.token();
        if (message.what() == keep_it && !message.pin().empty()) {
            pins_.insert_or_assign(token, Secret(message.pin()));
            spdlog::info("keeper event=holds program={} token=\"{}\"", program_, token);
        } else if (message.what() == forget_it) {
            pins_.erase(token);
            spdlog::info("keeper event=forgot program={} token=\"{}\"", program_, token);
        }
    }

    void hear(int signal) {
        switch (signal) {
            case SIGCHLD:
                return reap();
            case SIGHUP:
                pause_ = milliseconds{0};
                restart_ = child_.has_value();
                if (child_)
                    tell_to_end();
                else
                    next_start_ = now();
                return;
            default:
                stopping_ = true;
                if (child_)
                    tell_to_end();
                else
                    over_ = true;
        }
    }

    /// Once, but for one that hangs: a second signal ends it at once, whatever is in flight.
    void tell_to_end() {
        if (told_to_end_ && now() - *told_to_end_ < hangs_after) return;
        if (told_to_end_) spdlog::warn("keeper text=\"{} hangs; it is ended at once\"", program_);
        told_to_end_ = now();
        ::kill(*child_, SIGTERM);
    }

    void reap() {
        int status = 0;
        if (!child_ || ::waitpid(*child_, &status, WNOHANG) != *child_) return;
        // What it said last.
        while (socket_) listen_if_any();
        child_.reset();
        exit_code_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
        const bool asked = std::exchange(restart_, false);
        if (stopping_) {
            over_ = true;
        } else if (asked) {
            next_start_ = now();
        } else if (exit_code_ == exit_code(Error::Kind::usage)) {
            // Nothing it is given will do; a person must act.
            over_ = pins_.empty();
            if (!over_)
                spdlog::error(
                    "keeper event=waits program={} text=\"it refuses its configuration; mend it, then send "
                    "this "
                    "process ({}) a SIGHUP\"",
                    program_, ::getpid());
        } else if (exit_code_ == 0) {
            over_ = true;
        } else if (pins_.empty() && now() - started_ < well) {
            // It was never well, and there is nothing to keep.
            spdlog::error(
                "keeper event=ended program={} status={} text=\"nothing is held, so this is the end\"",
                program_, exit_code_);
            over_ = true;
        } else {
            plan_restart();
        }
    }

    void listen_if_any() {
        pollfd one{socket_.get(), POLLIN, 0};
        if (::poll(&one, 1, 0) == 1)
            listen();
        else
            socket_.reset();
    }

    void plan_restart() {
        if (now() - started_ >= well) pause_ = milliseconds{0};
        spdlog::error("keeper event=ended program={} status={} text=\"started again in {} ms\"", program_,
                      exit_code_, pause_.count());
        next_start_ = now() + pause_;
        pause_ = std::clamp(pause_ * 2, first_pause, longest_pause);
    }

    const std::string program_;
    const std::vector<std::string> arguments_;
    std::string file_;
    Descriptor signals_;
    Descriptor socket_;
    std::map<std::string, Secret> pins_;  // by the token's label
    std::optional<pid_t> child_;
    milliseconds started_{0};
    milliseconds pause_{0};
    std::optional<milliseconds> next_start_;
    bool restart_ = false;
    std::optional<milliseconds> told_to_end_;
    bool stopping_ = false;
    bool over_ = false;
    int exit_code_ = 0;
};

}  // namespace

Result<int> run_with_keeper(const std::string& program, const std::vector<std::string>& arguments) {
    return KeeperProcess(program, arguments).run();
}

Keeper::Keeper(int descriptor) : socket_(descriptor) {
    ::fcntl(socket_.get(), F_SETFD, FD_CLOEXEC);
}

std::optional<Secret> Keeper::handed(const std::string& token) {
    const std::lock_guard lock(mutex_);
    while (!asked_) {
        pollfd one{socket_.get(), POLLIN, 0};
        Message message;
        if (::poll(&one, 1, static_cast<int>(answer_within.count())) != 1 ||
            !receive(socket_.get(), message)) {
            spdlog::error("keeper text=\"doesn't answer; custodians will be needed after a crash\"");
            asked_ = true;
        } else if (message.what() == holds && message.whole() && !message.pin().empty()) {
            handed_.insert_or_assign(message.token(), Secret(message.pin()));
        } else {
            asked_ = true;
        }
    }
    auto mine = handed_.extract(token);
    return mine.empty() ? std::nullopt : std::optional(std::move(mine.mapped()));
}

void Keeper::tell(View message) {
    if (!send_message(socket_.get(), message))
        spdlog::error("keeper text=\"is gone; custodians will be needed after a crash\"");
}

void Keeper::keep(const std::string& token, const Secret& pin) {
    Message message;
    put(message, keep_it, token, pin.view());
    tell(message.view());
}

void Keeper::forget_the_rest() {
    const std::lock_guard lock(mutex_);
    for (const auto& [token, pin] : handed_) forget(token);
    handed_.clear();
}

bool Keeper::present() const {
    pollfd one{socket_.get(), 0, 0};
    return ::poll(&one, 1, 0) >= 0 && (one.revents & (POLLHUP | POLLERR)) == 0;
}

void Keeper::forget(const std::string& token) {
    Message message;
    put(message, forget_it, token, View());
    tell(message.view());
}

}  // namespace kokuin::hsm::custody
