// One audit of one TSU, from the connection to the recorded verdict (design section 3 "Audit exchange").
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "store/archive.h"
#include "taa/channel.h"
#include "taa/config.h"
#include "taa/issuer.h"
#include "taa/own_clock.h"
#include "taa/report.h"
#include "taa/tsus.h"
#include "tac/clock/leap_list.h"

namespace kokuin::taa {

class Admissions;

/// How a TSU's clock is measured.
struct Measuring {
    unsigned samples = 8;               ///< of one measurement, at least 1
    unsigned measurements = 3;          ///< at most, while the least delay is too large; at least 1
    nanoseconds deadline = seconds(5);  ///< of one exchange
};

/// Makes audits. Thread-safe: any number of TSUs at once. What it is made of outlives it.
class Auditor {
  public:
    /// `admissions`: who is served at all. `leaps`: what TACs announce a month ahead (TAA-9); null or
    /// unreadable: nothing. `own`: what is known of this TAA's clock; null where nobody watches it.
    /// `held_back`: why no TAC may leave now (its archive is under no checkpoint for too long), or nothing;
    /// for any thread.
    Auditor(const Measuring& measuring, const Issuer& issuer, store::Archive& archive,
            const Admissions& admissions, Clocks clocks, const OwnClock* own,
            const tac::clock::LeapFile* leaps, std::function<std::optional<std::string>()> held_back);

    /// One audit of a TSU that is admitted (TAA-6); of another one nothing is measured and nothing recorded,
    /// its outcome is `not_admitted`. In this order:
    ///  1. connect: both certificates are checked, the TSU's name is in its own (TAA-3);
    ///     While the TAA's own clock isn't known to be within its limit (TAA-4), nothing is measured, and the
    ///     TSU is told why it gets no TAC; that is looked at again before anything is signed. The same within
    ///     two seconds of a leap second (TAA-9);
    ///  2. measure: `samples` exchanges, each with a fresh nonce; the least delay counts. Beyond max_delay:
    ///     measured again, a bounded number of times. A TSU that is suspended meanwhile is left alone after
    ///     the exchange that runs;
    ///  3. while no operator can suspend it any more: judge, and sign a TAC or an order to stop in the HSM;
    ///     the signature is checked (TAA-2, TAA-5);
    ///     While TACs are held back none is signed, and one that was signed meanwhile doesn't leave; an order
    ///     to stop does: whose clock is wrong must hear of it;
    ///  4. record, durably: what left this house is in the archive, always (TAA-8);
    ///  5. deliver, with the nonce of the sample that counted;
    ///  6. record the TSU's verdict.
    /// Where a step fails the audit ends; that too is recorded, with neither TAC nor order to stop: a clock
    /// that couldn't be measured isn't wrong. Never throws.
    [[nodiscard]] Report audit(const AuditedTsu& tsu, Cause cause);

  private:
    void run(const AuditedTsu& tsu, Report& report);
    [[nodiscard]] bool measure(Channel& channel, const AuditedTsu& tsu, Report& report);
    /// A TAC that is signed and recorded, and doesn't leave.
    void keep(Report& report, const std::string& why);
    void deliver(Channel& channel, Report& report);
    [[nodiscard]] bool near_leap() const;
    [[nodiscard]] std::vector<tac::clock::LeapSecond> leaps_ahead(WallTime at) const;
    [[nodiscard]] bool own_clock_is_right(Channel& channel, const AuditedTsu& tsu, Report& report);
    void record_failure(const AuditedTsu& tsu, Report& report);

    const Measuring measuring_;
    const Issuer& issuer_;
    store::Archive& archive_;
    const Admissions& admissions_;
    const Clocks clocks_;
    const OwnClock* const own_;
    const tac::clock::LeapFile* const leaps_;
    const std::function<std::optional<std::string>()> held_back_;
};

}  // namespace kokuin::taa
