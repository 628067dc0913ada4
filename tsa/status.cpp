#include "tsa/status.h"
#include "base/json_text.h"

#include <set>

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <nlohmann/json.hpp>

namespace kokuin::tsa {
namespace {

using nlohmann::json;

json or_null(const std::optional<WallTime>& time) {
    return time ? json(to_rfc3339(*time)) : json(nullptr);
}

std::int64_t in_us(nanoseconds duration) {
    return std::chrono::duration_cast<microseconds>(duration).count();
}

json tac_of(const std::shared_ptr<const tac::AcceptedTac>& tac) {
    if (!tac) return nullptr;
    return {{"serial", tac->serial},
            {"not_after", to_rfc3339(tac->valid_until, 0)},
            {"audited", to_rfc3339(tac->value.tac.ntp_time)},
            {"policy", tac->policy},
            {"offset_us", in_us(tac->offset)},
            {"delay_us", tac->value.tac.delay.count()}};
}

json rate_of(const tac::clock::Rate& rate) {
    return {{"drift_ppm", rate.learnt ? json(rate.f * 1e6) : json(nullptr)},
            {"drift_uncertainty_ppm", rate.rho * 1e6}};
}

/// What the reference says; times in us. `now`: to tell its age.
json reference_of(const tac::clock::ReferenceWatch* watch, const tac::clock::Reading& now) {
    if (!watch) return nullptr;
    const auto seen = watch->snapshot();
    json out{{"state", tac::clock::name(seen.state)},
             {"text", seen.text},
             {"measurements", seen.measurements},
             {"resets", seen.resets},
             {"last", nullptr},
             {"sources", nullptr}};
    if (seen.last)
        out["last"] = {{"offset_us", in_us(seen.last->error)},
                       {"uncertainty_us", in_us(seen.last->uncertainty)},
                       {"at", to_rfc3339(seen.last->at.wall)},
                       {"age_us", in_us(now.after - seen.last->at.before)}};
    if (seen.said)
        out["sources"] = {{"configured", seen.said->sources.configured},
                          {"agreeing", seen.said->sources.agreeing},
                          {"falsetickers", seen.said->sources.falsetickers},
                          {"unreachable", seen.said->sources.unreachable}};
    return out;
}

json correction_of(const tac::clock::Correction* correction, const tac::clock::Reading& now) {
    if (!correction) return nullptr;
    return {{"now_us", in_us(correction->at(now.before))}, {"target_us", in_us(correction->plan().to)}};
}

json revocation_of(const RevocationWatch* watch) {
    if (!watch) return nullptr;
    json certificates = json::array();
    for (const auto& seen : watch->snapshot())
        certificates.push_back({{"certificate", seen.certificate},
                                {"sha256", seen.sha256},
                                {"issuer", seen.issuer},
                                {"state", seen.state},
                                {"source", seen.source.empty() ? json(nullptr) : json(seen.source)},
                                {"this_update", or_null(seen.this_update)},
                                {"until", or_null(seen.until)},
                                {"trouble", seen.trouble.empty() ? json(nullptr) : json(seen.trouble)}});
    return {{"mode", watch->settings().hard ? "hard" : "soft"}, {"certificates", certificates}};
}

json copy_of(const std::optional<store::CopyState>& copy) {
    if (!copy) return nullptr;
    using Kind = store::CopyState::Kind;
    return {{"dir", copy->dir},
            {"state", copy->kind == Kind::ready    ? "ready"
                      : copy->kind == Kind::behind ? "behind"
                                                   : "failing"},
            {"text", copy->text},
            {"records", copy->next},
            {"waits", copy->waits}};
}

json custody_of(const StatusParts& parts, const Hsm& hsm) {
    const auto* custody = hsm.custody();
    if (!custody)
        return {
            {"state", "pin_file"},
            {"warning", "the HSM's PIN lies in a file: whoever reads it activates the keys alone (KEY-2)"}};
    const auto& roster = custody->roster();
    const auto state = custody->state();
    return {
        {"state", state.text},
        {"activated", state.activated},
        {"given", state.given},
        {"threshold", roster.threshold},
        {"custodians", roster.custodians.size()},
        {"ceremony", roster.ceremony},
        {"generation", roster.generation},
        {"kept", parts.keeper && parts.keeper->present()},
        {"warning",
         parts.keeper && !parts.keeper->present()
             ? json("the keeper is gone: after a crash custodians will be needed; restart the service when "
                    "they can come")
         : !hsm.settings().unattended.empty()
             ? json("UNATTENDED: the custodians' passphrases lie in files beside their shares; for tests "
                    "and demos only (KEY-2)")
             : json(nullptr)}};
}

json hsm_of(const Hsm& hsm) {
    return {{"available", hsm.token().available()}, {"state", hsm.token().state()}};
}

/// [hsm.NAME] …: the first one stands for itself.
json more_hsms_of(const StatusParts& parts) {
    json more = json::array();
    for (const auto& one : parts.hsms.all()) {
        if (one == parts.hsms.all().front()) continue;
        auto each = hsm_of(*one);
        each["name"] = one->name();
        each["custody"] = custody_of(parts, *one);
        more.push_back(std::move(each));
    }
    return more;
}

json checkpoints_of(const checkpoint::Checkpointer* checkpoints) {
    if (!checkpoints) return nullptr;
    const auto seen = checkpoints->snapshot();
    const auto overdue = checkpoints->overdue();
    return {{"key", seen.key ? json(seen.key->text()) : json(nullptr)},
            {"overdue", overdue ? json(*overdue) : json(nullptr)},
            {"trouble", seen.trouble.empty() ? json(nullptr) : json(seen.trouble)}};
}

json witnesses_of(const Witnesses* witnesses) {
    json all = json::array();
    if (!witnesses) return all;
    for (const auto& seen : witnesses->snapshot())
        all.push_back({{"name", seen.name},
                       {"state", seen.state},
                       {"size", seen.size},
                       {"at", seen.at ? json(to_rfc3339(*seen.at, 0)) : json(nullptr)},
                       {"trouble", seen.trouble.empty() ? json(nullptr) : json(seen.trouble)}});
    return all;
}

json seals_of(const Sealer* sealer) {
    if (!sealer) return nullptr;
    const auto seen = sealer->snapshot();
    json waiting = json::array();
    std::optional<WallTime> until;
    for (const auto& month : seen.months) {
        if (month.state != "sealed" && month.state != "stamped") waiting.push_back(month.segment);
        if (month.until) until = std::min(until.value_or(*month.until), *month.until);
    }
    return {{"months", seen.months.size()},
            {"waiting", waiting},
            {"hold_until", until ? json(to_rfc3339(*until, 0)) : json(nullptr)},
            {"trouble", seen.trouble.empty() ? json(nullptr) : json(seen.trouble)}};
}

json programs_of(const Programs* programs) {
    if (!programs) return nullptr;
    const auto seen = programs->snapshot();
    return {{"on_change", seen.stops ? "stop" : "alarm"},
            {"files", seen.now.size()},
            {"list", digest_of(seen.now)},
            {"looked", to_rfc3339(seen.at, 0)},
            {"took_us", in_us(seen.took)},
            {"troubles", seen.troubles}};
}

json leap_of(const Leaps& leaps) {
    const auto known = leaps.snapshot();
    json pending = nullptr;
    if (known.pending)
        pending = {{"midnight", to_rfc3339(known.pending->midnight, 0)},
                   {"direction", known.pending->direction},
                   {"announced_by", known.announced_by}};
    return {{"pending", pending},
            {"list_expires", or_null(known.expires)},
            {"warning", known.warning.empty() ? json(nullptr) : json(known.warning)}};
}

prometheus::MetricFamily family(const char* name, const char* help, prometheus::MetricType type) {
    prometheus::MetricFamily made;
    made.name = name;
    made.help = help;
    made.type = type;
    return made;
}

void add(prometheus::MetricFamily& to, double value,
         const std::vector<std::pair<std::string, std::string>>& labels = {}) {
    prometheus::ClientMetric metric;
    for (const auto& [key, text] : labels) {
        prometheus::ClientMetric::Label label;
        label.name = key;
        label.value = text;
        metric.label.push_back(label);
    }
    if (to.type == prometheus::MetricType::Counter)
        metric.counter.value = value;
    else
        metric.gauge.value = value;
    to.metric.push_back(std::move(metric));
}

}  // namespace

std::pair<bool, std::string> Status::readiness() const {
    const auto why = reasons();
    return {why.empty(), json_text(json{{"ready", why.empty()}, {"reasons", why}})};
}

std::string Status::status() const {
    const auto why = reasons();
    const auto reading = parts_.clock.read();
    const auto demand = demand_of(parts_.policies.front());
    json tsus = json::array();
    for (const auto& tsu : *parts_.tsus.signing()) {
        const auto gate = tsu->gate().status(reading, demand);
        const auto* open = std::get_if<tac::Open>(&gate.decision);
        const auto* closed = std::get_if<tac::Closed>(&gate.decision);
        tsus.push_back({{"name", tsu->name()},
                        {"key", tsu->key().label()},
                        {"hsm", tsu->token().name()},
                        {"failures", tsu->failures()},
                        {"certificate_subject", tsu->certificate().subject_text()},
                        {"certificate_not_after", to_rfc3339(tsu->certificate().not_after(), 0)},
                        {"key_signs_until", to_rfc3339(tsu->signs_until(), 0)},
                        {"tac", tac_of(gate.tac)},
                        {"open", open != nullptr},
                        {"closed_because", closed ? json(closed->text) : json(nullptr)},
                        {"clock_bound_us", open ? json(open->bound_us) : json(nullptr)},
                        {"order_to_stop", gate.stop ? json(gate.stop->text) : json(nullptr)},
                        {"taa_notice", tsu->notice() ? json(*tsu->notice()) : json(nullptr)},
                        {"drift_ppm", gate.rate.learnt ? json(gate.rate.f * 1e6) : json(nullptr)},
                        {"drift_uncertainty_ppm", gate.rate.rho * 1e6},
                        {"reference_rate", rate_of(gate.reference_rate)},
                        {"closes_at", or_null(closes_at(*tsu, gate))},
                        {"tac_needed_at", or_null(gate.tac_needed_at)}});
    }
    json policies = json::array();
    for (const auto& policy : parts_.policies)
        policies.push_back({{"name", policy.name},
                            {"oid", policy.oid},
                            {"accuracy_us", policy.accuracy.count()},
                            {"embed_tac", std::string(name(policy.embed_tac))},
                            {"require_tac", policy.require_tac},
                            {"require_reference", policy.require_reference},
                            {"obstacles", parts_.stamper.obstacles(policy)}});
    const auto archive = parts_.archive.state();
    return json_text(json{{"ready", why.empty()},
                          {"reasons", why},
                          {"time", to_rfc3339(reading.wall)},
                          {"tsus", tsus},
                          {"policies", policies},
                          {"reference", reference_of(parts_.reference, reading)},
                          {"correction", correction_of(parts_.correction, reading)},
                          {"leap", leap_of(parts_.leaps)},
                          {"revocation", revocation_of(parts_.revocation)},
                          {"departures", departures()},
                          {"key_warnings", key_warnings(parts_.life, reading.wall)},
                          {"custody", custody_of(parts_, *parts_.hsms.all().front())},
                          {"hsm", hsm_of(*parts_.hsms.all().front())},
                          {"more_hsms", more_hsms_of(parts_)},
                          {"archive",
                           {{"ready", archive.kind == store::ArchiveState::Kind::ready},
                            {"state", archive.text},
                            {"segment", archive.segment},
                            {"records", archive.next},
                            {"origin", parts_.archive.origin()},
                            {"covered", archive.covered},
                            {"copy", copy_of(parts_.archive.copy())},
                            {"checkpoints", checkpoints_of(parts_.checkpoints)},
                            {"witnesses", witnesses_of(parts_.witnesses)},
                            {"seals", seals_of(parts_.sealer)}}},
                          {"programs", programs_of(parts_.programs)},
                          {"tokens_since_start", parts_.stamper.granted()}});
}

std::vector<PathRevocation> Status::revocation(const Tsu& tsu) const {
    if (!parts_.revocation) return {};
    std::vector<PathRevocation> out{judge_revocation(parts_.revocation, tsu.path(), tsu.crls())};
    if (const auto tac = tsu.gate().tac())
        out.push_back(judge_revocation(parts_.revocation, tac->path, parts_.crls));
    return out;
}

std::optional<WallTime> Status::closes_at(const Tsu& tsu, const tac::GateStatus& gate) const {
    auto out = gate.closes_at;
    if (out)
        for (const auto& path : revocation(tsu))
            if (path.closes_at) out = std::min(*out, *path.closes_at);
    return out;
}

std::vector<std::string> Status::departures() const {
    std::vector<std::string> out;
    if (!parts_.reference)
        out.emplace_back(
            "no independent reference clock is configured (TSA-6): the TAA alone proves the time");
    if (!parts_.checkpoints)
        out.emplace_back(
            "nobody signs what is in the archive (ARC-3): no [archive] key is configured, so that only its "
            "copies can "
            "tell whether it was changed");
    if (parts_.has_taa && !parts_.crls && !parts_.revocation)
        out.emplace_back(
            "nobody looks whether the TAA's certificate is revoked (TAC-1): no [taa] crls is configured");
    std::set<std::string> troubles;  // one file may serve many
    const auto now = parts_.clock.read().wall;
    const auto look = [&](pki::CrlFiles* crls) {
        if (!crls) return;
        for (auto& trouble : crls->troubles(now)) troubles.insert(std::move(trouble));
    };
    const auto uncovered = [&out, this](const std::string& table,
                                        const std::optional<std::string>& certificate) {
        if (certificate && !parts_.revocation)
            out.push_back("nobody knows whether " + *certificate +
                          " is revoked: no CRL of its issuer is among [" + table + "] crls");
    };
    look(parts_.crls);
    for (const auto& tsu : *parts_.tsus.signing()) {
        look(tsu->crls());
        uncovered("tsu." + tsu->name(), tsu->uncovered());
        if (const auto tac = tsu->gate().tac(); tac && parts_.crls)
            uncovered("taa", pki::find_uncovered(tac->path, *parts_.crls->current()));
        for (const auto& path : revocation(*tsu))
            for (const auto& one : path.unknown)
                if (one.asked && !path.closed)
                    troubles.insert(one.text + "; stamping goes on until " +
                                    (path.closes_at ? to_rfc3339(*path.closes_at, 0) : "then"));
        if (!tsu->crls() && !parts_.revocation)
            out.push_back("nobody looks whether the certificate of " + tsu->name() + " is revoked: no [tsu." +
                          tsu->name() + "] crls is configured");
    }
    out.insert(out.end(), troubles.begin(), troubles.end());
    for (const auto& policy : parts_.policies) {
        if (parts_.reference && !policy.require_reference && policy.require_tac)
            out.push_back("policy " + policy.name +
                          " stamps without the independent reference when that is missing (TSA-6)");
        if (!policy.require_tac)
            out.push_back("policy " + policy.name +
                          " needs no TAC (TAC-2): the independent reference alone proves the time");
    }
    const auto copy = parts_.archive.copy();
    if (!copy)
        out.emplace_back("the archive is in one place only (ARC-2): no [archive] copy is configured");
    else if (copy->same_disk)
        out.push_back("the archive's second place " + copy->dir +
                      " is on the file system of the first (ARC-2): one disk takes both");
    return out;
}

std::string Status::metrics() const {
    using prometheus::MetricType;
    std::vector<prometheus::MetricFamily> families;
    const auto single = [&](const char* name, const char* help, MetricType type, double value) {
        families.push_back(family(name, help, type));
        add(families.back(), value);
    };
    single("kokuin_ready", "1 if the default policy would get a token now", MetricType::Gauge,
           ready() ? 1 : 0);
    single("kokuin_tokens_total", "tokens granted since start", MetricType::Counter,
           static_cast<double>(parts_.stamper.granted()));
    auto refusals = family("kokuin_refusals_total", "requests refused since start", MetricType::Counter);
    for (const auto& [key, count] : parts_.refusals.totals()) {
        const auto slash = key.find('/');
        add(refusals, static_cast<double>(count),
            {{"fail_info", key.substr(0, slash)}, {"cause", key.substr(slash + 1)}});
    }
    families.push_back(std::move(refusals));

    const auto reading = parts_.clock.read();
    const auto demand = demand_of(parts_.policies.front());
    auto open_gates =
        family("kokuin_gate_open", "1 if this TSU's gate is open for the default policy", MetricType::Gauge);
    auto bounds = family("kokuin_clock_bound_seconds",
                         "largest error this TSU's clock can have; absent if unknown", MetricType::Gauge);
    auto closing = family("kokuin_gate_closes_in_seconds", "until the gate closes if no new evidence comes",
                          MetricType::Gauge);
    auto tac_left = family("kokuin_tac_ends_in_seconds", "until the current TAC ends", MetricType::Gauge);
    auto certificate_left =
        family("kokuin_certificate_ends_in_seconds", "until the TSU's certificate ends", MetricType::Gauge);
    auto key_left = family("kokuin_key_ends_in_seconds", "until the TSU's key may sign no more (KEY-4)",
                           MetricType::Gauge);
    const auto until = [&](WallTime time) {
        return std::chrono::duration<double>(time - reading.wall).count();
    };
    for (const auto& tsu : *parts_.tsus.signing()) {
        const auto gate = tsu->gate().status(reading, demand);
        const std::vector<std::pair<std::string, std::string>> label{{"tsu", tsu->name()}};
        const auto* open = std::get_if<tac::Open>(&gate.decision);
        add(open_gates, open ? 1 : 0, label);
        if (open) add(bounds, static_cast<double>(open->bound_us) / 1e6, label);
        if (const auto end = closes_at(*tsu, gate)) add(closing, until(*end), label);
        if (gate.tac) add(tac_left, until(gate.tac->valid_until), label);
        add(certificate_left, until(tsu->certificate().not_after()), label);
        add(key_left, until(tsu->signs_until()), label);
    }
    auto served = family("kokuin_policy_ready", "1 if this policy would get a token now", MetricType::Gauge);
    for (const auto& policy : parts_.policies)
        add(served, parts_.stamper.obstacles(policy).empty() ? 1 : 0, {{"policy", policy.name}});
    families.push_back(std::move(served));
    for (auto* one : {&open_gates, &bounds, &closing, &tac_left, &certificate_left, &key_left})
        families.push_back(std::move(*one));

    if (parts_.revocation) {
        auto known =
            family("kokuin_revocation_known",
                   "1 if what was fetched says now whether this certificate is revoked", MetricType::Gauge);
        auto revoked = family("kokuin_revoked", "1 if it says that this certificate is", MetricType::Gauge);
        auto ends =
            family("kokuin_revocation_ends_in_seconds",
                   "until the last answer about this certificate ends; negative: it has", MetricType::Gauge);
        for (const auto& seen : parts_.revocation->snapshot()) {
            const std::vector<std::pair<std::string, std::string>> label{{"certificate", seen.certificate},
                                                                         {"sha256", seen.sha256}};
            add(known, seen.state == "unknown" ? 0 : 1, label);
            add(revoked, seen.state == "revoked" ? 1 : 0, label);
            if (seen.until) add(ends, until(*seen.until), label);
        }
        for (auto* one : {&known, &revoked, &ends}) families.push_back(std::move(*one));
    }
    if (parts_.correction)
        single("kokuin_clock_correction_seconds", "what follow_tac adds to this machine's clock now",
               MetricType::Gauge,
               std::chrono::duration<double>(parts_.correction->at(reading.before)).count());
    if (const auto leap = parts_.leaps.snapshot(); leap.pending) {
        auto ahead = family("kokuin_leap_second_in_seconds", "until the leap second that is announced",
                            MetricType::Gauge);
        add(ahead, until(leap.pending->midnight),
            {{"kind", leap.pending->direction > 0 ? "inserted" : "deleted"}});
        families.push_back(std::move(ahead));
    }
    if (const auto leap = parts_.leaps.snapshot(); leap.expires)
        single("kokuin_leap_list_ends_in_seconds", "until leap-seconds.list expires; negative: it has",
               MetricType::Gauge, until(*leap.expires));
    if (parts_.reference) {
        const auto seen = parts_.reference->snapshot();
        auto states = family("kokuin_reference_state", "1 for the state that the independent reference is in",
                             MetricType::Gauge);
        using State = tac::clock::Reference::State;
        for (const auto state :
             {State::starting, State::good, State::silent, State::unsynchronised, State::stale})
            add(states, seen.state == state ? 1 : 0, {{"state", std::string(tac::clock::name(state))}});
        families.push_back(std::move(states));
        if (seen.last) {
            const auto in_seconds = [](nanoseconds time) {
                return std::chrono::duration<double>(time).count();
            };
            single("kokuin_reference_offset_seconds", "clock minus UTC as last measured by the reference",
                   MetricType::Gauge, in_seconds(seen.last->error));
            single("kokuin_reference_uncertainty_seconds", "how far that can be wrong", MetricType::Gauge,
                   in_seconds(seen.last->uncertainty));
            single("kokuin_reference_age_seconds", "since the last measurement", MetricType::Gauge,
                   in_seconds(reading.after - seen.last->at.before));
        }
        if (seen.said) {
            single("kokuin_reference_sources_agreeing", "time servers that agree", MetricType::Gauge,
                   static_cast<double>(seen.said->sources.agreeing));
            single("kokuin_reference_falsetickers", "time servers that contradict the majority",
                   MetricType::Gauge, static_cast<double>(seen.said->sources.falsetickers));
        }
        single("kokuin_reference_resets_total", "how often chrony had to begin anew", MetricType::Counter,
               static_cast<double>(seen.resets));
    }

    std::size_t overdue = 0;
    for (const auto& entry : parts_.life.all()) overdue += is_overdue(entry, reading.wall) ? 1 : 0;
    single("kokuin_keys_overdue", "retired keys that should have been destroyed (KEY-5)", MetricType::Gauge,
           static_cast<double>(overdue));
    auto available = family("kokuin_hsm_available", "1 if the HSM answers", MetricType::Gauge);
    auto locked = family("kokuin_hsm_locked", "1 while the HSM waits for its custodians", MetricType::Gauge);
    for (const auto& one : parts_.hsms.all()) {
        // [hsm] alone needs no name.
        std::vector<std::pair<std::string, std::string>> label;
        if (!one->settings().name.empty()) label.emplace_back("hsm", one->name());
        add(available, one->token().available() ? 1 : 0, label);
        add(locked, one->token().locked() ? 1 : 0, label);
    }
    families.push_back(std::move(available));
    families.push_back(std::move(locked));
    const auto archive = parts_.archive.state();
    single("kokuin_archive_ready", "1 if the last write succeeded", MetricType::Gauge,
           archive.kind == store::ArchiveState::Kind::ready ? 1 : 0);
    single("kokuin_archive_records", "records in the archive", MetricType::Gauge,
           static_cast<double>(archive.next));
    single("kokuin_archive_covered_records", "records under the newest signed checkpoint", MetricType::Gauge,
           static_cast<double>(archive.covered));
    if (const auto copy = parts_.archive.copy()) {
        single("kokuin_archive_copy_ready", "1 while the archive's second place goes along",
               MetricType::Gauge, copy->kind == store::CopyState::Kind::ready ? 1 : 0);
        single("kokuin_archive_copy_records", "records in the archive's second place", MetricType::Gauge,
               static_cast<double>(copy->next));
    }
    if (parts_.checkpoints)
        single("kokuin_checkpoint_overdue", "1 while nothing is stamped because no checkpoint is signed",
               MetricType::Gauge, parts_.checkpoints->overdue() ? 1 : 0);
    if (parts_.witnesses) {
        auto witnessed =
            family("kokuin_witness_size", "records under the newest checkpoint that it has cosigned",
                   MetricType::Gauge);
        auto conflicts = family("kokuin_witness_conflict", "1 if this witness has seen another history",
                                MetricType::Gauge);
        for (const auto& seen : parts_.witnesses->snapshot()) {
            add(witnessed, static_cast<double>(seen.size), {{"witness", seen.name}});
            add(conflicts, seen.state == "conflict" ? 1 : 0, {{"witness", seen.name}});
        }
        families.push_back(std::move(witnessed));
        families.push_back(std::move(conflicts));
    }
    if (parts_.sealer) {
        const auto seals = seals_of(parts_.sealer);
        single("kokuin_seals_waiting", "finished months that wait for a seal or a time-stamp",
               MetricType::Gauge, static_cast<double>(seals["waiting"].size()));
        single("kokuin_seal_trouble", "1 while sealing or time-stamping months doesn't succeed",
               MetricType::Gauge, seals["trouble"].is_null() ? 0 : 1);
    }
    if (parts_.programs) {
        const auto seen = parts_.programs->snapshot();
        single("kokuin_programs_troubles",
               "what is wrong with the files, code and memory of this tsad (ARC-9)", MetricType::Gauge,
               static_cast<double>(seen.troubles.size()));
        single("kokuin_programs_looked_seconds_ago", "since the last look at them", MetricType::Gauge,
               std::chrono::duration<double>(reading.wall - seen.at).count());
        single("kokuin_programs_look_seconds", "how long that took", MetricType::Gauge,
               std::chrono::duration<double>(seen.took).count());
    }
    single("kokuin_archive_commits_total", "commits (fsyncs) since start", MetricType::Counter,
           static_cast<double>(archive.groups));

    auto connections = family("kokuin_http_connections", "open connections", MetricType::Gauge);
    auto requests = family("kokuin_http_requests_total", "requests answered", MetricType::Counter);
    auto rejected = family("kokuin_http_rejected_total", "requests the server itself refused or cut",
                           MetricType::Counter);
    for (const auto& [name, server] : servers_) {
        const auto counters = server->counters();
        const std::vector<std::pair<std::string, std::string>> label{{"listener", name}};
        add(connections, static_cast<double>(counters.connections), label);
        add(requests, static_cast<double>(counters.requests), label);
        add(rejected, static_cast<double>(counters.rejected + counters.timed_out + counters.refused), label);
    }
    for (auto* one : {&connections, &requests, &rejected}) families.push_back(std::move(*one));
    return prometheus::TextSerializer().Serialize(families);
}

}  // namespace kokuin::tsa
