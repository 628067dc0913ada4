// Other programs: run to their end, or kept running beside us.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"

namespace kokuin {

struct RunOptions {
    std::string input;                    ///< what the program reads from its standard input
    nanoseconds deadline = seconds(5);    ///< a program that takes longer is killed
    std::size_t max_output = 64U << 10U;  ///< octets of stdout, and of stderr; one that writes more is killed
};

/// How a program ended.
struct Ran {
    int status = 0;   ///< exit code; 128 + signal if a signal ended it
    std::string out;  ///< stdout
    std::string err;  ///< stderr
};

/// Where a program is that run_program() would run: where PATH, or else the sbin folders, have `name`; the
/// name itself if it is a path already or is nowhere. Thread-safe.
std::string find_program(const std::string& name);

/// Runs a program to its end: no shell, our environment, none of our descriptors (they are all
/// close-on-exec), default signals, its own process group, so that a deadline ends what it has started too.
/// `argv[0]` is a path, or a name looked up in PATH. Error (environment): it can't be started, it was killed
/// at its deadline, or it wrote too much. How it ended by itself is no Error. Thread-safe.
Result<Ran> run_program(const std::vector<std::string>& argv, const RunOptions& options = {});

/// A program that runs beside us and ends with us: by stop(), by the destructor, and by the kernel (SIGTERM)
/// if this process or the thread that started it is killed. Not copyable: it owns the process. For one
/// thread.
class Companion {
  public:
    /// Starts it; stdin is empty, stdout and stderr go to `log` (appended to, made with mode 0600). Error
    /// (environment) if the program or the log can't be opened.
    static Result<Companion> start(const std::vector<std::string>& argv, const std::string& log);
    ~Companion() { stop(); }
    Companion(Companion&& other) noexcept;
    Companion& operator=(Companion&& other) noexcept;
    Companion(const Companion&) = delete;
    Companion& operator=(const Companion&) = delete;

    /// Still running? Once it said no it stays so.
    bool alive();
    /// SIGTERM; SIGKILL after two seconds. Idempotent.
    void stop();
    [[nodiscard]] pid_t pid() const { return pid_; }

  private:
    explicit Companion(pid_t pid) : pid_(pid) {}
    pid_t pid_ = -1;
};

}  // namespace kokuin
