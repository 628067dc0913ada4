#include <nlohmann/json.hpp>

#include "audit/report/present.h"
#include "base/json_text.h"

namespace kokuin::audit::report {
namespace {

using Json = nlohmann::ordered_json;

std::string time_text(WallTime time) {
    return to_rfc3339(time, 3);
}

template <typename T>
Json or_null(const std::optional<T>& value) {
    return value ? Json(*value) : Json(nullptr);
}
Json or_null(const std::optional<WallTime>& time) {
    return time ? Json(time_text(*time)) : Json(nullptr);
}
Json or_null(const std::string& text) {
    return text.empty() ? Json(nullptr) : Json(text);
}

std::int64_t in_us(nanoseconds time) {
    return std::chrono::duration_cast<microseconds>(time).count();
}

/// The array of what `one` makes of each row.
template <typename List, typename One>
Json array(const List& list, One one) {
    Json out = Json::array();
    for (const auto& row : list) out.push_back(one(row));
    return out;
}

std::string day_text(const Report& report, std::size_t day) {
    return to_rfc3339(report.month.start() + std::chrono::hours(24) * day, 0).substr(0, 10);
}

Json days(const Report& report, const std::vector<std::uint64_t>& counts) {
    Json out = Json::object();
    for (std::size_t day = 0; day < counts.size(); ++day)
        if (counts[day] > 0) out[day_text(report, day)] = counts[day];
    return out;
}

Json volume_json(const Report& report) {
    const auto& volume = report.volume;
    Json json;
    json["tokens"] = volume.tokens;
    json["without_tac"] = volume.without_tac;
    json["by"] = array(volume.by, [](const auto& row) {
        return Json{{"policy", row.first.first}, {"tsu", row.first.second}, {"tokens", row.second}};
    });
    json["peak_minute"] =
        volume.peak_at ? Json{{"at", time_text(*volume.peak_at)}, {"tokens", volume.peak}} : Json(nullptr);
    json["days"] = days(report, volume.days());
    json["hours"] = Json::array();
    for (std::size_t hour = 0; hour < volume.hours.size(); ++hour) {
        const auto& one = volume.hours[hour];
        if (one.tokens == 0) continue;
        json["hours"].push_back({{"at", time_text(report.month.start() + std::chrono::hours(1) * hour)},
                                 {"tokens", one.tokens},
                                 {"clock_bound_max_us", one.bound_max_us},
                                 {"clock_bound_median_us", one.bound_median_us}});
    }
    return json;
}

Json refusals_json(const Report& report) {
    Json json;
    json["total"] = report.refusals.total;
    json["by"] = Json::object();
    for (const auto& [reason, counts] : report.refusals.by) {
        std::uint64_t total = 0;
        for (const auto count : counts) total += count;
        json["by"][reason] = {{"total", total}, {"days", days(report, counts)}};
    }
    return json;
}

Json clock_json(const Clock& clock) {
    Json json;
    json["bound_max_us"] = clock.bound_max_us;
    json["bound_max_serial"] = or_null(clock.bound_max_serial);
    json["accuracy_us"] = Json::object();
    for (const auto& [policy, accuracies] : clock.accuracy_us) json["accuracy_us"][policy] = accuracies;
    json["comparisons"] = array(clock.comparisons.rows, [](const Comparison& one) {
        return Json{{"at", time_text(one.at)},
                    {"measurements", one.measurements},
                    {"offset_min_us", one.offset_min_us},
                    {"offset_max_us", one.offset_max_us},
                    {"uncertainty_us", one.uncertainty_us}};
    });
    return json;
}

Json audit_json(const Audit& audit) {
    Json json;
    json["number"] = audit.number;
    json["at"] = time_text(audit.at);
    json["tsu"] = audit.tsu;
    json["verdict"] = audit.verdict;
    json["tac"] = or_null(audit.tac);
    json["offset_us"] = or_null(audit.offset_us);
    json["delay_us"] = or_null(audit.delay_us);
    json["max_offset_us"] = or_null(audit.max_offset_us);
    json["valid_until"] = or_null(audit.until);
    json["count"] = audit.count;
    json["text"] = audit.text;
    return json;
}

Json outage_json(const Outage& outage, WallTime until) {
    Json json;
    json["what"] = outage.what;
    json["subject"] = outage.subject;
    json["cause"] = outage.cause;
    json["from"] = time_text(outage.from);
    json["to"] = or_null(outage.to);
    json["duration_us"] = in_us(outage.to.value_or(until) - outage.from);
    json["recorded"] = outage.recorded;
    json["text"] = outage.text;
    return json;
}

Json integrity_json(const Report& report) {
    const auto& integrity = report.integrity;
    Json json;
    json["checkpoints"] = integrity.checkpoints;
    json["longest_uncovered_us"] = integrity.longest_uncovered_us;
    json["uncovered"] = integrity.uncovered;
    json["removed"] = integrity.removed;
    json["unknown_for"] = integrity.unknown_for;
    json["head"] = integrity.head_size ? Json{{"size", *integrity.head_size},
                                              {"root", integrity.head_root},
                                              {"note", integrity.head_note}}
                                       : Json(nullptr);
    json["cosignatures"] = Json::object();
    for (const auto& [witness, count] : integrity.cosignatures) json["cosignatures"][witness] = count;
    json["verified"] = nullptr;
    if (!report.verified) return json;
    const auto& verified = *report.verified;
    auto& said = json["verified"] = Json::object();
    said["ok"] = verified.ok;
    said["anchored"] = verified.anchored;
    said["not_anchored_because"] = or_null(verified.not_anchored_because);
    said["since"] = verified.since;
    said["records"] = verified.records;
    said["tokens"] = verified.tokens;
    said["problems"] = array(verified.problems.rows, [](const Verified::Problem& problem) {
        return Json{{"kind", problem.kind},
                    {"segment", or_null(problem.segment)},
                    {"number", or_null(problem.number)},
                    {"serial", or_null(problem.serial)},
                    {"detail", problem.detail}};
    });
    said["more_problems"] = verified.problems.left_out;
    return json;
}

}  // namespace

std::string to_json(const Report& report) {
    Json json;
    json["month"] = report.month.text();
    json["archive"] = report.archive;
    json["origin"] = report.origin;
    json["tsu"] = or_null(report.tsu);
    json["interim"] = report.interim;
    json["from"] = time_text(report.from);
    json["until"] = time_text(report.until);
    json["made"] = time_text(report.made);
    json["first"] = report.first;
    json["last"] = report.last;
    json["last_at"] = time_text(report.last_at);
    json["events"] = report.events.empty() ? Json::object() : Json(report.events);
    json["volume"] = volume_json(report);
    json["refusals"] = refusals_json(report);
    json["clock"] = clock_json(report.clock);
    json["verdicts"] = report.verdicts.empty() ? Json::object() : Json(report.verdicts);
    json["audits"] = array(report.audits.rows, audit_json);
    json["gaps"] = array(report.gaps.rows, [](const Gap& gap) {
        return Json{{"tsu", gap.tsu}, {"from", time_text(gap.from)}, {"to", or_null(gap.to)}};
    });
    const auto step_json = [](const Step& step) {
        return Json{{"number", step.number},   {"at", time_text(step.at)}, {"kind", step.kind},
                    {"subject", step.subject}, {"key", or_null(step.key)}, {"text", step.text}};
    };
    json["keys"] = array(report.keys.rows, step_json);
    json["steps"] = array(report.steps.rows, step_json);
    const bool known = report.integrity.unknown_for.empty();
    json["availability"] = !known ? Json(nullptr) : array(report.availability, [](const Availability& row) {
        return Json{{"tsu", row.tsu},
                    {"policies", row.policies},
                    {"open_us", in_us(row.open)},
                    {"of_us", in_us(row.of)}};
    });
    json["outages"] = !known ? Json(nullptr) : array(report.outages.rows, [&](const Outage& one) {
        return outage_json(one, report.until);
    });
    json["integrity"] = integrity_json(report);
    json["left_out"] = {
        {"audits", report.audits.left_out},   {"comparisons", report.clock.comparisons.left_out},
        {"gaps", report.gaps.left_out},       {"keys", report.keys.left_out},
        {"outages", report.outages.left_out}, {"steps", report.steps.left_out}};
    return json_text(json);
}

}  // namespace kokuin::audit::report
