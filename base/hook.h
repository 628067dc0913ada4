// A command of the operators' own, run on each line it is given: to page somebody, to feed another system.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/config.h"
#include "base/time.h"

namespace kokuin {

struct HookSettings {
    std::vector<std::string> command;  ///< the program and its words, at least one; no shell
    nanoseconds deadline = seconds(10);
};

/// Reads the table [hook]: command, deadline (0.1 to 30 s).
HookSettings read_hook(config::Table& table);

/// Runs the command once for each line, one after the other, in their order, on a thread of its own: nothing
/// waits for it. On its standard input it finds that line. What it prints is thrown away; that it can't be
/// started, fails, or takes too long (it is killed then) is a line in the log and nothing more. A command
/// that can't keep up loses the oldest lines that wait, and the log says how many.
class Hook {
  public:
    explicit Hook(HookSettings settings) : settings_(std::move(settings)) {}
    ~Hook() { stop(); }
    Hook(const Hook&) = delete;
    Hook& operator=(const Hook&) = delete;

    /// Once. What is told before it waits for it.
    void start();
    /// Runs what waits, for as long as one deadline, and ends. Idempotent.
    void stop();
    /// From any thread, at once; never blocks. The command reads `line` as it is, its line end included.
    void tell(std::string line);

  private:
    void work();
    void run(const std::string& line, nanoseconds deadline);

    const HookSettings settings_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<std::string> queue_;
    std::uint64_t lost_ = 0;
    bool stopping_ = false;
    std::chrono::steady_clock::time_point end_{};  // once it stops
    std::thread thread_;
};

}  // namespace kokuin
