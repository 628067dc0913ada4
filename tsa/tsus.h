// The TSUs of a running server: which sign, and which wait to take over from their predecessor.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "tsa/tsu.h"

namespace kokuin::tsa {

/// Thread-safe; reading costs no lock. A list that was read stays as it was, and keeps its TSUs alive.
class Tsus {
  public:
    using List = std::vector<std::shared_ptr<Tsu>>;

    /// At least one.
    explicit Tsus(List signing);
    Tsus(const Tsus&) = delete;
    Tsus& operator=(const Tsus&) = delete;

    /// Those whose turn it is to sign, in the order of the configuration.
    [[nodiscard]] std::shared_ptr<const List> signing() const { return signing_.load(); }
    /// These, and after them the successors: all that are audited and told of evidence.
    [[nodiscard]] std::shared_ptr<const List> audited() const { return audited_.load(); }
    /// The one of this name that signs; null: there is none.
    [[nodiscard]] std::shared_ptr<Tsu> find(const std::string& name) const;

    /// Makes a successor known, so that it can be audited. It signs nothing yet. One of its name at a time:
    /// false if there is another.
    bool wait(std::shared_ptr<Tsu> successor);
    /// It isn't to take over any more.
    void give_up(const std::string& name);
    /// The successor of this name signs from the next request on, instead of its predecessor, which is
    /// returned: what it has signed may still be on its way, and keeps it alive. Null: nobody waits.
    std::shared_ptr<Tsu> take_over(const std::string& name);

  private:
    void publish();  // with the lock held

    std::mutex mutex_;
    List now_;
    List waiting_;
    std::atomic<std::shared_ptr<const List>> signing_;
    std::atomic<std::shared_ptr<const List>> audited_;
};

}  // namespace kokuin::tsa
