// The independent reference (TSA-6) on real chronyd processes.
#include "tac/clock/reference_watch.h"

#include <signal.h>
#include <sys/wait.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "tac/clock/bound.h"
#include "tests/reference/sources.h"

using namespace kokuin;
using namespace kokuin::tac::clock;
using kokuin::testing::TimeServers;
using kokuin::testing::wait_until;
using State = Reference::State;

namespace {

TimeServers& servers() {
    static TimeServers all;
    return all;
}

/// A wall clock that can be set, as an operator or an attacker sets a machine's. chronyd goes on measuring
/// the machine's own.
struct MovedClock final : WallClock {
    SystemWallClock system;
    nanoseconds by{0};
    [[nodiscard]] WallTime now() const override { return system.now() + by; }
};

struct Desk {
    MovedClock wall;
    SystemMonoClock mono;
    SystemBootClock boot;
    StampingClock clock{wall, mono, boot};
    ErrorBound error;
    std::vector<std::pair<State, std::string>> changes;
    int evidence = 0;
    int resets = 0;
    ReferenceWatch watch;

    explicit Desk(chrony::Settings settings, ReferenceRules rules = {})
        : watch(std::move(settings), rules, clock, listener()) {
        // Ends with a word instead of hanging.
        const auto done = watch.prepare();
        INFO((done ? "" : done.error().text));
        REQUIRE(done);
    }
    ReferenceWatch::Listener listener() {
        return {[this](const Evidence& one) {
                    ++evidence;
                    return error.add(one) == ErrorBound::Added::misses;
                },
                [this](State state, const std::string& text) { changes.emplace_back(state, text); },
                [this](const std::string&) { ++resets; }};
    }
    void become(State state, nanoseconds limit = seconds(60)) {
        INFO("wanted: " << name(state));
        wait_until(
            "a state of the reference",
            [&] {
                watch.tick();
                return watch.snapshot().state == state;
            },
            limit);
    }
    [[nodiscard]] Bound bound() const { return error.at(clock.read()); }
    /// The first measurements of a busy machine are as good as its delays; the next ones are better.
    void narrows_to(nanoseconds largest) {
        wait_until("a small bound", [&] {
            watch.tick();
            const auto now = bound();
            return now.state == Bound::State::known && now.largest() < largest;
        });
    }
};

std::string read(const std::string& path) {
    std::ifstream in(path);
    return {std::istreambuf_iterator<char>(in), {}};
}

}  // namespace

TEST_CASE("three that agree: evidence with a small bound, and one event") {
    Desk desk(servers().reference("agree"));
    CHECK(desk.watch.snapshot().state == State::starting);
    desk.become(State::good);
    const auto bound = desk.bound();
    REQUIRE(bound.state == Bound::State::known);
    CHECK(bound.by_reference);
    // The servers tell this machine's own time.
    CHECK(bound.low <= nanoseconds(0));
    CHECK(bound.high >= nanoseconds(0));
    desk.narrows_to(milliseconds(20));
    const auto snapshot = desk.watch.snapshot();
    REQUIRE(snapshot.last);
    // The third may still be at its first samples.
    CHECK(snapshot.last->note.find(" of 3 sources agree") == 1);
    CHECK(snapshot.last->note.find(", followed: 127.0.0.1") != std::string::npos);
    CHECK(snapshot.measurements == static_cast<std::uint64_t>(desk.evidence));
    for (int i = 0; i < 5; ++i) desk.watch.tick();
    REQUIRE(desk.changes.size() == 2);
    CHECK(desk.changes[0].first == State::starting);
    CHECK(desk.changes[1].first == State::good);
    CHECK(desk.changes[1].second.find(" of 3 sources agree") != std::string::npos);
    wait_until("all three agree", [&] {
        desk.watch.tick();
        return desk.watch.snapshot().said->sources.agreeing == 3;
    });

    SECTION("what it leaves is nobody else's, and nobody else can command it") {
        const auto dir = servers().reference("agree").dir;
        using std::filesystem::perms;
        CHECK(std::filesystem::status(dir).permissions() == perms::owner_all);
        const auto conf = read(dir + "/chronyd.conf");
        CHECK(conf.find("cmdport 0") != std::string::npos);
        CHECK(conf.find("port 0") != std::string::npos);
        desk.watch.stop();
        CHECK_FALSE(std::filesystem::exists(dir + "/chronyd.pid"));
    }
    SECTION("a chronyd that is killed is started again") {
        const auto pid = std::stoi(read(servers().reference("agree").dir + "/chronyd.pid"));
        REQUIRE(::kill(pid, SIGKILL) == 0);
        siginfo_t gone{};
        REQUIRE(::waitid(P_PID, static_cast<id_t>(pid), &gone, WEXITED | WNOWAIT) == 0);
        desk.become(State::silent, seconds(10));
        CHECK(desk.changes.back().second.find("has ended") != std::string::npos);
        desk.become(State::good);
        CHECK(std::stoi(read(servers().reference("agree").dir + "/chronyd.pid")) != pid);
    }
    SECTION("one that hangs is silent, and its last word counts no longer than it may") {
        const auto pid = std::stoi(read(servers().reference("agree").dir + "/chronyd.pid"));
        REQUIRE(::kill(pid, SIGSTOP) == 0);
        desk.become(State::silent, seconds(20));
        CHECK(desk.bound().state == Bound::State::known);
        REQUIRE(::kill(pid, SIGCONT) == 0);
        desk.become(State::good);
    }
    SECTION("a step of the clock is seen before chrony knows of it") {
        desk.wall.by = seconds(2);
        auto after = desk.bound();
        REQUIRE(after.state == Bound::State::known);
        CHECK(after.low > milliseconds(1900));
        CHECK(after.high < milliseconds(2100));
        // Chrony's own word is spoilt: it is told to begin anew. (It still measures the machine's clock; the
        // two-second lie is ours alone, so what it says next contradicts what is known.)
        wait_until("chrony is told to measure anew", [&] {
            desk.watch.tick();
            return desk.resets > 0;
        });
        CHECK(desk.watch.snapshot().resets == 1);
    }
}

TEST_CASE("one liar among three is outvoted and named") {
    servers()[2].lie(0.3);
    Desk desk(servers().reference("liar"));
    desk.become(State::good);
    wait_until("the liar is found out", [&] {
        desk.watch.tick();
        return desk.watch.snapshot().said->sources.falsetickers == 1;
    });
    desk.narrows_to(milliseconds(20));
    CHECK(desk.watch.snapshot().said->sources.text() == "2 of 3 sources agree, 1 is a falseticker");
    servers()[2].lie(-0.3);
}

TEST_CASE("three that all contradict each other are no reference") {
    servers()[1].lie(0.3);
    servers()[2].lie(-0.3);
    Desk desk(servers().reference("quarrel"));
    for (int i = 0; i < 12; ++i) {
        desk.watch.tick();
        ::usleep(1'000'000);
    }
    CHECK(desk.evidence == 0);
    CHECK(desk.watch.snapshot().state == State::starting);
    CHECK(desk.bound().state == Bound::State::no_evidence);
    servers()[1].lie(-0.3);
    servers()[2].lie(0.3);
}

TEST_CASE("sources that die: chrony goes on saying Normal, the reference doesn't") {
    ReferenceRules rules;
    rules.max_age = seconds(20);
    auto settings = servers().reference("death");
    Desk desk(settings, rules);
    desk.become(State::good);
    for (std::size_t i = 0; i < 3; ++i) servers()[i].kill();
    wait_until("the last measurement is too old", [&] {
        desk.watch.tick();
        return desk.bound().state == Bound::State::no_evidence;
    });
    // chrony goes on with what it has; by then it may have noticed that it can choose none of its sources.
    desk.watch.tick();
    const auto seen = desk.watch.snapshot();
    CHECK(seen.said->tracking.synchronised);
    CHECK((seen.state == State::stale || seen.state == State::unsynchronised));
    if (seen.state == State::stale) CHECK(seen.text.find("older than 20 s") != std::string::npos);
    for (std::size_t i = 0; i < 3; ++i) servers()[i].start();
    desk.become(State::good);
}

TEST_CASE("a daemon that others run is asked by its socket, and measures anew before it counts") {
    auto own = servers().reference("shared");
    chrony::Daemon others(own);
    REQUIRE(others.start());
    wait_until("it has measured", [&] {
        const auto said = others.ask();
        return said && said->tracking.synchronised;
    });
    chrony::Settings settings;
    settings.chronyc = kokuin::testing::chronyc;
    settings.socket = own.dir + "/chronyd.sock";
    Desk desk(settings);
    desk.watch.tick();
    CHECK(desk.evidence == 0);
    desk.become(State::good);
    desk.narrows_to(milliseconds(20));
    others.stop();
    desk.become(State::silent, seconds(20));
    CHECK(desk.changes.back().second.find(settings.socket) != std::string::npos);
}

TEST_CASE("what can't be is said in one line") {
    auto settings = servers().reference("wrong");
    const auto refusal = [&] {
        chrony::Daemon daemon(settings);
        const auto done = daemon.start();
        REQUIRE_FALSE(done);
        CHECK(done.error().text.find('\n') == std::string::npos);
        return done.error().text;
    };
    settings.chronyd = "/nowhere/chronyd";
    CHECK(refusal().find("/nowhere/chronyd: can't be started") == 0);
    settings.chronyd = kokuin::testing::chronyd;
    settings.dir = "/proc/nowhere";
    CHECK(refusal().find("/proc/nowhere: can't be made") == 0);
    settings.dir = "/" + std::string(120, 'x');
    CHECK(refusal().find("too long for a socket") != std::string::npos);
    settings.dir = servers().folder.path + "/server1.conf";
    CHECK(refusal().find("is no folder") != std::string::npos);
}

TEST_CASE("the configuration of our own daemon") {
    chrony::Settings settings;
    settings.servers = {{"ntp.example", 0, false}, {"127.0.0.11", 11123, false}, {"nts.example", 4460, true}};
    settings.nts_ca = "/etc/kokuin/nts.pem";
    settings.dir = "/run/kokuin";
    CHECK(chrony::configuration(settings) ==
          "# Written at every start; what is changed here is lost. This chronyd only measures (-x).\n"
          "server ntp.example iburst minpoll 4 maxpoll 4\n"
          "server 127.0.0.11 port 11123 iburst minpoll 4 maxpoll 4\n"
          "server nts.example ntsport 4460 iburst minpoll 4 maxpoll 4 nts\n"
          "ntstrustedcerts /etc/kokuin/nts.pem\n"
          "port 0\n"
          "cmdport 0\n"
          "bindcmdaddress /run/kokuin/chronyd.sock\n"
          "pidfile /run/kokuin/chronyd.pid\n"
          "ntsdumpdir /run/kokuin\n");
}
