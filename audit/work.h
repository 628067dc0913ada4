// Work that many threads share.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace kokuin::audit {

/// Threads that take tasks in the order in which they were given. The destructor waits for all of them. Tasks
/// must not throw.
class Workers {
  public:
    using Task = std::function<void(unsigned worker)>;  ///< worker: 0 … count - 1
    explicit Workers(unsigned count);
    ~Workers();
    Workers(const Workers&) = delete;
    Workers& operator=(const Workers&) = delete;

    /// From the thread that made them. Waits while `most` tasks or more are waiting already.
    void add(Task task, std::size_t most = 64);
    /// Until all that was given is done.
    void wait();

  private:
    void run(unsigned worker);
    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<Task> tasks_;
    std::size_t running_ = 0;
    bool stop_ = false;
    std::vector<std::thread> threads_;
};

}  // namespace kokuin::audit
