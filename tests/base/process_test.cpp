#include "base/process.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "tests/support/folder.h"

using namespace kokuin;
using testing::Folder;
using namespace std::chrono_literals;

namespace {

std::string read(const std::string& path) {
    std::ifstream in(path);
    return {std::istreambuf_iterator<char>(in), {}};
}

bool exists(pid_t pid) {
    return ::kill(pid, 0) == 0;
}

// What another process does for sure; fails the test after 20 s.
template <typename Condition>
void wait_until(const Condition& condition) {
    const auto end = std::chrono::steady_clock::now() + 20s;
    while (!condition()) {
        REQUIRE(std::chrono::steady_clock::now() < end);
        ::usleep(1000);
    }
}

}  // namespace

TEST_CASE("process: a program's words, input, outputs and status") {
    RunOptions options;
    options.input = "時刻\n";
    const auto ran =
        run_program({"sh", "-c", "cat; echo \"$1\" >&2; exit 7", "sh", "two words; $HOME"}, options);
    REQUIRE(ran);
    CHECK(ran->status == 7);
    CHECK(ran->out == "時刻\n");
    CHECK(ran->err == "two words; $HOME\n");
    // One that doesn't read what it is given, however much.
    ::signal(SIGPIPE, SIG_IGN);
    options.input.assign(1 << 20, 'x');
    const auto deaf = run_program({"true"}, options);
    REQUIRE(deaf);
    CHECK(deaf->status == 0);
    CHECK(run_program({"sh", "-c", "kill -9 $$"})->status == 128 + 9);
}

TEST_CASE("process: signals are as a program expects them, and nothing of ours is open in it") {
    ::signal(SIGPIPE, SIG_IGN);
    sigset_t blocked;
    sigset_t before;
    ::sigemptyset(&blocked);
    ::sigaddset(&blocked, SIGTERM);
    ::pthread_sigmask(SIG_BLOCK, &blocked, &before);
    const auto ran = run_program(
        {"sh", "-c", "grep -E '^Sig(Blk|Ign)' /proc/self/status; ls /proc/self/fd | tr '\\n' ' '"});
    sigset_t after;
    ::pthread_sigmask(SIG_SETMASK, &before, &after);
    CHECK(::sigismember(&after, SIGTERM) == 1);  // ours is what it was
    REQUIRE(ran);
    INFO(ran->out);
    CHECK(ran->out.find("SigBlk:\t0000000000000000\n") != std::string::npos);
    CHECK(ran->out.find("SigIgn:\t0000000000000000\n") != std::string::npos);
    CHECK(ran->out.ends_with("0 1 2 3 "));  // 3 is ls's own
}

TEST_CASE("process: what can't run, runs too long or says too much is an error") {
    const auto missing = run_program({"/nowhere/chronyd", "-x"});
    REQUIRE_FALSE(missing);
    CHECK(missing.error().kind == Error::Kind::environment);
    CHECK(missing.error().text ==
          "/nowhere/chronyd: can't be started: No such file or directory; install it, or give its path");
    CHECK(run_program({"kokuin-has-no-such-program"}).error().text.find("can't be started") !=
          std::string::npos);
    CHECK(run_program({"/tmp"}).error().text == "/tmp: can't be started: Permission denied");
    CHECK(run_program({}).error().kind == Error::Kind::usage);

    const Folder folder;
    RunOptions options;
    options.deadline = 200ms;
    // It and its child: both go.
    const auto slow =
        run_program({"sh", "-c", "sleep 1000 & echo $! > " + folder.path + "/pid; wait"}, options);
    REQUIRE_FALSE(slow);
    CHECK(slow.error().text == "sh: took longer than 200 ms and was killed");
    if (const auto text = read(folder.path + "/pid"); !text.empty()) {
        const pid_t left = std::stoi(text);
        wait_until([&] { return !exists(left); });
    }
    // One that closes its outputs and goes on.
    CHECK_FALSE(run_program({"sh", "-c", "exec >&- 2>&-; exec sleep 1000"}, options));

    options.deadline = 20s;
    options.max_output = 1000;
    const auto loud = run_program({"yes"}, options);
    REQUIRE_FALSE(loud);
    CHECK(loud.error().text == "yes: wrote more than 1000 octets and was killed");
}

TEST_CASE("process: a companion runs until it is stopped, and its end is seen") {
    const Folder folder;
    const std::string log = folder.path + "/log";
    pid_t pid = -1;
    {
        auto companion = Companion::start({"sh", "-c", "echo started; exec sleep 1000"}, log);
        REQUIRE(companion);
        pid = companion->pid();
        CHECK(companion->alive());
        wait_until([&] { return read(log) == "started\n"; });
        Companion moved = std::move(*companion);
        CHECK(moved.alive());
        CHECK_FALSE(companion->alive());
    }
    CHECK_FALSE(exists(pid));
    // One that doesn't listen to SIGTERM.
    auto deaf = Companion::start({"sh", "-c", "trap '' TERM; echo deaf; while :; do sleep 1000; done"}, log);
    REQUIRE(deaf);
    pid = deaf->pid();
    wait_until([&] { return read(log) == "started\ndeaf\n"; });
    deaf->stop();
    CHECK_FALSE(exists(pid));
    CHECK_FALSE(deaf->alive());

    auto short_one = Companion::start({"true"}, log);
    REQUIRE(short_one);
    wait_until([&] { return !short_one->alive(); });
    CHECK_FALSE(Companion::start({"true"}, folder.path + "/no/log"));
    CHECK_FALSE(Companion::start({"/nowhere"}, log));
}

TEST_CASE("process: a companion ends when its parent is killed") {
    const Folder folder;
    const std::string file = folder.path + "/pid";
    const pid_t parent = ::fork();
    if (parent == 0) {
        auto companion = Companion::start({"sleep", "1000"}, folder.path + "/log");
        if (!companion) ::_exit(1);
        std::ofstream(file) << companion->pid() << std::flush;
        ::pause();
        ::_exit(0);
    }
    wait_until([&] { return !read(file).empty(); });
    const pid_t pid = std::stoi(read(file));
    CHECK(exists(pid));
    ::kill(parent, SIGKILL);
    ::waitpid(parent, nullptr, 0);
    wait_until([&] { return !exists(pid); });
}
