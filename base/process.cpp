#include "base/process.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <system_error>
#include <thread>
#include <utility>

#include "base/descriptor.h"

namespace kokuin {
namespace {

using Clock = std::chrono::steady_clock;

std::string reason(int code) {
    return std::generic_category().message(code);
}

// What the child does; only async-signal-safe calls, nothing allocated: it shares our memory until it execs.
[[noreturn]] void become(const char* file, char* const* words, pid_t parent,
                         const std::array<int, 3>& descriptors, int report) {
    ::setpgid(0, 0);
    ::prctl(PR_SET_PDEATHSIG, SIGTERM);
    // The parent may have died before that was set.
    if (::getppid() != parent) ::_exit(127);
    struct sigaction by_default {};
    by_default.sa_handler = SIG_DFL;
    for (int signal = 1; signal < NSIG; ++signal) ::sigaction(signal, &by_default, nullptr);
    sigset_t none;
    ::sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    // Also what somebody's library opened without close-on-exec.
    ::close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
    // The descriptors are never 0 to 2 themselves: dup2 onto itself would leave close-on-exec set.
    if (::dup2(descriptors[0], 0) >= 0 && ::dup2(descriptors[1], 1) >= 0 && ::dup2(descriptors[2], 2) >= 0)
        ::execv(file, words);
    const int code = errno;
    static_cast<void>(!::write(report, &code, sizeof code));
    ::_exit(127);
}

// vfork: nothing of this process is copied, so that starting a program every second costs the others nothing
// (fork would make every page of a busy server fault once). A function of its own, and no signal handler of
// ours, while two processes share a stack.
__attribute__((noinline)) pid_t split(const char* file, char* const* words, pid_t parent,
                                      const std::array<int, 3>& descriptors, int report) {
    const pid_t pid = ::vfork();
    if (pid == 0) become(file, words, parent, descriptors, report);
    return pid;
}

// Starts `argv` with these three descriptors. What goes wrong in the child comes back through a pipe that a
// successful exec closes.
Result<pid_t> start(const std::vector<std::string>& argv, const std::array<int, 3>& descriptors) {
    if (argv.empty() || argv.front().empty()) return Error::usage("no program is named");
    const std::string file = find_program(argv.front());
    std::vector<char*> words;
    for (const auto& word : argv)
        words.push_back(const_cast<char*>(word.c_str()));  // exec doesn't change them
    words.push_back(nullptr);
    std::array<int, 2> report{};
    if (::pipe2(report.data(), O_CLOEXEC) != 0)
        return Error::environment(file + ": no pipe: " + reason(errno));
    const Descriptor told(report[0]);
    Descriptor tell(report[1]);
    sigset_t all;
    sigset_t before;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before);
    const pid_t pid = split(file.c_str(), words.data(), ::getpid(), descriptors, report[1]);
    const int failed = errno;
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    if (pid < 0) return Error::environment(file + ": no process: " + reason(failed));
    tell.reset();
    int code = 0;
    ssize_t got = 0;
    while ((got = ::read(told.get(), &code, sizeof code)) < 0 && errno == EINTR) {
    }
    if (got == 0) return pid;
    ::waitpid(pid, nullptr, 0);
    return Error::environment(file + ": can't be started: " + reason(code) +
                              (code == ENOENT ? "; install it, or give its path" : ""));
}

Descriptor open_null() {
    return Descriptor(::open("/dev/null", O_RDWR | O_CLOEXEC));
}

int exit_status(int wait_status) {
    return WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : 128 + WTERMSIG(wait_status);
}

int left_ms(Clock::time_point until) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now()).count();
    return static_cast<int>(std::max<std::int64_t>(0, left));
}

}  // namespace

std::string find_program(const std::string& name) {
    if (name.find('/') != std::string::npos) return name;
    const char* path = std::getenv("PATH");
    std::string rest = path ? path : "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    // Daemons live in sbin, which a user's PATH often lacks.
    rest += ":/usr/sbin:/sbin";
    while (true) {
        const auto colon = rest.find(':');
        std::string candidate = rest.substr(0, colon) + "/" + name;
        if (::access(candidate.c_str(), X_OK) == 0) return candidate;
        if (colon == std::string::npos) return name;
        rest.erase(0, colon + 1);
    }
}

Result<Ran> run_program(const std::vector<std::string>& argv, const RunOptions& options) {
    const auto until = Clock::now() + options.deadline;
    std::array<std::array<int, 2>, 3> raw{};
    std::array<Descriptor, 3> ours;
    std::array<Descriptor, 3> theirs;
    for (std::size_t i = 0; i < 3; ++i) {
        if (::pipe2(raw[i].data(), O_CLOEXEC) != 0) return Error::environment("no pipe: " + reason(errno));
        theirs[i] = Descriptor(raw[i][i == 0 ? 0 : 1]);
        ours[i] = Descriptor(raw[i][i == 0 ? 1 : 0]);
        ::fcntl(ours[i].get(), F_SETFL, O_NONBLOCK);
    }
    const auto pid = start(argv, {theirs[0].get(), theirs[1].get(), theirs[2].get()});
    if (!pid) return pid.error();
    for (auto& one : theirs) one.reset();

    Ran ran;
    std::size_t written = 0;
    std::string trouble;
    if (options.input.empty()) ours[0].reset();
    while (trouble.empty() && (ours[1].get() >= 0 || ours[2].get() >= 0)) {
        std::array<pollfd, 3> wait{
            {{ours[0].get(), POLLOUT, 0}, {ours[1].get(), POLLIN, 0}, {ours[2].get(), POLLIN, 0}}};
        const int ready = ::poll(wait.data(), wait.size(), left_ms(until));
        if (ready < 0 && errno == EINTR) continue;
        if (ready <= 0) {
            trouble = "took longer than " + std::to_string(options.deadline / milliseconds(1)) + " ms";
            break;
        }
        if (wait[0].revents != 0) {
            // A program that doesn't read is no fault of ours; SIGPIPE is ignored by every main.
            const ssize_t n =
                ::write(ours[0].get(), options.input.data() + written, options.input.size() - written);
            if (n > 0) written += static_cast<std::size_t>(n);
            if ((n < 0 && errno != EAGAIN && errno != EINTR) || written == options.input.size())
                ours[0].reset();
        }
        for (std::size_t i = 1; i < 3; ++i) {
            if (wait[i].revents == 0) continue;
            auto& text = i == 1 ? ran.out : ran.err;
            std::array<char, 4096> buffer{};
            const ssize_t n = ::read(ours[i].get(), buffer.data(), buffer.size());
            if (n > 0) text.append(buffer.data(), static_cast<std::size_t>(n));
            if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) ours[i].reset();
            if (text.size() > options.max_output)
                trouble = "wrote more than " + std::to_string(options.max_output) + " octets";
        }
    }
    int status = 0;
    // It may close its output and go on: the deadline holds to its end.
    while (trouble.empty()) {
        const pid_t ended = ::waitpid(*pid, &status, WNOHANG);
        if (ended == *pid) {
            ran.status = exit_status(status);
            ::kill(-*pid, SIGKILL);  // what it has left behind
            return ran;
        }
        if (Clock::now() >= until)
            trouble = "took longer than " + std::to_string(options.deadline / milliseconds(1)) + " ms";
        else
            ::poll(nullptr, 0, 1);
    }
    ::kill(-*pid, SIGKILL);
    ::waitpid(*pid, &status, 0);
    return Error::environment(argv.front() + ": " + trouble + " and was killed");
}

Result<Companion> Companion::start(const std::vector<std::string>& argv, const std::string& log) {
    const Descriptor to(::open(log.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (to.get() < 0) return Error::environment(log + ": can't be opened to write: " + reason(errno));
    const auto nothing = open_null();
    const auto pid = kokuin::start(argv, {nothing.get(), to.get(), to.get()});
    if (!pid) return pid.error();
    return Companion(*pid);
}

Companion::Companion(Companion&& other) noexcept : pid_(std::exchange(other.pid_, -1)) {}
Companion& Companion::operator=(Companion&& other) noexcept {
    if (this != &other) {
        stop();
        pid_ = std::exchange(other.pid_, -1);
    }
    return *this;
}

bool Companion::alive() {
    if (pid_ < 0) return false;
    if (::waitpid(pid_, nullptr, WNOHANG) == 0) return true;
    pid_ = -1;
    return false;
}

void Companion::stop() {
    if (!alive()) return;
    ::kill(pid_, SIGTERM);
    const auto until = Clock::now() + seconds(2);
    while (alive() && Clock::now() < until) ::poll(nullptr, 0, 5);
    if (!alive()) return;
    ::kill(-pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = -1;
}

}  // namespace kokuin
