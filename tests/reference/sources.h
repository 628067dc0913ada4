// Real time servers for tests: one chronyd for each, on an address of its own (127.0.0.11, .12, .13), serving
// this machine's clock, or that clock and a lie.
#pragma once

#include <pwd.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/process.h"
#include "tac/clock/chrony_daemon.h"
#include "tests/support/folder.h"

namespace kokuin::testing {

inline const std::string chronyd = KOKUIN_CHRONY "/usr/sbin/chronyd";
inline const std::string chronyc = KOKUIN_CHRONY "/usr/bin/chronyc";

/// What other processes do for sure; fails the test after `limit`.
template <typename Condition>
void wait_until(const char* what, const Condition& condition, nanoseconds limit = seconds(60)) {
    const auto end = std::chrono::steady_clock::now() + limit;
    while (!condition()) {
        INFO(what);
        REQUIRE(std::chrono::steady_clock::now() < end);
        ::usleep(100'000);
    }
}

class TimeServer {
  public:
    TimeServer(const Folder& folder, int number, std::uint16_t port)
        : host_("127.0.0.1" + std::to_string(number)), port_(port) {
        const auto base = folder.path + "/server" + std::to_string(number);
        socket_ = base + ".sock";
        log_ = base + ".log";
        file_ = base + ".conf";
        std::ofstream(file_) << "local stratum 2\nclockprecision 0.0002\nallow 127.0.0.0/8\nbindaddress " << host_ << "\nport "
                             << port << "\ncmdport 0\nbindcmdaddress " << socket_ << "\npidfile " << base
                             << ".pid\n";
        start();
    }
    void start() {
        INFO(chronyd << ": run scripts/setup --test, which takes it out of its package");
        auto started = Companion::start({chronyd, "-x", "-d", "-U", "-u", user(), "-f", file_}, log_);
        REQUIRE(started);
        daemon_.emplace(std::move(*started));
        wait_until("a time server answers", [&] { return command("tracking"); });
    }
    void kill() { daemon_->stop(); }
    /// From now on it tells a time that is ahead by this.
    void lie(double by_seconds) { REQUIRE(command("doffset " + std::to_string(by_seconds))); }
    [[nodiscard]] tac::clock::chrony::Server address() const { return {host_, port_, false}; }

  private:
    static std::string user() { return ::getpwuid(::geteuid())->pw_name; }
    [[nodiscard]] bool command(const std::string& words) const {
        const auto ran = run_program({chronyc, "-h", socket_, "-m", words});
        return ran && ran->status == 0;
    }

    std::string host_;
    std::uint16_t port_;
    std::string socket_;
    std::string log_;
    std::string file_;
    std::optional<Companion> daemon_;
};

/// Three of them, in a folder of their own.
struct TimeServers {
    Folder folder;
    std::uint16_t port = static_cast<std::uint16_t>(20000 + ::getpid() % 10000);
    std::vector<std::unique_ptr<TimeServer>> all;
    TimeServers() {
        for (int number = 1; number <= 3; ++number)
            all.push_back(std::make_unique<TimeServer>(folder, number, port));
    }
    TimeServer& operator[](std::size_t index) { return *all[index]; }
    [[nodiscard]] tac::clock::chrony::Settings reference(const std::string& name) const {
        tac::clock::chrony::Settings settings;
        settings.chronyd = chronyd;
        settings.chronyc = chronyc;
        for (const auto& one : all) settings.servers.push_back(one->address());
        settings.dir = folder.path + "/" + name;
        return settings;
    }
};

}  // namespace kokuin::testing
