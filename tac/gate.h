// The gate: may a token with this time go out? (design section 3 "The gate"). One for each TSU.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <variant>

#include "tac/clock/bound.h"
#include "tac/validate.h"

namespace kokuin::tac {

/// Why the gate is closed, in the order in which it is looked for.
enum class Cause {
    suspended,      ///< by the operators (TSA-16)
    key_revoked,    ///< the TSU's certificate, or one above it, is revoked (KEY-7)
    unheard,        ///< nobody knows whether a certificate is revoked, and that isn't put up with
    stopped,        ///< order to stop, until a newer good TAC
    slept,          ///< the machine was suspended: all evidence is void
    leap_second,    ///< within a second of one
    contradiction,  ///< evidence excludes evidence
    taa_revoked,    ///< the TAC was taken back: the TAA's certificate is revoked (TAA-12)
    no_tac,         ///< none accepted in this boot
    tac_not_yet,    ///< C is before its validity
    tac_ended,      ///< by C or by M
    no_reference,   ///< the independent reference is wanted and has nothing to say (TSA-6)
    no_bound,       ///< the error of the clock isn't known
    bound,          ///< the error may be larger than the accuracy
    key_not_yet,    ///< before the key may be used
    key_ended,      ///< genTime + accuracy would lie after the key's end
};
/// One word for logs, metrics and `reasons`: "order-to-stop", "tac-ended", …
std::string_view name(Cause cause);

/// What a policy wants.
struct Demand {
    microseconds accuracy = seconds(1);
    int gentime_digits = 3;
    bool require_tac = true;
    /// Evidence of the reference must apply, too. Without require_tac it must in any case.
    bool require_reference = false;
    bool operator==(const Demand&) const = default;
};

struct Open {
    std::int64_t bound_us = 0;  ///< largest error of genTime, truncation included, rounded up
    std::shared_ptr<const AcceptedTac>
        tac;  ///< the TAC it rests on; null only where the policy doesn't require one
    /// What the bound was computed from; never null.
    std::shared_ptr<const clock::Basis> basis;
    std::uint64_t misses = 0;       ///< ErrorBound::misses() at this moment
    std::uint64_t withdrawals = 0;  ///< how many TACs had been taken back by then
};
struct Closed {
    Cause cause = Cause::no_tac;
    /// True: PKIFailureInfo timeNotAvailable; false: systemFailure, time isn't the cause.
    bool time_not_available = true;
    std::string text;  ///< for log, event and /readyz; never for the wire
};
using Decision = std::variant<Open, Closed>;

/// When the TSU's key may sign: inside its certificate and its activation period (KEY-4). Both inclusive.
struct KeyPeriod {
    WallTime from{};
    WallTime until{};
};

/// What `tsactl status` shows.
struct GateStatus {
    std::shared_ptr<const AcceptedTac> tac;
    std::optional<StopOrder> stop;
    std::optional<std::string> suspended;
    clock::Rate rate;  ///< what TACs taught
    clock::Rate reference_rate;
    std::shared_ptr<const clock::Basis> basis;  ///< never null
    clock::Bound bound;
    Decision decision;                      ///< for the demand asked about
    std::optional<WallTime> closes_at;      ///< if nothing new comes; nothing while closed
    std::optional<WallTime> tac_needed_at;  ///< see tac_needed_at()
};

/// Thread-safe. decide() takes a shared lock for a few instructions and doesn't allocate when the gate is
/// open. A TAC is written to the archive, durably, BEFORE accept(): what the gate opens on must survive a
/// crash. An order to stop is in force first and written before it is acknowledged: closing never waits for a
/// disk.
class Gate {
  public:
    explicit Gate(KeyPeriod key, clock::RateRules rules = {});

    enum class Taken {
        installed,
        resumed,  ///< installed, and it lifted an order to stop: record the resumption
        older,    ///< not newer than what is here (two deliveries raced): ignored
    };
    /// A TAC that was accepted in an earlier run and proves nothing any more: what comes must be newer all
    /// the same. Without it a clock turned back to an old TAC would revive that, and lift an order to stop.
    /// At start, before anything is accepted.
    void remember(LastTac last);
    /// A TAC that validate() accepted. Its evidence is added, its leap seconds are announced.
    Taken accept(std::shared_ptr<const AcceptedTac> tac);
    /// An order to stop holds from the next decide() on. Ignored (older) only if a TAC audited later is here
    /// already.
    Taken stop(StopOrder order);
    /// The TAC isn't believed any more, for what `why` says: it and all that TACs have said about the clock
    /// is dropped, and what requires one is closed until another one is accepted, which must be newer. An
    /// order to stop stays. False if another TAC is in force meanwhile.
    bool withdraw(const AcceptedTac& tac, std::string why);
    /// At start: the last TAC was taken back in an earlier run.
    void restore_withdrawn(std::string why);
    /// Evidence that doesn't come from a TAC.
    clock::ErrorBound::Added add(const clock::Evidence& evidence);
    /// A leap second that others than a TAC announce. The same one twice is one.
    void announce(const clock::LeapSecond& leap);
    /// The last TAC accepted; null before one was.
    [[nodiscard]] std::shared_ptr<const AcceptedTac> tac() const;
    /// The operators' own switch; `why` is shown.
    void suspend(std::string why);
    void resume();

    /// The TSU's own certificate is revoked, for what `why` says, or isn't any more (it was on hold). True if
    /// that is new.
    bool set_revoked(std::optional<std::string> why);
    /// Why nobody knows any more whether the TSU's certificate (`key`) or the TAA's (`taa`; closes only what
    /// requires a TAC) is revoked; nothing: it is known, or put up with.
    void set_unknown(std::optional<std::string> key, std::optional<std::string> taa);

    /// `reading` is the one that becomes genTime. All limits inclusive.
    [[nodiscard]] Decision decide(const clock::Reading& reading, const Demand& demand) const;
    /// Just before the token is released (step 9 of the stamping cycle): `stamped` must still be good by what
    /// is known now, `now` must be open too, and the TAC that `granted` names must still be valid. A larger
    /// bound than `granted` (and the record) says closes it if evidence has missed its prediction meanwhile;
    /// that older evidence gave way to newer one doesn't make what it said untrue.
    [[nodiscard]] Decision recheck(const Open& granted, const clock::Reading& stamped,
                                   const clock::Reading& now, const Demand& demand) const;
    /// When a new TAC will be needed for TACs alone to keep it open, so that the loss of the reference isn't
    /// the end; nothing if it is closed now.
    [[nodiscard]] std::optional<WallTime> tac_needed_at(const clock::Reading& now,
                                                        const Demand& demand) const;
    /// When the gate will close if nothing new comes; nothing if it is closed now.
    [[nodiscard]] std::optional<WallTime> closes_at(const clock::Reading& now, const Demand& demand) const;
    /// What the next TAC must be newer than.
    [[nodiscard]] std::optional<LastTac> last() const;
    [[nodiscard]] GateStatus status(const clock::Reading& now, const Demand& demand) const;

  private:
    struct State {
        KeyPeriod key;
        clock::ErrorBound error;
        std::shared_ptr<const AcceptedTac> tac;
        std::optional<StopOrder> stop;
        std::optional<std::string> suspended;
        std::optional<std::string> revoked;                   ///< the TSU's certificate
        std::optional<std::string> key_unknown, taa_unknown;  ///< whether it is revoked
        std::optional<LastTac> remembered;
        std::optional<std::string> withdrawn;  ///< why, until a TAC is accepted
        std::uint64_t withdrawals = 0;
    };
    /// `tac`: the one that must be valid at the reading and that an open decision names.
    static Decision judge(const State& state, const std::shared_ptr<const AcceptedTac>& tac,
                          const clock::Reading& reading, const Demand& demand);
    static std::optional<WallTime> foretell(const State& state, const clock::Reading& now,
                                            const Demand& demand, bool by_tac_alone);
    static std::optional<LastTac> last_of(const State& state);

    mutable std::shared_mutex mutex_;
    State state_;
};

}  // namespace kokuin::tac
