// Whether a TSU is as it should be, as its audits show: what an operator is told once, not at every try.
#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "base/time.h"
#include "store/record.h"
#include "taa/report.h"

namespace kokuin::taa {

/// Thread-safe.
class Health {
  public:
    /// `patience`: a TSU that can't be reached for so long is worth a notice; one that only starts again
    /// isn't.
    explicit Health(nanoseconds patience) : patience_(patience) {}

    /// What has changed with this audit, if anything, as an event to announce:
    /// - "tsu.stopped": the first order to stop (TAA-2); fields: offset_us, tac (serial, hex).
    /// - "tsu.unreachable": every audit since `patience` or longer has failed to reach it; field: tries.
    /// - "tsu.fine": it took a good TAC again after one of the two; field: tac.
    /// Whatever else goes wrong changes nothing and is in the record of its audit. `now`: when it ended.
    std::optional<store::Event> take(const Report& report, MonoTime now);

  private:
    enum class State { fine, stopped, unreachable };
    struct Row {
        State state = State::fine;
        std::optional<MonoTime> unreached_since;
        std::int64_t tries = 0;
    };
    const nanoseconds patience_;
    std::mutex mutex_;
    std::map<std::string, Row> rows_;
};

}  // namespace kokuin::taa
