#include "taa/report.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "base/json_text.h"
#include "base/text.h"

namespace kokuin::taa {
namespace {

constexpr std::size_t longest_text = 1000;

std::string_view name(tac::DeliveryVerdict::Kind kind) {
    switch (kind) {
        case tac::DeliveryVerdict::Kind::accepted:
            return "accepted";
        case tac::DeliveryVerdict::Kind::stop_accepted:
            return "stop-accepted";
        case tac::DeliveryVerdict::Kind::refused:
            return "refused";
    }
    return "refused";
}

std::string_view verdict_word(const Report& report) {
    return report.verdict ? name(report.verdict->kind) : "none";
}

std::int64_t ns(WallTime time) {
    return time.time_since_epoch().count();
}

std::int64_t us(nanoseconds duration) {
    return std::chrono::duration_cast<microseconds>(duration).count();
}

}  // namespace

std::string_view name(Outcome outcome) {
    switch (outcome) {
        case Outcome::good:
            return "good";
        case Outcome::stop:
            return "stop";
        case Outcome::unreachable:
            return "unreachable";
        case Outcome::bad_answer:
            return "bad-answer";
        case Outcome::other_certificate:
            return "other-certificate";
        case Outcome::delay_too_large:
            return "delay-too-large";
        case Outcome::not_signed:
            return "not-signed";
        case Outcome::own_clock:
            return "own-clock";
        case Outcome::not_recorded:
            return "not-recorded";
        case Outcome::not_admitted:
            return "not-admitted";
    }
    return "unknown";
}

std::string_view name(Cause cause) {
    switch (cause) {
        case Cause::schedule:
            return "schedule";
        case Cause::request:
            return "request";
        case Cause::operator_order:
            return "operator";
    }
    return "unknown";
}

Ending Report::ending() const {
    // Only an operator's step changes that, and asks for an audit.
    if (outcome == Outcome::not_admitted) return Ending::settled;
    if (!verdict) return Ending::open;
    switch (verdict->kind) {
        case tac::DeliveryVerdict::Kind::accepted:
            return outcome == Outcome::good ? Ending::settled : Ending::open;
        case tac::DeliveryVerdict::Kind::stop_accepted:
            return Ending::open;
        case tac::DeliveryVerdict::Kind::refused:
            // An order that isn't taken must be given again soon, not in an hour.
            return outcome == Outcome::stop ? Ending::open : Ending::refused;
    }
    return Ending::refused;
}

std::string Report::log_line() const {
    std::string line =
        "audit tsu=" + tsu + " outcome=" + std::string(name(outcome)) + " cause=" + std::string(name(cause));
    if (sample)
        line += " offset_us=" + std::to_string(us(sample->measurement.offset)) +
                " delay_us=" + std::to_string(us(sample->measurement.delay)) +
                " samples=" + std::to_string(samples);
    if (issued) line += " tac=" + issued->serial;
    if (record) line += " record=" + std::to_string(*record);
    if (issued && record) line += " verdict=" + std::string(verdict_word(*this));
    if (verdict && !verdict->reason.empty()) line += " reason=" + one_line(verdict->reason, 64);
    if (!text.empty()) line += " text=\"" + text + "\"";
    if (!undelivered.empty()) line += " undelivered=\"" + undelivered + "\"";
    if (verdict && verdict->kind == tac::DeliveryVerdict::Kind::refused)
        line += " tsu_says=\"" + one_line(verdict->text) + "\"";
    return line;
}

std::string Report::json() const {
    nlohmann::ordered_json out;
    out["tsu"] = tsu;
    out["outcome"] = name(outcome);
    out["cause"] = name(cause);
    out["text"] = text;
    if (sample) {
        out["offset_us"] = us(sample->measurement.offset);
        out["delay_us"] = us(sample->measurement.delay);
        out["samples"] = samples;
    }
    if (record) out["record"] = *record;
    if (issued && record) {
        out["tac"] = issued->serial;
        out["verdict"] = verdict_word(*this);
        out["reason"] = verdict ? verdict->reason : "";
        out["undelivered"] = undelivered;
    }
    return json_text(out);
}

store::Event audit_event(const Report& report, const AuditRules& rules, const pki::Certificate& holder,
                         const std::vector<store::Blob>& blobs) {
    store::Event event;
    event.kind = "audit";
    event.subject = report.tsu;
    event.text = one_line(report.text, longest_text);
    auto& fields = event.fields;
    fields["outcome"] = std::string(name(report.outcome));
    fields["cause"] = std::string(name(report.cause));
    fields["samples"] = std::int64_t{report.samples};
    fields["measurements"] = std::int64_t{report.measurements};
    if (!report.tsa.empty()) fields["tsa"] = report.tsa;
    fields["policy"] = rules.policy;
    fields["max_offset_us"] = us(rules.max_offset);
    fields["max_delay_us"] = us(rules.max_delay);
    fields["tsu_certificate"] = to_hex(holder.sha256());
    if (report.own_bound_us) fields["own_bound_us"] = *report.own_bound_us;
    if (!report.peer.empty()) fields["channel_certificate"] = report.peer;
    if (report.sample) {
        const auto& sample = *report.sample;
        fields["nonce"] = sample.nonce;
        fields["t1_ns"] = ns(sample.t1);
        fields["t2_ns"] = ns(sample.t2);
        fields["t3_ns"] = ns(sample.t3);
        fields["t4_ns"] = ns(sample.t4);
        fields["offset_ns"] = std::int64_t{sample.measurement.offset.count()};
        fields["delay_ns"] = std::int64_t{sample.measurement.delay.count()};
    }
    if (report.issued) {
        fields["tac_serial"] = report.issued->serial;
        fields["tac_not_after"] = to_rfc3339(report.issued->tac.not_after, 0);
    }
    for (const auto& blob : blobs) event.blobs.push_back(blob.id());
    return event;
}

store::Event verdict_event(const Report& report) {
    store::Event event;
    event.kind = "audit.verdict";
    event.subject = report.tsu;
    event.text = one_line(report.verdict ? report.verdict->text : report.undelivered, longest_text);
    event.fields["verdict"] = std::string(verdict_word(report));
    if (report.verdict && !report.verdict->reason.empty())
        event.fields["reason"] = one_line(report.verdict->reason, 64);
    if (report.record) event.fields["audit"] = std::int64_t{*report.record};
    if (report.issued) event.fields["tac_serial"] = report.issued->serial;
    return event;
}

}  // namespace kokuin::taa
