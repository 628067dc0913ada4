#include "tsa/hooks.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include <nlohmann/json.hpp>

#include "base/process.h"
#include "base/text.h"

namespace kokuin::tsa {
namespace {

constexpr std::size_t longest_queue = 1000;

struct FieldJson {
    nlohmann::json operator()(const std::string& text) const { return text; }
    nlohmann::json operator()(std::int64_t number) const { return number; }
    nlohmann::json operator()(const Bytes& octets) const { return to_hex(octets); }
};

}  // namespace

bool is_change(const store::Event& event) {
    return event.kind != "refusals" && event.kind != "reference.compared";
}

std::string hook_line(WallTime at, const store::Event& event) {
    nlohmann::ordered_json out;
    out["kind"] = event.kind;
    out["at"] = to_rfc3339(at, 6);
    out["subject"] = event.subject;
    out["text"] = event.text;
    out["fields"] = nlohmann::ordered_json::object();
    for (const auto& [key, value] : event.fields) out["fields"][key] = std::visit(FieldJson{}, value);
    return out.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + '\n';
}

void Hooks::start() {
    thread_ = std::thread([this] { work(); });
}

void Hooks::stop() {
    {
        const std::lock_guard lock(mutex_);
        if (stopping_) return;
        stopping_ = true;
        end_ = std::chrono::steady_clock::now() + settings_.deadline;
    }
    changed_.notify_all();
    if (thread_.joinable()) thread_.join();
}

void Hooks::tell(WallTime at, const store::Event& event) {
    if (!is_change(event)) return;
    auto line = hook_line(at, event);
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

void Hooks::work() {
    std::unique_lock lock(mutex_);
    while (true) {
        changed_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
        if (queue_.empty()) return;
        // The one that runs when it stops and all that wait have one deadline together.
        auto deadline = settings_.deadline;
        if (stopping_) deadline = std::min<nanoseconds>(deadline, end_ - std::chrono::steady_clock::now());
        if (deadline <= nanoseconds(0)) {
            spdlog::warn("hook: {} events were not told before the end", queue_.size());
            return;
        }
        const auto line = std::move(queue_.front());
        queue_.pop_front();
        if (const auto lost = std::exchange(lost_, 0); lost > 0)
            spdlog::warn("hook: {} can't keep up; {} events were left out", settings_.command.front(), lost);
        lock.unlock();
        run(line, deadline);
        lock.lock();
    }
}

void Hooks::run(const std::string& line, nanoseconds deadline) {
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

}  // namespace kokuin::tsa
