#include "store/retention.h"

#include <algorithm>
#include <iterator>

namespace kokuin::store {
namespace {

// What two or three words mean where they stand more than once.
constexpr std::string_view anomaly = "anomaly, or its end";
constexpr std::string_view key_life = "life of a key: tokens are judged by it";
constexpr std::string_view key_custody = "who held a key's PIN, and used it";
constexpr std::string_view clock_record = "how well a clock was known";
constexpr std::string_view subscriber = "a TSU's admission by its TAA";
constexpr std::string_view a_certificate = "issuance and revocation of certificates";
constexpr std::string_view program_record = "which programs ran";
constexpr std::string_view key_of_signatures = "key of signatures over the archive";
constexpr std::string_view a_seal = "proof of a month's tokens";
constexpr std::string_view time_audit = "time audit";

constexpr int long_years = 10;
constexpr int of_anomaly = 3;

constexpr Retention retention_rows[] = {
    {"token", long_years, Beyond::nothing, "issuance of a token; never shorter than the TSU's certificate"},
    {"archive.backed-up", long_years, Beyond::nothing, "backups and restores"},
    {"archive.expired", long_years, Beyond::everything, "what was removed after its time"},
    {"archive.key", long_years, Beyond::everything, key_of_signatures},
    {"archive.restored", long_years, Beyond::everything,
     "backups and restores: which log goes on from which"},
    {"audit", long_years, Beyond::nothing, time_audit},
    {"audit.verdict", long_years, Beyond::nothing, time_audit},
    {"ca.crl", long_years, Beyond::in_force, a_certificate},
    {"ca.issued", long_years, Beyond::everything, a_certificate},
    {"ca.published", long_years, Beyond::in_force, a_certificate},
    {"ca.revoked", long_years, Beyond::everything, a_certificate},
    {"checkpoint.back", of_anomaly, Beyond::nothing, anomaly},
    {"checkpoint.late", of_anomaly, Beyond::nothing, anomaly},
    {"clock.calibrated", long_years, Beyond::nothing, clock_record},
    {"clock.followed", long_years, Beyond::in_force, clock_record},
    {"clock.proved", of_anomaly, Beyond::nothing, anomaly},
    {"clock.uncalibrated", long_years, Beyond::nothing, clock_record},
    {"clock.unproved", of_anomaly, Beyond::nothing, anomaly},
    {"copy.back", of_anomaly, Beyond::nothing, anomaly},
    {"copy.begun", long_years, Beyond::in_force, "backups and restores"},
    {"copy.late", of_anomaly, Beyond::nothing, anomaly},
    {"custody.activated", long_years, Beyond::in_force, key_custody},
    {"custody.agreed", long_years, Beyond::nothing, key_custody},
    {"custody.broken-off", long_years, Beyond::nothing, key_custody},
    {"custody.changed", long_years, Beyond::nothing, key_custody},
    {"custody.deactivated", long_years, Beyond::nothing, key_custody},
    {"custody.kept", long_years, Beyond::nothing, key_custody},
    {"custody.proposed", long_years, Beyond::nothing, key_custody},
    {"custody.refused", long_years, Beyond::nothing, key_custody},
    {"custody.resharing", long_years, Beyond::in_force, key_custody},
    {"custody.share", long_years, Beyond::nothing, key_custody},
    {"custody.shared", long_years, Beyond::in_force, key_custody},
    {"custody.unkept", of_anomaly, Beyond::nothing, anomaly},
    {"events.lost", of_anomaly, Beyond::nothing, anomaly},
    {"gate.closed", of_anomaly, Beyond::nothing, anomaly},
    {"gate.opened", of_anomaly, Beyond::nothing, anomaly},
    {"hsm.back", of_anomaly, Beyond::nothing, anomaly},
    {"hsm.lost", of_anomaly, Beyond::nothing, anomaly},
    {"import.erased", long_years, Beyond::nothing, "erasure of personal data"},
    {"import.other", long_years, Beyond::nothing, "imported"},
    {"import.room-entry", 1, Beyond::nothing, "room entry, imported"},
    {"import.subscription", long_years, Beyond::nothing, "subscription, imported"},
    {"key.activated", long_years, Beyond::everything, key_life},
    {"key.certified", long_years, Beyond::everything, key_life},
    {"key.compromise-told", long_years, Beyond::everything, key_life},
    {"key.compromised", long_years, Beyond::everything, key_life},
    {"key.destroyed", long_years, Beyond::everything, key_life},
    {"key.ended", of_anomaly, Beyond::in_force, anomaly},
    {"key.ending", of_anomaly, Beyond::in_force, anomaly},
    {"key.generated", long_years, Beyond::everything, key_life},
    {"key.missing", of_anomaly, Beyond::nothing, anomaly},
    {"key.overdue", of_anomaly, Beyond::in_force, anomaly},
    {"key.requested", long_years, Beyond::everything, key_life},
    {"key.retired", long_years, Beyond::everything, key_life},
    {"key.revoked", long_years, Beyond::everything, key_life},
    {"key.unrevoked", long_years, Beyond::everything, key_life},
    {"leap.disputed", of_anomaly, Beyond::nothing, anomaly},
    {"leap.list", of_anomaly, Beyond::nothing, anomaly},
    {"leap.pending", long_years, Beyond::nothing, clock_record},
    {"programs.accepted", long_years, Beyond::in_force, program_record},
    {"programs.changed", long_years, Beyond::nothing, program_record},
    {"programs.joined", long_years, Beyond::nothing, program_record},
    {"programs.memory", of_anomaly, Beyond::nothing, anomaly},
    {"programs.running", long_years, Beyond::in_force, program_record},
    {"programs.settled", of_anomaly, Beyond::nothing, anomaly},
    {"programs.traced", of_anomaly, Beyond::nothing, anomaly},
    {"reference.compared", long_years, Beyond::nothing, clock_record},
    {"reference.good", of_anomaly, Beyond::nothing, anomaly},
    {"reference.missed", of_anomaly, Beyond::nothing, anomaly},
    {"reference.reset", of_anomaly, Beyond::nothing, anomaly},
    {"reference.silent", of_anomaly, Beyond::nothing, anomaly},
    {"reference.stale", of_anomaly, Beyond::nothing, anomaly},
    {"reference.starting", of_anomaly, Beyond::nothing, anomaly},
    {"reference.unsynchronised", of_anomaly, Beyond::nothing, anomaly},
    {"refusals", of_anomaly, Beyond::nothing, anomaly},
    {"removal.back", of_anomaly, Beyond::nothing, anomaly},
    {"removal.late", of_anomaly, Beyond::nothing, anomaly},
    {"report.made", long_years, Beyond::nothing, time_audit},
    {"revocation.known", of_anomaly, Beyond::nothing, anomaly},
    {"revocation.unknown", of_anomaly, Beyond::nothing, anomaly},
    {"seal.back", of_anomaly, Beyond::nothing, anomaly},
    {"seal.late", of_anomaly, Beyond::nothing, anomaly},
    {"seal.made", long_years, Beyond::month, a_seal},
    {"seal.stamped", long_years, Beyond::month, a_seal},
    {"seal.wished", long_years, Beyond::nothing, "an operator's act"},
    {"server.started", long_years, Beyond::nothing, "when the server ran"},
    {"server.stopped", long_years, Beyond::nothing, "when the server ran"},
    {"taa.notice", long_years, Beyond::nothing, time_audit},
    {"taa.started", long_years, Beyond::nothing, "when the server ran"},
    {"taa.stopped", long_years, Beyond::nothing, "when the server ran"},
    {"tac.accepted", long_years, Beyond::tokens, "time audit; as long as the tokens under it"},
    {"tac.refused", long_years, Beyond::nothing, time_audit},
    {"tac.revoked", long_years, Beyond::in_force, time_audit},
    {"tac.stop", long_years, Beyond::in_force, time_audit},
    {"tsu.admitted", long_years, Beyond::everything, subscriber},
    {"tsu.compromised", long_years, Beyond::everything, subscriber},
    {"tsu.failing", of_anomaly, Beyond::in_force, anomaly},
    {"tsu.fine", of_anomaly, Beyond::in_force, anomaly},
    {"tsu.removed", long_years, Beyond::everything, subscriber},
    {"tsu.resumed", long_years, Beyond::everything, subscriber},
    {"tsu.reviewed", long_years, Beyond::everything, subscriber},
    {"tsu.stopped", of_anomaly, Beyond::in_force, anomaly},
    {"tsu.succeeded", long_years, Beyond::everything, subscriber},
    {"tsu.successor", long_years, Beyond::everything, subscriber},
    {"tsu.suspended", long_years, Beyond::everything, subscriber},
    {"tsu.unreachable", of_anomaly, Beyond::in_force, anomaly},
    {"witness.away", of_anomaly, Beyond::in_force, anomaly},
    {"witness.back", of_anomaly, Beyond::in_force, anomaly},
    {"witness.conflict", long_years, Beyond::in_force, "proof of a second history"},
    {"witness.key", long_years, Beyond::everything, key_of_signatures},
};

constexpr Retention of_others{};

}  // namespace

std::span<const Retention> retention_table() {
    return retention_rows;
}

const Retention& retention_of(std::string_view kind) {
    const auto* const events = std::begin(retention_rows) + 1;
    if (kind == retention_rows[0].kind) return retention_rows[0];
    const auto* const at =
        std::lower_bound(events, std::end(retention_rows), kind,
                         [](const Retention& one, std::string_view wanted) { return one.kind < wanted; });
    return at != std::end(retention_rows) && at->kind == kind ? *at : of_others;
}

WallTime years_later(WallTime time, int years) {
    namespace c = std::chrono;
    const c::sys_time<nanoseconds> since(time.time_since_epoch());
    const auto day = c::floor<c::days>(since);
    const c::year_month_day date(day);
    const c::year_month_day then(date.year() + c::years(years), date.month(), date.day());
    // Of a date that there isn't sys_days makes the day after the last one of February.
    return WallTime((c::sys_days(then) - c::sys_days{}) + (since - day));
}

WallTime month_begin(std::string_view segment) {
    const auto begin = from_rfc3339(std::string(segment.substr(0, 7)) + "-01");
    return begin ? *begin : WallTime::min();
}

std::optional<WallTime> kept_at_least_until(const BareRecord& record, std::string_view segment) {
    const auto begin = month_begin(segment);
    if (const auto* issuance = std::get_if<OwnIssuance>(&record.body))
        return years_later(std::max(begin, from_unix_us(issuance->gen_time_us)), retention_rows[0].years);
    const auto& rule = retention_of(std::get<Event>(record.body).kind);
    if (rule.beyond == Beyond::everything) return std::nullopt;
    return years_later(std::max(begin, from_unix_us(record.at_us)), rule.years);
}

WallTime token_kept_until(WallTime gen_time, WallTime certificate_end) {
    return std::max(years_later(gen_time, retention_rows[0].years), certificate_end);
}

}  // namespace kokuin::store
