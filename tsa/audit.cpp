#include "tsa/audit.h"

#include <spdlog/spdlog.h>

#include <optional>

namespace kokuin::tsa {
namespace {

constexpr auto stop_kind = "tac.stop";

store::Event event_of(std::string_view kind, const Tsu& tsu, std::string text) {
    store::Event event;
    event.kind = kind;
    event.subject = tsu.name();
    event.text = std::move(text);
    return event;
}

std::string describe(const tac::AcceptedTac& tac) {
    return "TAC " + tac.serial + " of policy " + tac.policy + ": offset " +
           std::to_string(std::chrono::duration_cast<microseconds>(tac.offset).count()) + " us, delay " +
           std::to_string(tac.value.tac.delay.count()) + " us, valid until " + to_rfc3339(tac.valid_until, 0);
}

}  // namespace

namespace {

/// The TSU that a clock request is about: of this name, and with this certificate if it names one.
std::shared_ptr<Tsu> asked_for(const Tsus::List& tsus, const tac::ClockRequest& request) {
    std::shared_ptr<Tsu> found;
    for (const auto& tsu : tsus) {
        if (tsu->name() != request.tsu) continue;
        if (!found) found = tsu;
        if (!request.certificate_sha256.empty() &&
            equal(request.certificate_sha256, tsu->certificate().sha256()))
            return tsu;
    }
    return found;
}

}  // namespace

store::Event revoked_event(const std::string& tsu, const std::string& serial, const std::string& why) {
    store::Event event;
    event.kind = revoked_kind;
    event.subject = tsu;
    event.fields["tac"] = serial;
    event.text = "TAC " + serial + " isn't believed any more: " + why;
    return event;
}

std::shared_ptr<const pki::Crls> Audited::crls() const {
    return parts_.crls ? parts_.crls->current() : nullptr;
}

Result<tac::ClockAnswer> Audited::read_clock(const tac::ClockRequest& request) {
    const auto received = parts_.clock.read();
    const auto tsu = asked_for(*parts_.tsus.audited(), request);
    if (!tsu) return Error::usage("there is no TSU '" + request.tsu + "' here; see [tsu.NAME] in tsad.toml");
    const auto sent = parts_.clock.read();
    if (!exchanges_.record({request.nonce, request.tsu, received, sent, parts_.clock.boot_id()}))
        return Error::usage("this nonce was used before; use a fresh one for each sample");
    return tac::ClockAnswer{request.nonce, received.wall, sent.wall, tsu->certificate().sha256()};
}

Result<tac::NoticeAnswer> Audited::take_notice(const tac::Notice& notice) {
    if (notice.kind != tac::Notice::Kind::clock_unproved) return Error::usage("no notice of a TAA");
    const auto tsu = parts_.tsus.find(notice.tsu);
    if (!tsu) return Error::usage("there is no TSU '" + notice.tsu + "' here; see [tsu.NAME] in tsad.toml");
    const auto kind = std::string(name(notice.kind));
    // The TAA says it again with each audit that it can't make.
    if (tsu->set_notice(kind)) {
        auto event = event_of("taa.notice", *tsu, notice.text);
        event.fields["notice"] = kind;
        spdlog::warn("audit tsu={} the TAA issues no TACs ({}): {}", tsu->name(), kind, notice.text);
        if (auto done = parts_.journal.keep(std::move(event)); !done) return std::move(done).error();
    }
    return tac::NoticeAnswer{};
}

Result<tac::DeliveryVerdict> Audited::deliver(const tac::TacDelivery& delivery) {
    const auto now = parts_.clock.read();
    tac::Delivered delivered{delivery.tac, delivery.chain, exchanges_.take(delivery.nonce, now.after)};
    // Without an exchange nothing says which TSU is meant but the holder in the TAC; the refusal is the first
    // one's.
    const auto signing = parts_.tsus.signing()->front();
    auto tsu = delivered.exchange ? parts_.tsus.find(delivered.exchange->tsu) : signing;
    if (!tsu) return Error::usage("the TSU of this exchange is gone");
    // One that waits to take over has its predecessor's name: the holder says which is meant.
    for (const auto& one : *parts_.tsus.audited())
        if (one != tsu && one->name() == tsu->name()) {
            const std::lock_guard lock(one->delivery());
            auto verdict = judge(*one, delivered, now);
            const auto* refusal = std::get_if<tac::Refusal>(&verdict);
            const bool other = refusal && (refusal->reason == tac::Reason::holder_name ||
                                           refusal->reason == tac::Reason::holder_digest);
            if (!other) return take(*one, verdict, delivery.tac);
        }
    const std::lock_guard lock(tsu->delivery());
    return take(*tsu, judge(*tsu, delivered, now), delivery.tac);
}

tac::Verdict Audited::judge(const Tsu& tsu, const tac::Delivered& delivered,
                            const tac::clock::Reading& now) const {
    return tac::validate(
        delivered, parts_.rules,
        {tsu.certificate(), tsu.gate().last(), now, parts_.clock.boot_id(), crls(), fetched()});
}

std::function<std::optional<std::string>(const std::vector<pki::Certificate>&)> Audited::fetched() const {
    if (!parts_.revocation) return {};
    return [watch = parts_.revocation](const std::vector<pki::Certificate>& path) {
        return judge_revocation(watch, path, nullptr).revoked;
    };
}

void Audited::put_in_force(Tsu& tsu, const std::shared_ptr<const tac::AcceptedTac>& tac) const {
    // Known before it can open anything: its TAA may be one that nobody has asked about yet.
    if (parts_.revocation)
        tsu.gate().set_unknown(judge_revocation(parts_.revocation, tsu.path(), tsu.crls()).closed,
                               judge_revocation(parts_.revocation, tac->path, parts_.crls).closed);
    tsu.gate().accept(tac);
}

Result<tac::DeliveryVerdict> Audited::take(Tsu& tsu, const tac::Verdict& verdict, const Bytes& der) {
    if (const auto* tac = std::get_if<std::shared_ptr<const tac::AcceptedTac>>(&verdict))
        return take(tsu, *tac);
    if (const auto* order = std::get_if<tac::StopOrder>(&verdict)) return take(tsu, *order);
    return take(tsu, std::get<tac::Refusal>(verdict), der);
}

Result<tac::DeliveryVerdict> Audited::take(Tsu& tsu, const std::shared_ptr<const tac::AcceptedTac>& tac) {
    auto event = event_of(accepted_kind, tsu, describe(*tac));
    for (auto& [key, value] : tac->delivered.to_fields()) event.fields.emplace(key, value);
    event.fields["certificate"] = to_hex(tsu.certificate().sha256());
    const store::Blob blob(tac->value.der);
    event.blobs.push_back(blob.id());
    const bool stopped = tsu.gate().status(parts_.clock.read(), {}).stop.has_value();
    if (stopped) event.text += "; resumes after an order to stop";
    // Not in the archive, so not in force; the TAA tries again.
    if (auto done = parts_.journal.write(event, {blob}); !done) return std::move(done).error();
    parts_.repository.add(tac->serial, blob.id());
    put_in_force(tsu, tac);
    (void)tsu.set_notice(std::nullopt);
    if (parts_.follower) parts_.follower->follow(*tac);
    spdlog::info("audit tsu={} accepted: {}", tsu.name(), event.text);
    return tac::DeliveryVerdict{tac::DeliveryVerdict::Kind::accepted, "", event.text};
}

Result<tac::DeliveryVerdict> Audited::take(Tsu& tsu, const tac::StopOrder& order) {
    auto event = event_of(stop_kind, tsu, "order to stop, TAC " + order.serial + ": " + order.text);
    for (auto& [key, value] : order.to_fields()) event.fields.emplace(key, value);
    const store::Blob blob(order.tac);
    event.blobs.push_back(blob.id());
    // In force first: whatever becomes of the archive, no token goes out after this (TAC-4).
    // It is the clock that is wrong: whoever has that name signs by the same one.
    for (const auto& one : *parts_.tsus.audited())
        if (one->name() == tsu.name()) one->gate().stop(order);
    spdlog::warn("audit tsu={} {}", tsu.name(), event.text);
    if (parts_.follower) parts_.follower->follow(order);
    // Not acknowledged before it is archived; until then it waits in the journal, which goes on trying.
    if (auto done = parts_.journal.keep(event, {blob}); !done) return std::move(done).error();
    return tac::DeliveryVerdict{tac::DeliveryVerdict::Kind::stop_accepted, "", event.text};
}

Result<tac::DeliveryVerdict> Audited::take(Tsu& tsu, const tac::Refusal& refusal, const Bytes& der) {
    spdlog::warn("audit tsu={} TAC refused ({}): {}", tsu.name(), name(refusal.reason), refusal.text);
    // The verdict stands without a record; what can't be archived now is tried again.
    parts_.refused.refuse(tsu.name(), refusal, der, parts_.clock.read().after);
    return tac::DeliveryVerdict{tac::DeliveryVerdict::Kind::refused, std::string(name(refusal.reason)),
                                refusal.text};
}

Result<std::optional<store::Record>> Audited::last_accepted(const Tsu& tsu) const {
    store::EventQuery query;
    query.kind = std::string(accepted_kind);
    query.subject = tsu.name();
    const auto own = to_hex(tsu.certificate().sha256());
    std::optional<store::Record> last;
    const auto done = parts_.archive.events(query, [&](const store::Found& found) {
        // Of a successor that hasn't taken over, or a key before; records of before there were any say
        // nothing of it.
        const auto* holder = found.event().find<std::string>("certificate");
        if (!holder || *holder == own) last = found.record;
        return true;
    });
    if (!done) return done.error();
    return last;
}

Done Audited::restore() {
    for (const auto& tsu : *parts_.tsus.signing()) {
        auto accepted = last_accepted(*tsu);
        if (!accepted) return std::move(accepted).error();
        auto stop = parts_.archive.latest_event(stop_kind, tsu->name());
        if (!stop) return std::move(stop).error();
        const auto fields_of = [](const store::Record& record) {
            tac::Fields fields;
            for (const auto& [key, value] : std::get<store::Event>(record.body).fields)
                fields.emplace(key, value);
            return fields;
        };
        auto revoked = parts_.archive.latest_event(std::string(revoked_kind), tsu->name());
        if (!revoked) return std::move(revoked).error();
        const bool taken_back = *accepted && *revoked && (*revoked)->number > (*accepted)->number;
        const bool stopped = *stop && (!*accepted || (*stop)->number > (*accepted)->number);
        if (*accepted) {
            auto delivered = tac::Delivered::from_fields(fields_of(**accepted));
            if (!delivered)
                return std::move(delivered).error().in("archive record " +
                                                       std::to_string((*accepted)->number));
            if (auto done = restore(*tsu, *delivered, !stopped && !taken_back); !done) return done;
            if (taken_back) tsu->gate().restore_withdrawn(std::get<store::Event>((*revoked)->body).text);
        }
        if (stopped) {
            auto order = tac::StopOrder::from_fields(fields_of(**stop));
            if (!order)
                return std::move(order).error().in("archive record " + std::to_string((*stop)->number));
            spdlog::warn("audit tsu={} the order to stop of {} still holds", tsu->name(),
                         to_rfc3339(order->ntp_time));
            tsu->gate().stop(std::move(*order));
        }
    }
    return {};
}

Done Audited::restore(Tsu& tsu, const tac::Delivered& delivered, bool in_force) {
    if (in_force) {
        const auto verdict = tac::validate(delivered, parts_.rules,
                                           {tsu.certificate(), std::nullopt, parts_.clock.read(),
                                            parts_.clock.boot_id(), crls(), fetched()});
        if (const auto* tac = std::get_if<std::shared_ptr<const tac::AcceptedTac>>(&verdict)) {
            put_in_force(tsu, *tac);
            spdlog::info("audit tsu={} kept from before the restart: {}", tsu.name(), describe(**tac));
            return {};
        }
        if (const auto* refusal = std::get_if<tac::Refusal>(&verdict)) {
            spdlog::info("audit tsu={} the last TAC doesn't hold any more ({}): {}", tsu.name(),
                         name(refusal->reason), refusal->text);
            // Revoked while this server was down.
            if (refusal->reason == tac::Reason::revoked) {
                const auto value = tac::decode(delivered.tac);
                const auto serial = value ? tac::serial_hex(value->tac.serial) : "";
                parts_.journal.later(revoked_event(tsu.name(), serial, refusal->text));
                tsu.gate().restore_withdrawn(refusal->text);
            }
        }
    }
    // It proves nothing now, but what comes must be newer.
    const auto value = tac::decode(delivered.tac);
    if (!value) return Error(value.error()).in("the last TAC of " + tsu.name() + " in the archive");
    tsu.gate().remember({value->tac.ntp_time, tac::serial_hex(value->tac.serial), {}, {}});
    return {};
}

}  // namespace kokuin::tsa
