// A chronyd that measures for us and leaves the system's clock alone (`chronyd -x`): one of our own, started
// and kept running, or one that somebody else runs and whose command socket we are given. It is asked with
// `chronyc`, as any operator would (design section 3, "the reference").
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/process.h"
#include "base/result.h"
#include "base/time.h"
#include "tac/clock/chrony.h"

namespace kokuin::tac::clock::chrony {

/// A time server to be asked.
struct Server {
    std::string host;        ///< name or address
    std::uint16_t port = 0;  ///< UDP port of NTP; 0: the usual one (for NTS: the one it negotiates)
    bool nts = false;        ///< only authenticated by NTS (RFC 8915)
};

struct Settings {
    std::string chronyd = "chronyd";  ///< path, or a name looked up in PATH and the sbin folders
    std::string chronyc = "chronyc";
    /// Of our own daemon: whom to ask; empty if `socket` names somebody else's.
    std::vector<Server> servers;
    std::string nts_ca;  ///< PEM file with roots for NTS beside the system's; empty: those alone
    std::string dir;     ///< our daemon's folder: configuration, socket, log, NTS cookies
    std::string socket;  ///< command socket of a daemon that others run
    nanoseconds silence = seconds(64);  ///< a source that is silent for longer doesn't count
    std::size_t min_sources = 2;        ///< our daemon follows nobody before so many could be chosen
};

/// The configuration of our own daemon, as chronyd reads it. Pure.
std::string configuration(const Settings& settings);

/// For one thread. Ends the daemon it has started when it goes.
class Daemon {
  public:
    explicit Daemon(Settings settings) : settings_(std::move(settings)) {}

    /// Our own: makes the folder (its parent must be there), writes the configuration, starts it. One that
    /// others run is left alone. Error (environment): the program, the folder or the socket's path won't do.
    Done start();
    /// True if our own has ended by itself since it was started. Its log says why.
    bool ended();
    void stop();

    /// One question, bounded to two seconds. Error (environment): chronyd doesn't answer, or unintelligibly.
    Result<Report> ask();
    /// Makes chrony forget what it has measured and measure anew at once (4 to 5 seconds). To be asked again
    /// some time later if it fails.
    Done reset();
    /// Makes it measure at once. While a burst is running, as after its start, chrony ignores this.
    Done burst();

    /// Where it is, for messages: "chronyd (SOCKET)".
    [[nodiscard]] std::string where() const { return "chronyd (" + socket() + ")"; }
    [[nodiscard]] bool is_own() const { return settings_.socket.empty(); }
    /// The log of our own.
    [[nodiscard]] std::string log() const { return settings_.dir + "/chronyd.log"; }

  private:
    [[nodiscard]] std::string socket() const {
        return is_own() ? settings_.dir + "/chronyd.sock" : settings_.socket;
    }
    Result<std::string> chronyc(std::vector<std::string> commands);

    Settings settings_;
    std::optional<Companion> companion_;
};

}  // namespace kokuin::tac::clock::chrony
