// Whether a TSU is as it should be, as its audits show: what an operator is told once, not at every try.
#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/time.h"
#include "store/archive.h"
#include "taa/report.h"

namespace kokuin::taa {

/// Thread-safe.
class Health {
  public:
    // The kinds of its events.
    static constexpr std::string_view stopped = "tsu.stopped";
    static constexpr std::string_view unreachable = "tsu.unreachable";
    static constexpr std::string_view failing = "tsu.failing";
    static constexpr std::string_view fine = "tsu.fine";

    /// `patience`: what goes wrong for so long is worth a notice; a TSU that only starts again isn't.
    explicit Health(nanoseconds patience) : patience_(patience) {}

    /// At a start: what was said last about this TSU is still to be taken back, and not to be said again.
    Done restore(const store::Archive& archive, const std::string& tsu);

    /// What has changed with this audit, if anything, as an event to announce:
    /// - "tsu.stopped": the first order to stop (TAA-2); fields: offset_us, tac (serial, hex).
    /// - "tsu.unreachable": every audit for `patience` or longer has failed, and this one couldn't reach it;
    ///   "tsu.failing": the same, and this one failed otherwise (it refuses, another certificate, our HSM,
    ///   …); fields: tries, outcome.
    /// - "tsu.fine": it took a good TAC again after one of these; field: tac.
    /// That the TAA's own clock isn't proved, and that a TSU isn't admitted, is nothing about the TSU. `now`:
    /// when the audit ended.
    std::optional<store::Event> take(const Report& report, MonoTime now);

  private:
    struct Row {
        std::string_view state = fine;
        std::optional<MonoTime> failing_since;
        std::int64_t tries = 0;
    };
    static std::optional<store::Event> failed(Row& row, const Report& report, MonoTime now,
                                              nanoseconds patience);

    const nanoseconds patience_;
    std::mutex mutex_;
    std::map<std::string, Row> rows_;
};

}  // namespace kokuin::taa
