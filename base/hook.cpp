#include "base/hook.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "base/process.h"
#include "base/text.h"

namespace kokuin {
namespace {

constexpr std::size_t longest_queue = 1000;

}  // namespace

HookSettings read_hook(config::Table& table) {
    return {table.strings("command"),
            table.duration("deadline", milliseconds(100), seconds(30), seconds(10))};
}

void Hook::start() {
    thread_ = std::thread([this] { work(); });
}

void Hook::stop() {
    {
        const std::lock_guard lock(mutex_);
        if (stopping_) return;
        stopping_ = true;
        end_ = std::chrono::steady_clock::now() + settings_.deadline;
    }
    changed_.notify_all();
    if (thread_.joinable()) thread_.join();
}

void Hook::tell(std::string line) {
    {
        const std::lock_guard lock(mutex_);
        if (queue_.size() >= longest_queue) {
            queue_.pop_front();
            ++lost_;
        }
        queue_.push_back(std::move(line));
    }
    changed_.notify_one();
}

void Hook::work() {
    std::unique_lock lock(mutex_);
    while (true) {
        changed_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
        if (queue_.empty()) return;
        // The one that runs when it stops and all that wait have one deadline together.
        auto deadline = settings_.deadline;
        if (stopping_) deadline = std::min<nanoseconds>(deadline, end_ - std::chrono::steady_clock::now());
        if (deadline <= nanoseconds(0)) {
            spdlog::warn("hook: {} lines were not told before the end", queue_.size() + lost_);
            return;
        }
        const auto line = std::move(queue_.front());
        queue_.pop_front();
        if (const auto lost = std::exchange(lost_, 0); lost > 0)
            spdlog::warn("hook: {} can't keep up; {} lines were left out", settings_.command.front(), lost);
        lock.unlock();
        run(line, deadline);
        lock.lock();
    }
}

void Hook::run(const std::string& line, nanoseconds deadline) {
    RunOptions options;
    options.input = line;
    options.deadline = deadline;
    const auto ran = run_program(settings_.command, options);
    if (!ran)
        spdlog::warn("hook: {}", ran.error().text);
    else if (ran->status != 0)
        spdlog::warn("hook: {} ended with {}: {}", settings_.command.front(), ran->status,
                     one_line(ran->err, 300));
}

}  // namespace kokuin
