#include <nlohmann/json.hpp>

#include "base/json_text.h"
#include "taa/monthly_present.h"

namespace kokuin::taa {
namespace {

using Json = nlohmann::ordered_json;

std::string time_text(WallTime time) {
    return to_rfc3339(time, 3);
}

Json time_or_null(const std::optional<WallTime>& time) {
    return time ? Json(time_text(*time)) : Json(nullptr);
}

Json number_or_null(const std::optional<std::int64_t>& number) {
    return number ? Json(*number) : Json(nullptr);
}

/// The array of what `one` makes of each element.
template <typename List, typename One>
Json array(const List& list, One one) {
    Json out = Json::array();
    for (const auto& element : list) out.push_back(one(element));
    return out;
}

Json certificate(const SeenCertificate& seen) {
    return {{"subject", seen.subject}, {"sha256", seen.sha256}, {"not_after", time_or_null(seen.not_after)}};
}

Json spread_json(const std::optional<Spread>& spread) {
    if (!spread) return nullptr;
    return {{"min", spread->min}, {"median", spread->median}, {"max", spread->max}};
}

Json audit_json(const MonthlyAudit& audit) {
    Json json;
    json["at"] = time_text(audit.at);
    json["outcome"] = audit.stop ? "stop" : "good";
    json["cause"] = audit.cause;
    json["offset_us"] = audit.offset_us;
    json["delay_us"] = audit.delay_us;
    json["tac"] = audit.tac;
    json["verdict"] = audit.verdict;
    json["reason"] = audit.reason;
    json["record"] = audit.record;
    return json;
}

Json failure_json(const FailureRun& run) {
    Json json;
    json["from"] = time_text(run.from);
    json["to"] = time_text(run.to);
    json["count"] = run.count;
    json["outcome"] = run.outcome;
    json["text"] = run.text;
    return json;
}

Json outage_json(const Outage& outage) {
    Json json;
    json["from"] = time_text(outage.from);
    json["to"] = time_or_null(outage.to);
    json["promised_s"] = outage.promised.count();
    json["failures"] = outage.failures;
    return json;
}

Json resumption_json(const Resumption& resumption) {
    Json json;
    json["at"] = time_text(resumption.at);
    json["stopped"] = time_text(resumption.stopped);
    json["tac"] = resumption.tac;
    json["record"] = resumption.record;
    return json;
}

Json tsu_json(const MonthlyTsu& tsu) {
    Json json;
    json["name"] = tsu.name;
    json["certificates"] = array(tsu.certificates, certificate);
    json["limits"] = array(tsu.limits, [](const AuditLimits& limits) {
        return Json{{"policy", limits.policy},
                    {"max_offset_us", limits.max_offset_us},
                    {"max_delay_us", limits.max_delay_us}};
    });
    json["attempts"] = tsu.attempts();
    json["outcomes"] = tsu.outcomes;
    json["time_faults"] = tsu.time_faults();
    json["offset_us"] = spread_json(tsu.offset_us);
    json["delay_us"] = spread_json(tsu.delay_us);
    json["resumptions"] = array(tsu.resumptions, resumption_json);
    json["outages"] = array(tsu.outages, outage_json);
    json["failures"] = array(tsu.failures, failure_json);
    json["audits"] = array(tsu.audits, audit_json);
    return json;
}

Json clock_json(const ClockRecord& clock) {
    Json json;
    json["recorded"] = clock.recorded();
    json["comparisons"] = clock.comparisons;
    json["measurements"] = clock.measurements;
    json["offset_min_us"] = number_or_null(clock.offset_min_us);
    json["offset_max_us"] = number_or_null(clock.offset_max_us);
    json["offset_last_us"] = number_or_null(clock.offset_last_us);
    json["uncertainty_last_us"] = number_or_null(clock.uncertainty_last_us);
    json["unproved"] = array(clock.unproved, [](const Unproved& span) {
        return Json{{"from", time_text(span.from)}, {"to", time_or_null(span.to)}, {"text", span.text}};
    });
    return json;
}

}  // namespace

std::string to_json(const MonthlyReport& report) {
    Json json;
    json["month"] = report.month.text();
    json["tsa"] = report.tsa;
    json["interim"] = report.interim;
    json["from"] = time_text(report.month.start());
    json["to"] = time_text(report.month.end());
    json["until"] = time_text(report.until);
    json["last_record"] = report.last_record;
    json["made"] = time_text(report.made);
    json["time_faults"] = report.time_faults();
    json["taa"] = array(report.taa, certificate);
    json["clock"] = clock_json(report.clock);
    json["downtimes"] = array(report.downtimes, [](const Downtime& downtime) {
        return Json{{"from", time_text(downtime.from)},
                    {"to", time_or_null(downtime.to)},
                    {"recorded", downtime.recorded}};
    });
    json["tsus"] = array(report.tsus, tsu_json);
    json["log"] = report.checkpoint.empty()
                      ? Json(nullptr)
                      : Json{{"keys", report.log_keys}, {"checkpoint", report.checkpoint}};
    json["remarks"] = array(report.remarks, [](const Remark& remark) {
        return Json{{"code", name(remark.code)},
                    {"tsu", remark.tsu},
                    {"en", sentence(remark, Language::en)},
                    {"ja", sentence(remark, Language::ja)}};
    });
    return json_text(json);
}

}  // namespace kokuin::taa
