#include "tsa/housekeeper.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/text.h"
#include "tsa/audit.h"
#include "tsa/audit_wish.h"

namespace kokuin::tsa {
namespace {

constexpr nanoseconds ask_deadline = seconds(5);
constexpr nanoseconds ask_again_after_failure = seconds(10);
constexpr nanoseconds ask_again_after_refusal = std::chrono::minutes(1);
constexpr nanoseconds tell_again_after_refusal = std::chrono::hours(1);
constexpr nanoseconds ask_again_at_most_every = seconds(5);
constexpr nanoseconds refusals_every = std::chrono::minutes(1);

}  // namespace

Result<std::unique_ptr<AuditRequester>> AuditRequester::make(const AuditSettings& audit,
                                                             const config::Endpoint& at) {
    net::ClientOptions options;
    options.host = at.host;
    options.port = at.port;
    options.tls = net::ClientTls{audit.ca, audit.peer, audit.tls.certificate, audit.tls.key};
    auto client = net::Client::make(std::move(options));
    if (!client) return std::move(client).error();
    return std::unique_ptr<AuditRequester>(new AuditRequester(std::move(*client)));
}

Result<tac::AuditAnswer> AuditRequester::ask(const std::string& tsu, const std::string& why, View successor) {
    const auto answer = post(
        "/audit/request", tac::AuditRequest{tsu, why, Bytes(successor.begin(), successor.end())}.to_json());
    if (!answer) return answer.error();
    return tac::AuditAnswer::from_json(as_text(answer->body));
}

Done AuditRequester::tell_compromised(const std::string& tsu, View certificate_sha256,
                                      const std::string& text) {
    const tac::Notice notice{tsu, tac::Notice::Kind::key_compromised, text,
                             Bytes(certificate_sha256.begin(), certificate_sha256.end())};
    const auto answer = post("/audit/notice", notice.to_json());
    if (!answer) return answer.error();
    const auto noted = tac::NoticeAnswer::from_json(as_text(answer->body));
    return noted ? Done() : noted.error();
}

Result<net::Response> AuditRequester::post(const std::string& path, const std::string& json) {
    net::Call call;
    call.method = "POST";
    call.path = path;
    call.content_type = "application/json";
    call.body.assign(json.begin(), json.end());
    auto answer = client_.request(call, ask_deadline);
    if (!answer) return answer;
    // 403: the TAA doesn't serve this TSU; all else may mend itself.
    if (answer->status == 403)
        return Error::no(client_.where() + ": the TAA refuses: " + one_line(as_text(answer->body), 200));
    if (answer->status != 200)
        return Error::environment(client_.where() + ": the TAA answers " + std::to_string(answer->status) +
                                  ": " + one_line(as_text(answer->body), 200));
    return answer;
}

void Housekeeper::start() {
    ticker_.start();
}

void Housekeeper::stop() {
    if (std::exchange(stopped_, true)) return;
    ticker_.stop();
    (void)parts_.journal.flush();
    flush_refusals();
    parts_.refused.flush(parts_.clock.read().after);
}

void Housekeeper::tick() {
    const auto now = parts_.clock.read();
    (void)parts_.journal.flush();
    parts_.refused.tick(now.after);
    parts_.leaps.tick(now);
    parts_.keys.tick(now.wall);
    watch_keeper();
    watch_troubles(now);
    watch_revocation();
    tell_of_compromises(now);
    for (const auto& tsu : *parts_.tsus.signing()) {
        for (const auto& wanted : wanted_) watch_gate(*tsu, wanted, now);
        watch_rates(*tsu, now);
        if (parts_.requester) ask_for_audit(*tsu, now);
    }
    if (!flushed_) flushed_ = now.after;
    if (now.after - *flushed_ >= refusals_every) {
        flushed_ = now.after;
        flush_refusals();
    }
}

void Housekeeper::watch_troubles(const tac::clock::Reading& now) {
    std::set<std::string> all;
    const auto look = [&](pki::CrlFiles* crls) {
        if (!crls) return;
        for (auto& trouble : crls->troubles(now.wall)) all.insert(std::move(trouble));
    };
    look(parts_.crls);
    for (const auto& tsu : *parts_.tsus.signing()) look(tsu->crls());
    for (const auto& trouble : all)
        if (troubles_.count(trouble) == 0) spdlog::warn("crl text=\"{}\"", trouble);
    troubles_ = std::move(all);
}

void Housekeeper::watch_revocation() {
    Unknown unknown;
    for (const auto& tsu : *parts_.tsus.audited()) {
        watch_key(*tsu);
        watch_taa(*tsu);
        watch_unknown(*tsu, unknown);
    }
    note_unknown(std::move(unknown));
}

void Housekeeper::tell_of_compromises(const tac::clock::Reading& now) {
    if (!parts_.requester) return;
    for (const auto& one : parts_.life.compromises()) {
        const auto& certificate = one.key.certificate_sha256;
        const auto not_before = tell_not_before_.find(certificate);
        if (one.told || (not_before != tell_not_before_.end() && now.after < not_before->second)) continue;
        // Not the operators' words: those are for the TSA's own records.
        auto done =
            parts_.requester->tell_compromised(one.key.tsu, from_hex(certificate).value_or(Bytes()),
                                               "the key of this certificate is, or may be, in other hands");
        if (done) done = parts_.life.told(certificate);
        if (done) {
            spdlog::warn(
                "tsu={} key={} event=compromise-told text=\"the TAA knows that the key is compromised\"",
                one.key.tsu, one.key.label);
            continue;
        }
        spdlog::error("tsu={} key={} text=\"the TAA doesn't know yet that the key is compromised: {}\"",
                      one.key.tsu, one.key.label, done.error().text);
        tell_not_before_[certificate] =
            now.after +
            (done.error().kind == Error::Kind::no ? tell_again_after_refusal : ask_again_after_failure);
    }
}

void Housekeeper::watch_keeper() {
    if (!parts_.keeper || keeper_gone_ || parts_.keeper->present()) return;
    keeper_gone_ = true;
    store::Event event;
    event.kind = "custody.unkept";
    event.text = "the keeper is gone; this server goes on, but after a crash custodians will be needed";
    spdlog::error("keeper text=\"{}\"", event.text);
    (void)parts_.journal.keep(std::move(event));
}

void Housekeeper::watch_key(Tsu& tsu) {
    // Closed first, recorded then.
    const auto why = judge_revocation(parts_.revocation, tsu.path(), tsu.crls()).revoked;
    if (!tsu.gate().set_revoked(why)) return;
    store::Event event;
    event.kind = why ? "key.revoked" : "key.unrevoked";
    event.subject = tsu.name();
    event.text = why ? *why : tsu.certificate().subject_text() + " isn't revoked any more: it was on hold";
    spdlog::log(why ? spdlog::level::err : spdlog::level::info, "key tsu={} {}", tsu.name(), event.text);
    (void)parts_.journal.keep(std::move(event));
}

void Housekeeper::watch_taa(Tsu& tsu) {
    const auto tac = tsu.gate().tac();
    if (!tac) return;
    const auto why = judge_revocation(parts_.revocation, tac->path, parts_.crls).revoked;
    if (!why || !tsu.gate().withdraw(*tac, *why)) return;
    auto event = revoked_event(tsu.name(), tac->serial, *why);
    spdlog::error("audit tsu={} {}", tsu.name(), event.text);
    (void)parts_.journal.keep(std::move(event));
}

void Housekeeper::watch_unknown(Tsu& tsu, Unknown& unknown) {
    if (!parts_.revocation) return;
    // Held so that a TAC delivered meanwhile isn't judged by what is known of the one before.
    const std::lock_guard lock(tsu.delivery());
    const auto tac = tsu.gate().tac();
    const auto key = judge_revocation(parts_.revocation, tsu.path(), tsu.crls());
    const auto taa = judge_revocation(parts_.revocation, tac ? tac->path : parts_.taa_path, parts_.crls);
    tsu.gate().set_unknown(key.closed, taa.closed);
    for (const auto* path : {&key, &taa})
        for (const auto& one : path->unknown)
            if (one.asked) unknown[to_hex(one.certificate.sha256())] = one.text;
}

void Housekeeper::note_unknown(Unknown unknown) {
    const auto note = [this](const char* kind, const std::string& certificate, const std::string& text) {
        store::Event event;
        event.kind = kind;
        event.fields["certificate"] = certificate;
        event.text = text;
        (void)parts_.journal.keep(std::move(event));
    };
    for (const auto& [certificate, text] : unknown)
        if (unknown_.count(certificate) == 0) {
            spdlog::warn("revocation event=unknown certificate={} text=\"{}\"", certificate, text);
            note("revocation.unknown", certificate, text);
        }
    for (const auto& [certificate, text] : unknown_)
        if (unknown.count(certificate) == 0) {
            spdlog::info("revocation event=known certificate={}", certificate);
            note("revocation.known", certificate, "it is known again whether it is revoked");
        }
    unknown_ = std::move(unknown);
}

std::vector<Housekeeper::Wanted> Housekeeper::wanted_by(const std::vector<tsp::Policy>& policies) {
    std::vector<Wanted> out;
    for (const auto& policy : policies) {
        const auto demand = demand_of(policy);
        const auto same = std::find_if(out.begin(), out.end(),
                                       [&demand](const Wanted& one) { return one.demand == demand; });
        if (same == out.end())
            out.push_back({demand, policy.name});
        else
            same->policies += ", " + policy.name;
    }
    return out;
}

void Housekeeper::watch_gate(Tsu& tsu, const Wanted& wanted, const tac::clock::Reading& now) {
    const auto decision = tsu.gate().decide(now, wanted.demand);
    const auto* closed = std::get_if<tac::Closed>(&decision);
    const auto cause = closed ? std::string(tac::name(closed->cause)) : std::string();
    const auto gate = tsu.name() + '/' + wanted.policies;
    const auto known = gates_.find(gate);
    if (known != gates_.end() && known->second == cause) return;
    gates_[gate] = cause;
    store::Event event;
    event.kind = closed ? "gate.closed" : "gate.opened";
    event.subject = tsu.name();
    event.fields["policies"] = wanted.policies;
    if (closed) {
        event.fields["cause"] = cause;
        event.text = closed->text;
        spdlog::warn("gate tsu={} policies=\"{}\" closed cause={}: {}", tsu.name(), wanted.policies, cause,
                     closed->text);
    } else {
        const auto& open = std::get<tac::Open>(decision);
        event.fields["clock_bound_us"] = open.bound_us;
        if (open.tac) event.fields["tac"] = open.tac->serial;
        event.text = "the clock is right within " + std::to_string(open.bound_us) + " us";
        spdlog::info("gate tsu={} policies=\"{}\" open: {}", tsu.name(), wanted.policies, event.text);
    }
    (void)parts_.journal.keep(std::move(event));
}

void Housekeeper::watch_rates(Tsu& tsu, const tac::clock::Reading& now) {
    const auto status = tsu.gate().status(now, wanted_.front().demand);
    for (const auto& [source, rate] : {std::pair{tac::clock::Source::tac, status.rate},
                                       std::pair{tac::clock::Source::reference, status.reference_rate}}) {
        auto& known = calibrated_[tsu.name() + '/' + std::string(tac::clock::name(source))];
        if (known == rate.learnt) continue;
        known = rate.learnt;
        store::Event event;
        event.kind = rate.learnt ? "clock.calibrated" : "clock.uncalibrated";
        event.subject = tsu.name();
        event.fields["source"] = std::string(tac::clock::name(source));
        const auto in_ppb = [](double value) { return static_cast<std::int64_t>(std::llround(value * 1e9)); };
        if (rate.learnt) {
            event.fields["drift_ppb"] = in_ppb(rate.f);
            event.fields["drift_uncertainty_ppb"] = in_ppb(rate.rho);
        }
        event.text = "the rate of this machine's clock is " +
                     std::string(rate.learnt ? "known" : "not known any more") +
                     " from the evidence of the " + (source == tac::clock::Source::tac ? "TAA" : "reference");
        spdlog::info("clock tsu={} {}: {}", tsu.name(), event.kind, event.text);
        (void)parts_.journal.keep(std::move(event));
    }
}

std::optional<std::string> Housekeeper::why_audit(const Tsu& tsu, const tac::clock::Reading& now) const {
    for (const auto& wanted : wanted_)
        if (auto why = audit_wish(tsu.gate(), wanted.demand, now, parts_.request_before)) return why;
    return std::nullopt;
}

void Housekeeper::note_refusal(Tsu& tsu, const std::string& text) {
    // Shown in status until a TAC is accepted; said once.
    if (!tsu.set_notice("not-served")) return;
    spdlog::warn("audit tsu={} isn't served by the TAA: {}", tsu.name(), text);
    store::Event event;
    event.kind = "taa.notice";
    event.subject = tsu.name();
    event.text = text;
    event.fields["notice"] = "not-served";
    (void)parts_.journal.keep(std::move(event));
}

void Housekeeper::ask_for_audit(Tsu& tsu, const tac::clock::Reading& now) {
    const auto why = why_audit(tsu, now);
    if (!why) return;
    if (const auto wait = ask_not_before_.find(tsu.name());
        wait != ask_not_before_.end() && now.after < wait->second)
        return;
    const auto answer = parts_.requester->ask(tsu.name(), *why, tsu.certificate().der());
    if (!answer) {
        const bool refused = answer.error().kind == Error::Kind::no;
        ask_not_before_[tsu.name()] =
            now.after + (refused ? ask_again_after_refusal : ask_again_after_failure);
        if (refused) return note_refusal(tsu, answer.error().text);
        spdlog::warn("audit tsu={} can't be asked for: {}", tsu.name(), answer.error().text);
        return;
    }
    ask_not_before_[tsu.name()] =
        now.after + std::max<nanoseconds>(answer->retry_after, ask_again_at_most_every);
    spdlog::info("audit tsu={} asked for: {}", tsu.name(), answer->accepted ? "the TAA comes" : "not now");
}

void Housekeeper::flush_refusals() {
    const auto event = parts_.refusals.take();
    if (!event) return;
    // Not through the journal's queue: while the archive fails, one event grows instead of one more each
    // minute.
    if (!parts_.journal.write(*event)) parts_.refusals.put_back(*event);
}

}  // namespace kokuin::tsa
