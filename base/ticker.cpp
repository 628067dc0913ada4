#include "base/ticker.h"

namespace kokuin {

void Ticker::start() {
    thread_ = std::thread([this] {
        std::unique_lock lock(mutex_);
        while (!stopping_) {
            lock.unlock();
            tick_();
            lock.lock();
            wake_.wait_for(lock, rest_, [this] { return stopping_; });
        }
    });
}

void Ticker::stop() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    wake_.notify_all();
    if (thread_.joinable()) thread_.join();
}

}  // namespace kokuin
