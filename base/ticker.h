// Something that is looked after once in a while.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

#include "base/time.h"

namespace kokuin {

/// Calls a function again and again on a thread of its own, with so much rest in between. Started and stopped
/// by one thread.
class Ticker {
  public:
    /// `tick` must not throw.
    Ticker(nanoseconds rest, std::function<void()> tick) : rest_(rest), tick_(std::move(tick)) {}
    ~Ticker() { stop(); }
    Ticker(const Ticker&) = delete;
    Ticker& operator=(const Ticker&) = delete;

    /// The first call comes at once. Not a second time, and not after stop().
    void start();
    /// Waits for a call that runs; none begins after it. Idempotent.
    void stop();

  private:
    const nanoseconds rest_;
    const std::function<void()> tick_;
    std::mutex mutex_;
    std::condition_variable wake_;
    bool stopping_ = false;
    std::thread thread_;
};

}  // namespace kokuin
