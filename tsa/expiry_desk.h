// Where operators have records removed that have passed their time (ARC-1): `tsactl archive expire` over the
// Unix socket of a running tsad; and the thread that removes them. docs/retention.md
#pragma once

#include <atomic>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/net/router.h"
#include "base/result.h"
#include "base/ticker.h"
#include "base/time.h"
#include "store/archive.h"
#include "store/removal.h"
#include "tac/clock/reading.h"
#include "tsa/hsms.h"
#include "tsa/journal.h"
#include "tsa/tsus.h"

namespace kokuin::tsa {

/// The present moment at the earliest, by a clock whose error is proved. Error (no): no TSU's gate is open.
Result<WallTime> proved_time(const tac::clock::StampingClock& clock, const Tsus& tsus,
                             const std::vector<tsp::Policy>& policies);

/// What it works with; all of it must outlive it.
struct ExpiryParts {
    const MonoClock& mono;
    store::Archive& archive;
    std::string dir;   ///< the archive's folder
    std::string copy;  ///< that of its second place; empty: there is none
    Journal& journal;
    Hsms& hsms;
    std::function<Result<WallTime>()> proved_now;
    std::function<void()> changed;  ///< something was recorded as removed
};

/// Records are removed in this order: the event "archive.expired" is durable, a checkpoint covers it, then
/// the archive's own files change, then those of the second place, once it has the event. What fails is tried
/// again, with growing pauses of up to ten minutes, and after a restart; events "removal.late" (at once, or
/// after an hour in which others have read) and "removal.back" tell of it. Stamping waits for none
/// of this. Thread-safe but for start() and stop().
class ExpiryDesk {
  public:
    explicit ExpiryDesk(ExpiryParts parts);
    ~ExpiryDesk() { stop(); }
    ExpiryDesk(const ExpiryDesk&) = delete;
    ExpiryDesk& operator=(const ExpiryDesk&) = delete;

    void start() { ticker_.start(); }
    /// Breaks off what runs. Idempotent.
    void stop();

    /// For root and the user tsad runs as; JSON in and out; errors as base/net/outcome.h has them.
    /// - POST /archive/expire {"why", "by", "months": [text…], "kinds": [text…]} (none: all):
    ///   {"removals": [{"month", "kind", "records", "ends"}], "list": text, "sha256": hex} and "text" or,
    ///   where custodians hold the PIN, {"proposal", "hsm"}. "list" is what will be recorded, "sha256" its
    ///   digest, which the custodians sign. Error (no): nothing has passed its time, or the clock isn't
    ///   proved.
    void add_routes(net::Router& router);

  private:
    struct Wanted {
        std::vector<std::string> months;
        std::vector<std::string> kinds;
        store::RemovalReasons reasons;
    };
    [[nodiscard]] Result<std::vector<store::Removal>> plan(const Wanted& wanted) const;
    [[nodiscard]] Result<std::string> expire(const Wanted& wanted);
    [[nodiscard]] Result<std::string> record(const std::vector<store::Removal>& removals,
                                             const store::RemovalReasons& reasons);
    void tick();
    [[nodiscard]] std::optional<Error> carry_out();
    [[nodiscard]] Done alone() const;
    void tell(const char* kind, const std::string& text);

    const ExpiryParts parts_;
    std::atomic<bool> wanted_{true};  // at start: what a crash has left
    std::atomic<bool> stopping_{false};
    std::optional<MonoTime> not_before_;
    std::optional<MonoTime> waits_since_;
    nanoseconds pause_ = seconds(1);
    bool late_ = false;
    Ticker ticker_;
};

}  // namespace kokuin::tsa
