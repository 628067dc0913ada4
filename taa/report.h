// What came of one audit, and how the archive and the log tell it (TAA-8, TAA-11).
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "store/record.h"
#include "taa/channel.h"
#include "taa/config.h"
#include "taa/issuer.h"
#include "taa/timetable.h"

namespace kokuin::taa {

enum class Outcome {
    good,               ///< within the limit: a TAC
    stop,               ///< beyond it: an order to stop
    unreachable,        ///< no connection, wrong certificate, no answer: no TAC and no stop
    bad_answer,         ///< the TSU answered, but not with its clock
    other_certificate,  ///< the TSU signs with another certificate than the one we are to audit
    delay_too_large,    ///< no sample was fast enough to say anything
    not_signed,         ///< HSM, the TAA's certificate, or a late checkpoint; nothing left
    not_recorded,       ///< the archive failed; nothing left
    own_clock,          ///< the TAA's own clock isn't known to be right (TAA-4): nobody was measured
    not_admitted,       ///< nobody has admitted it, or it was suspended or removed (TAA-6)
};
/// One word for log and archive: "good", "delay-too-large", …
std::string_view name(Outcome outcome);

/// Why an audit was made.
enum class Cause {
    schedule,        ///< it was due
    request,         ///< the TSU asked for it (TAC-9)
    operator_order,  ///< somebody typed `taad audit now`
};
/// "schedule", "request", "operator".
std::string_view name(Cause cause);

/// One audit of one TSU, as far as it came.
struct Report {
    std::string tsu;  ///< its name in the TAA's configuration
    std::string tsa;  ///< whose it is
    Cause cause = Cause::schedule;
    Outcome outcome = Outcome::unreachable;
    std::string text;  ///< why, one line; empty for `good`
    /// Largest error that the TAA's own clock could have when the TAC was signed; nothing if it isn't
    /// watched.
    std::optional<std::int64_t> own_bound_us;
    unsigned samples = 0;          ///< that counted, of the last measurement
    unsigned measurements = 0;     ///< begun
    std::optional<Sample> sample;  ///< the one with the least delay
    std::optional<Issued> issued;  ///< only with an outcome `good` or `stop`, or `not_recorded`
    std::string peer;              ///< hex SHA-256 of the channel certificate the TSU showed; empty: none
    std::optional<store::RecordNumber> record;    ///< of the event "audit"
    std::optional<tac::DeliveryVerdict> verdict;  ///< nothing: not delivered, or no answer
    std::string undelivered;                      ///< why there is no verdict, one line

    /// What the schedule makes of it.
    [[nodiscard]] Ending ending() const;
    /// One line of key=value pairs.
    [[nodiscard]] std::string log_line() const;
    /// The same as one JSON object: tsu, outcome, cause, text; with a sample offset_us, delay_us, samples;
    /// with a TAC that was recorded tac (hex), verdict, reason, undelivered; record.
    [[nodiscard]] std::string json() const;
};

/// The event "audit": everything up to and with the TAC, written before the TAC leaves. Fields: outcome,
/// cause ("schedule", "request", "operator"), samples, measurements, tsa, policy, max_offset_us,
/// max_delay_us, own_bound_us; with a sample: nonce, t1_ns, t2_ns, t3_ns, t4_ns (since 1970), offset_ns (TSU
/// − TAA), delay_ns; with a TAC: tac_serial (hex), tac_not_after (RFC 3339); channel_certificate (hex
/// SHA-256) and tsu_certificate (hex SHA-256). Blobs, in this order, with a TAC: the TAC, the TSU's
/// certificate, the TAA's certificate.
store::Event audit_event(const Report& report, const AuditRules& rules, const pki::Certificate& holder,
                         const std::vector<store::Blob>& blobs);

/// The event "audit.verdict", written after delivery. Fields: audit (record number of the audit), tac_serial
/// (hex), verdict ("accepted", "stop-accepted", "refused", "none" where no answer came), reason.
store::Event verdict_event(const Report& report);

}  // namespace kokuin::taa
