// A command of the operators' own, run on each change: to page somebody, to feed another system.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/time.h"
#include "store/record.h"

namespace kokuin::tsa {

struct HookSettings {
    std::vector<std::string> command;  ///< the program and its words; no shell
    nanoseconds deadline = seconds(10);
};

/// Runs the command once for each event, one after the other, in their order, on a thread of its own: nothing
/// waits for it. On its standard input it finds one JSON object, a line: kind, at (RFC 3339), subject, text,
/// fields (octets in hex), as `tsaudit events --json` shows them. What it prints is thrown away; that it
/// can't be started, fails, or takes too long (it is killed then) is a line in the log and nothing more. A
/// command that can't keep up loses the oldest events that wait, and the log says how many.
class Hooks {
  public:
    explicit Hooks(HookSettings settings) : settings_(std::move(settings)) {}
    ~Hooks() { stop(); }
    Hooks(const Hooks&) = delete;
    Hooks& operator=(const Hooks&) = delete;

    void start();
    /// Runs what waits, for as long as one deadline, and ends. Idempotent.
    void stop();
    /// From any thread, at once; never blocks. Events that are no change are left out.
    void tell(WallTime at, const store::Event& event);

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

/// True for events that tell of a change; false for what only sums up (refusals, hourly comparisons). Pure.
bool is_change(const store::Event& event);
/// The line that the command reads. Pure.
std::string hook_line(WallTime at, const store::Event& event);

}  // namespace kokuin::tsa
