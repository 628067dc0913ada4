#include "tsa/stamper.h"

#include <spdlog/spdlog.h>

#include <algorithm>

#include "tsa/protocol/response.h"
#include "tsa/protocol/tst_info.h"
#include "tsa/serial.h"

namespace kokuin::tsa {

using tsp::FailInfo;

namespace {

/// genTime as the token says it: the rest is cut off, never rounded up (the gate's bound counts it).
WallTime floor_to(WallTime time, int digits) {
    const nanoseconds unit = tac::clock::truncation(digits);
    auto rest = time.time_since_epoch() % unit;
    if (rest < nanoseconds::zero()) rest += unit;
    return time - rest;
}

store::ClockProof proof_of(const tac::clock::Reading& reading, const store::BlobId& basis) {
    return {basis,
            reading.before.time_since_epoch().count(),
            reading.wall.time_since_epoch().count(),
            reading.gap().count(),
            reading.asleep.low.count(),
            reading.asleep.high.count()};
}

}  // namespace

Stamper::Refused Stamper::failure(const char* cause, std::string detail) {
    return {tsp::reject(FailInfo::system_failure, std::move(detail)), cause};
}

std::optional<Stamper::Refused> Stamper::stopped() const {
    // Nothing more into an archive whose operators may still rewrite what is in it.
    if (parts_.checkpoints)
        if (auto overdue = parts_.checkpoints->overdue()) return failure("checkpoint", std::move(*overdue));
    // Nor out of programs that somebody has altered (ARC-9).
    if (parts_.programs)
        if (auto altered = parts_.programs->obstacle()) return failure("programs", std::move(*altered));
    return std::nullopt;
}

struct Stamper::Signed {
    Tsu::Work work;  // until its token has left
    tac::Demand demand;
    tac::clock::Reading reading;
    tac::Open open;
    std::vector<store::Blob> blobs;
    Bytes token;
    store::Issuance issuance;
};

void Stamper::respond(View request, const tsp::PolicyRules& rules, Answer answer) {
    // The archive may wait for this token while it has others to commit.
    const auto coming = parts_.archive.announce();
    auto made = sign(request, rules);
    if (!made) return answer(answer_of(std::move(made).error()));
    // 8. Durable before the answer.
    const auto& one = **made;
    parts_.archive.append(
        one.reading.wall, one.issuance, one.blobs,
        [this, made = *made, answer = std::move(answer)](const Result<store::RecordNumber>& number) {
            answer(answer_of(release(*made, number)));
        });
}

Bytes Stamper::answer_of(const Result<Bytes, Refused>& outcome) {
    if (outcome) {
        ++granted_;
        return tsp::granted(*outcome);
    }
    const auto& refused = outcome.error();
    parts_.refusals.count(refused.rejection.info, refused.cause);
    spdlog::debug("refused failInfo={} cause={} detail=\"{}\"", tsp::name(refused.rejection.info),
                  refused.cause, refused.rejection.detail);
    return tsp::rejection(refused.rejection);
}

Stamper::Refused Stamper::refused_by(const tac::Closed& closed) {
    return {tsp::reject(closed.time_not_available ? FailInfo::time_not_available : FailInfo::system_failure,
                        closed.text),
            tac::name(closed.cause).data()};
}

Result<std::shared_ptr<Stamper::Signed>, Stamper::Refused> Stamper::sign(View der,
                                                                         const tsp::PolicyRules& rules) {
    // 2. Strict DER; the first fault decides.
    auto request = tsp::parse_request(der);
    if (!request) return Refused{std::move(request).error(), "request"};
    // 3. Policy.
    const auto policy = tsp::check(*request, rules);
    if (!policy) return Refused{policy.error(), "request"};

    if (auto why = stopped()) return std::move(*why);

    // 4. One clock reading, judged by the gate of the TSU whose turn it is; a TSU that can't leaves it to the
    // next, also where its HSM can't (TSA-2).
    const auto demand = demand_of(**policy);
    std::optional<Refused> refused;
    for (auto& tsu : by_turn()) {
        const auto reading = parts_.clock.read();
        Tsu::Work work(std::move(tsu));
        auto decision = work.tsu().gate().decide(reading, demand);
        if (auto* open = std::get_if<tac::Open>(&decision)) {
            const auto signing = work.keep();
            auto made = sign(std::move(work), *request, **policy, reading, std::move(*open));
            signing->signed_well(made.ok() ? "" : made.error().rejection.detail);
            if (made) return made;
            refused = std::move(made).error();
        } else if (!refused) {
            refused = refused_by(std::get<tac::Closed>(decision));
        }
    }
    return *refused;
}

Tsus::List Stamper::by_turn() {
    auto tsus = *parts_.tsus.signing();
    const auto first = turn_++ % tsus.size();
    std::rotate(tsus.begin(), tsus.begin() + static_cast<std::ptrdiff_t>(first), tsus.end());
    if (tsus.size() < 2) return tsus;
    // The token with the fewest signatures on their way first, and one that doesn't answer last. Looked at
    // once: what is compared must not change meanwhile.
    std::vector<std::pair<std::pair<bool, unsigned>, std::shared_ptr<Tsu>>> seen;
    seen.reserve(tsus.size());
    for (auto& tsu : tsus) {
        const std::pair load(tsu->token().hangs(), tsu->token().signing());
        seen.emplace_back(load, std::move(tsu));
    }
    std::stable_sort(seen.begin(), seen.end(),
                     [](const auto& a, const auto& b) { return a.first < b.first; });
    for (std::size_t i = 0; i < seen.size(); ++i) tsus[i] = std::move(seen[i].second);
    return tsus;
}

Result<std::shared_ptr<Stamper::Signed>, Stamper::Refused> Stamper::sign(Tsu::Work work,
                                                                         const tsp::Request& request,
                                                                         const tsp::Policy& policy,
                                                                         const tac::clock::Reading& reading,
                                                                         tac::Open open) {
    auto& tsu = work.tsu();
    auto form = tsu.form(policy, request.cert_req, open.tac);
    if (!form) return failure("form", form.error().text);
    const auto& profile = (*form)->profile;

    // 5. and 6. Serial number, TSTInfo, signed attributes, signature inside the HSM.
    tsp::TstInfo info;
    info.policy = policy.oid;
    info.algorithm = request.algorithm;
    info.hash_oid = request.hash_oid;
    info.imprint = request.imprint;
    info.serial = new_serial(reading.wall);
    info.gen_time = floor_to(reading.wall, policy.gentime_digits);
    info.gentime_digits = policy.gentime_digits;
    info.accuracy = policy.accuracy;
    info.nonce = request.nonce;
    info.tsa = tsu.certificate().subject_der();
    const auto info_der = tsp::encode(info);
    const auto attributes = profile.signed_attributes(info_der);
    const auto signature = tsu.token().sign(tsu.key(), pki::Hash::sha512, attributes);
    if (!signature) return failure("hsm", signature.error().text);

    // 7. A fault in the HSM, or another key under this label, must not become a token.
    if (!tsu.public_key().verify(pki::Hash::sha512, attributes, *signature)) {
        spdlog::error(
            "signature tsu={} key={}: the HSM's signature does not verify under the certificate; check that "
            "the key and the certificate belong together",
            tsu.name(), tsu.key().label());
        return failure("signature", "the HSM's signature does not verify");
    }
    auto token = profile.assemble(info_der, attributes, *signature);

    store::Issuance issuance;
    issuance.serial = info.serial;
    issuance.gen_time_us = to_unix_us(info.gen_time);
    issuance.policy = policy.oid;
    issuance.imprint_algorithm = request.hash_oid;
    issuance.imprint = request.imprint;
    issuance.tsu = tsu.name();
    if (open.tac) {
        const auto serial =
            from_hex(open.tac->serial.size() % 2 == 0 ? open.tac->serial : "0" + open.tac->serial);
        issuance.tac = store::TacReference{(*form)->blobs.back().id(), serial.value_or(Bytes{})};
    }
    issuance.clock_bound_us = open.bound_us;
    issuance.certificate = tsu.certificate_blob().id();
    auto blobs = (*form)->blobs;
    if (auto head = (*form)->heads->of(token, info.imprint)) blobs.push_back(std::move(*head));
    issuance.token = store::split(token, blobs, info.imprint, info.serial, digest_in(token, info_der));
    blobs.push_back(tsu.basis_blob(open.basis));
    issuance.clock = proof_of(reading, blobs.back().id());
    return std::make_shared<Signed>(Signed{std::move(work), demand_of(policy), reading, std::move(open),
                                           std::move(blobs), std::move(token), std::move(issuance)});
}

Result<Bytes, Stamper::Refused> Stamper::release(const Signed& made,
                                                 const Result<store::RecordNumber>& number) {
    if (!number) return failure("archive", number.error().text);
    // 9. The gate once more: an order to stop that came meanwhile, or a clock that moved, keeps the token
    // here. Its record stays: it says what was signed, not what went out.
    const auto again =
        made.work.tsu().gate().recheck(made.open, made.reading, parts_.clock.read(), made.demand);
    if (const auto* closed = std::get_if<tac::Closed>(&again)) return refused_by(*closed);
    if (auto why = stopped()) return std::move(*why);
    return made.token;
}

std::vector<std::string> Stamper::obstacles(const tsp::Policy& policy) const {
    std::vector<std::string> reasons;
    std::vector<std::string> of_hsms;
    const auto reading = parts_.clock.read();
    bool any_can = false;
    for (const auto& tsu : *parts_.tsus.signing()) {
        const bool available = tsu->token().available();
        if (auto text = "hsm: " + tsu->token().state();
            !available && std::find(of_hsms.begin(), of_hsms.end(), text) == of_hsms.end())
            of_hsms.push_back(std::move(text));
        const auto decision = tsu->gate().decide(reading, demand_of(policy));
        if (const auto* closed = std::get_if<tac::Closed>(&decision))
            reasons.push_back(tsu->name() + ": " + closed->text);
        else if (available)
            any_can = true;
    }
    reasons.insert(reasons.end(), of_hsms.begin(), of_hsms.end());
    if (any_can) reasons.clear();  // one TSU that can is enough (TSA-2)
    if (const auto state = parts_.archive.state(); state.kind != store::ArchiveState::Kind::ready)
        reasons.push_back("archive: " + state.text);
    if (parts_.checkpoints)
        if (const auto overdue = parts_.checkpoints->overdue()) reasons.push_back("archive: " + *overdue);
    if (parts_.programs)
        if (auto altered = parts_.programs->obstacle()) reasons.push_back(std::move(*altered));
    return reasons;
}

}  // namespace kokuin::tsa
