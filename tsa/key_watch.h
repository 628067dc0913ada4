// Says in time what a key's calendar brings: the end of its use (KEY-4), its destruction (KEY-5).
#pragma once

#include <map>
#include <string>

#include "tsa/key_life.h"

namespace kokuin::tsa {

/// For one thread. Events, each once for a key, also over restarts; the operators' hook hears of them:
///   "key.ending"   60, 30, 7 and 1 days before an active key may sign no more; field days
///   "key.ended"    it may sign no more
///   "key.overdue"  a retired key wasn't destroyed within a month
class KeyWatch {
  public:
    KeyWatch(const KeyLife& life, Journal& journal) : life_(life), journal_(journal) {}
    /// What was said before this start.
    Done restore(const store::Archive& archive);
    void tick(WallTime now);

  private:
    void say(const KeyEntry& entry, const std::string& kind, int days, const std::string& text);

    const KeyLife& life_;
    Journal& journal_;
    std::map<std::string, int> ending_;  // key (SHA-256) → the fewest days that were said; 0: ended
    std::map<std::string, bool> overdue_;
};

}  // namespace kokuin::tsa
