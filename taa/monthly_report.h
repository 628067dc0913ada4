// The monthly report of a TSA (TAA-7) as a value: what the TAA's archive says about one month, and nothing
// else. How it looks is monthly_present.h's business, where it is kept monthly_files.h's.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/month.h"
#include "base/result.h"
#include "base/spread.h"
#include "base/time.h"
#include "pki/certificate.h"
#include "store/reader.h"
#include "taa/config.h"

namespace kokuin::taa {

/// How long after its end a month is taken for over: until then the last audit may still wait for its
/// verdict.
constexpr nanoseconds month_settles = std::chrono::minutes(5);

/// An audit that measured the clock, and led to a TAC or an order to stop.
struct MonthlyAudit {
    store::RecordNumber record = 0;
    WallTime at{};                 ///< when it was recorded
    bool stop = false;             ///< the offset was beyond the limit: a time fault, an order to stop
    std::string cause;             ///< "schedule", "request", "operator"
    std::int64_t offset_us = 0;    ///< TSU − TAA, rounded towards 0, as in the TAC
    std::int64_t delay_us = 0;     ///< of the network, rounded up, as in the TAC
    std::string tac;               ///< serial number, hex
    std::string verdict = "none";  ///< "accepted", "stop-accepted", "refused"; "none": no answer
    std::string reason;            ///< of a refusal
};

/// Audits in a row that measured nothing, all with the same outcome.
struct FailureRun {
    WallTime from{};  ///< the first
    WallTime to{};    ///< the last
    std::size_t count = 0;
    std::string outcome;
    std::string text;  ///< of the last, for people
};

/// A span without an audit that reached the TSU, longer than promised: a day (TAA-1), or less where the TAC
/// ended before.
struct Outage {
    WallTime from{};             ///< the audit before it, which may lie in an earlier month
    std::optional<WallTime> to;  ///< nothing: it lasted when the report ends
    seconds promised{};
    std::size_t failures = 0;  ///< audits tried in vain
};

/// The first good TAC that a TSU took after an order to stop.
struct Resumption {
    WallTime at{};
    WallTime stopped{};  ///< the first order to stop
    store::RecordNumber record = 0;
    std::string tac;
};

struct SeenCertificate {
    std::string subject;  ///< RFC 4514, one line
    std::string sha256;   ///< hex; empty where it couldn't be read
    std::optional<WallTime> not_after;
};

struct AuditLimits {
    std::string policy;
    std::int64_t max_offset_us = 0;
    std::int64_t max_delay_us = 0;
    friend bool operator==(const AuditLimits&, const AuditLimits&) = default;
};

/// One TSU in one month.
struct MonthlyTsu {
    std::string name;                           ///< in the TAA's configuration
    std::vector<SeenCertificate> certificates;  ///< it signed tokens with, in the order of their use
    std::vector<AuditLimits> limits;            ///< it was judged by, in the order of their use
    std::vector<MonthlyAudit> audits;
    std::vector<FailureRun> failures;
    std::vector<Outage> outages;
    std::vector<Resumption> resumptions;
    std::map<std::string, std::size_t> outcomes;  ///< how many audits ended how; every outcome there is
    std::optional<Spread> offset_us;
    std::optional<Spread> delay_us;

    [[nodiscard]] std::size_t time_faults() const;
    [[nodiscard]] std::size_t attempts() const;  ///< audits, whatever came of them
};

/// The TAA didn't run.
struct Downtime {
    WallTime from{};             ///< may lie in an earlier month
    std::optional<WallTime> to;  ///< nothing: it lasted when the report ends
    bool recorded = true;        ///< false: it ended without good order; `from` is its last sign of life
};

/// The TAA's own clock couldn't be proved.
struct Unproved {
    WallTime from{};
    std::optional<WallTime> to;
    std::string text;
};

/// What an independent reference said about the TAA's own clock (TAA-4).
struct ClockRecord {
    std::int64_t comparisons = 0;  ///< records of comparisons
    std::int64_t measurements = 0;
    std::optional<std::int64_t> offset_min_us;
    std::optional<std::int64_t> offset_max_us;
    std::optional<std::int64_t> offset_last_us;
    std::optional<std::int64_t> uncertainty_last_us;
    std::vector<Unproved> unproved;

    [[nodiscard]] bool recorded() const { return comparisons > 0; }
};

/// What a reader should know and a number doesn't say.
struct Remark {
    enum class Code {
        interim,                  ///< the month isn't over
        no_reference,             ///< nothing independent watched the TAA's own clock
        no_audit,                 ///< of this TSU in this month
        no_certificate,           ///< of this TSU can be read
        certificate_changed,      ///< this TSU signed with several
        limits_changed,           ///< this TSU was judged by several
        undelivered,              ///< TACs of this TSU that it didn't take or didn't answer; detail: how many
        taa_certificate_changed,  ///< the TAA signed with several
        unrecorded_stop,          ///< the TAA ended without good order at least once
        admission,                ///< a step about this TSU (TAA-6); detail: which, when and why
    };
    Code code = Code::interim;
    std::string tsu;     ///< whom it concerns; empty: the TAA
    std::string detail;  ///< a number or a text, where the code has one
};
std::string_view name(Remark::Code code);

/// One TSA in one month.
struct MonthlyReport {
    explicit MonthlyReport(Month of) : month(of) {}

    Month month;
    std::string tsa;
    WallTime made{};
    bool interim = false;  ///< the month wasn't over when it was made
    WallTime until{};      ///< the end of the month, or of what an interim report knows
    /// The last record of the month that it knows; a kept report that is older than that is out of date.
    store::RecordNumber last_record = -1;
    std::vector<SeenCertificate> taa;  ///< the TAA's certificates that signed its TACs
    std::vector<MonthlyTsu> tsus;      ///< by name
    std::vector<Downtime> downtimes;
    ClockRecord clock;
    /// The newest checkpoint over the TAA's archive when it was made (a signed note, TAA-8): from now on its
    /// reader, another organisation, knows what the archive was. Empty: nobody has signed one.
    std::string checkpoint;
    std::vector<std::string> log_keys;  ///< with which, by the archive; oldest first
    std::vector<Remark> remarks;

    [[nodiscard]] std::size_t time_faults() const;
};

/// A TSU of today's configuration.
struct ConfiguredTsu {
    std::string name;
    std::string tsa;
    std::optional<pki::Certificate> certificate;  ///< where its file could be read
};
/// Reads the certificates; one that can't be read is no error here: the archive has them too.
std::vector<ConfiguredTsu> configured_tsus(const Settings& settings);

/// The reports of all TSAs of that month, by name. A TSU is part of one if an audit of it was tried in the
/// month, or if it is configured and wasn't audited later for the first time. Events of before the field
/// `tsa` belong to the TSA that the configuration names now. Error (no): the month hasn't begun, or the
/// archive holds nothing of it; (environment): the archive can't be read.
Result<std::vector<MonthlyReport>> collect(store::ArchiveReader& archive,
                                           const std::vector<ConfiguredTsu>& configured, Month month,
                                           WallTime now);

}  // namespace kokuin::taa
