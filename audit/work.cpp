#include "audit/work.h"

#include <utility>

namespace kokuin::audit {

Workers::Workers(unsigned count) {
    for (unsigned worker = 0; worker < count; ++worker)
        threads_.emplace_back([this, worker] { run(worker); });
}

Workers::~Workers() {
    {
        const std::lock_guard lock(mutex_);
        stop_ = true;
    }
    changed_.notify_all();
    for (auto& thread : threads_) thread.join();
}

void Workers::add(Task task, std::size_t most) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return tasks_.size() < most; });
    tasks_.push_back(std::move(task));
    changed_.notify_all();
}

void Workers::wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return tasks_.empty() && running_ == 0; });
}

void Workers::run(unsigned worker) {
    std::unique_lock lock(mutex_);
    while (true) {
        changed_.wait(lock, [this] { return stop_ || !tasks_.empty(); });
        if (tasks_.empty()) return;
        const Task task = std::move(tasks_.front());
        tasks_.pop_front();
        ++running_;
        lock.unlock();
        task(worker);
        lock.lock();
        --running_;
        changed_.notify_all();
    }
}

}  // namespace kokuin::audit
