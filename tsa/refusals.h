// Refusals are counted, and archived per minute, not one by one (design section 4).
#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <string>

#include "base/time.h"
#include "store/record.h"
#include "tsa/protocol/request.h"

namespace kokuin::tsa {

/// Counts rejections by failInfo and cause. Thread-safe.
class Refusals {
  public:
    /// `cause`: one of a small, fixed set of words ("clock", "hsm", "archive", "request"), never text from a
    /// request.
    void count(tsp::FailInfo info, const std::string& cause);
    /// What was refused since the last call, as an event of kind "refusals" with one field "failInfo/cause"
    /// each and the number of them; nothing if nothing was.
    std::optional<store::Event> take();
    /// What take() gave, because it couldn't be archived: it counts for the next one.
    void put_back(const store::Event& taken);
    /// Total since start, by "failInfo/cause". For metrics.
    [[nodiscard]] std::map<std::string, std::int64_t> totals() const;

  private:
    mutable std::mutex mutex_;
    std::map<std::string, std::int64_t> total_;
    std::map<std::string, std::int64_t> recent_;
};

}  // namespace kokuin::tsa
