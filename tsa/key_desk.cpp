#include "tsa/key_desk.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "base/account.h"
#include "base/json_text.h"
#include "base/net/outcome.h"
#include "base/net/owner.h"
#include "base/text.h"
#include "hsm/commands.h"
#include "hsm/keytool.h"
#include "pki/revocation.h"
#include "pki/tsu_certificate.h"
#include "tsa/compromise.h"

namespace kokuin::tsa {
namespace {

using net::Response;
using nlohmann::json;

constexpr std::size_t largest_body = 64U << 10U;
constexpr nanoseconds audit_within = seconds(60);
constexpr nanoseconds ask_again_every = seconds(2);
constexpr nanoseconds look_every = milliseconds(20);
constexpr nanoseconds last_token_within = seconds(30);

/// "active key of tsu-1 since …, signs until …".
std::string about(const KeyEntry& entry, WallTime now) {
    auto text =
        std::string(name(entry.state)) + ", of " + entry.tsu + ", since " + to_rfc3339(entry.since, 0);
    if (entry.compromised) text += ", COMPROMISED";
    if (entry.state == KeyState::active && entry.activated)
        text += ", signs until " + to_rfc3339(signs_until(*entry.activated, entry.not_after), 0);
    if (entry.state == KeyState::retired && entry.retired)
        text +=
            std::string(is_overdue(entry, now) ? ", DESTRUCTION OVERDUE since " : ", to be destroyed by ") +
            to_rfc3339(destroy_by(*entry.retired), 0);
    return text;
}

void describe(json& key, const KeyEntry& entry, WallTime now) {
    const auto or_null = [](const std::optional<WallTime>& time) {
        return time ? json(to_rfc3339(*time, 0)) : json(nullptr);
    };
    key["tsu"] = entry.tsu;
    key["state"] = name(entry.state);
    key["since"] = to_rfc3339(entry.since, 0);
    key["why"] = entry.why;
    key["activated"] = or_null(entry.activated);
    key["signs_until"] =
        entry.activated ? json(to_rfc3339(signs_until(*entry.activated, entry.not_after), 0)) : json(nullptr);
    key["retired"] = or_null(entry.retired);
    key["destroy_by"] = entry.retired ? json(to_rfc3339(destroy_by(*entry.retired), 0)) : json(nullptr);
    key["overdue"] = is_overdue(entry, now);
    key["compromised"] = entry.compromised;
    key["certificate_sha256"] =
        entry.certificate_sha256.empty() ? json(nullptr) : json(entry.certificate_sha256);
    key["about"] = about(entry, now);
}

}  // namespace

/// What came with a request; texts that it hasn't are empty.
struct KeyDesk::Order {
    std::string label;
    std::string subject;
    std::string pem;
    std::string tsu;
    std::string hsm;
    hsm::KeyAlgorithm type = hsm::KeyAlgorithm::rsa;
    std::optional<unsigned> bits;
    KeyStep step;
    bool has_reasons = false;
};

void KeyDesk::add_routes(net::Router& router) {
    using Act = Result<std::string> (KeyDesk::*)(const Order&);
    router.add("GET", "/keys", net::for_owner("tsad", [this](const net::Request&) {
                   const auto keys = list();
                   return keys ? Response::json(200, *keys) : net::problem(keys.error());
               }));
    const auto post = [&](const char* path, Act act) {
        router.add(
            "POST", path,
            net::for_owner(
                "tsad",
                [this, act](const net::Request& request) {
                    const auto body = parse_json(as_text(request.body));
                    const auto text = [&body](const char* key) { return text_member(body, key); };
                    Order order{
                        text("label"), text("subject"), text("pem"), text("tsu"), text("hsm"), {}, {}, {},
                        false};
                    if (body.is_object() && body.contains("type")) {
                        const auto type = hsm::key_algorithm(text("type"));
                        if (!type) return net::problem(Error::usage("type: allowed are RSA and Ed25519"));
                        order.type = *type;
                    }
                    if (body.is_object() && body.contains("bits")) {
                        const auto& bits = body["bits"];
                        if (!bits.is_number_unsigned() || bits.get<std::uint64_t>() > 65536)
                            return net::problem(Error::usage("bits: allowed are 2048, 3072 and 4096"));
                        order.bits = bits.get<unsigned>();
                    }
                    order.step.why = text("why");
                    order.step.by = text("by");
                    order.step.account = account_text(request.peer.process->uid);
                    if (order.label.empty())
                        return net::problem(
                            Error::usage("no key is named; is this tool of the same version?"));
                    if (auto done = check_why_and_by(order.step.why, order.step.by); !done)
                        return net::problem(done.error());
                    order.step.custodians = activated_by(order.label);
                    const auto answer = (this->*act)(order);
                    return answer ? Response::json(200, *answer) : net::problem(answer.error());
                }),
            {{"application/json"}, largest_body});
    };
    post("/keys/generate", &KeyDesk::generate);
    post("/keys/csr", &KeyDesk::csr);
    post("/keys/import", &KeyDesk::import);
    post("/keys/rotate", &KeyDesk::rotate);
    post("/keys/retire", &KeyDesk::retire);
    post("/keys/compromise", &KeyDesk::compromise);
    post("/keys/destroy", &KeyDesk::destroy);
}

const TsuSettings* KeyDesk::settings_of(const std::string& tsu) const {
    for (const auto& one : parts_.settings)
        if (one.name == tsu) return &one;
    return nullptr;
}

std::string KeyDesk::activated_by(const std::string& label) const {
    const auto entry = parts_.life.find(label);
    if (!entry) return {};
    const auto hsm = parts_.hsms.of(*entry);
    return hsm && (*hsm)->custody() ? (*hsm)->custody()->state().custodians : std::string();
}

Result<Hsm*> KeyDesk::hsm_of(const std::string& label) const {
    const auto entry = parts_.life.find(label);
    return entry && entry->state != KeyState::destroyed ? parts_.hsms.of(*entry) : parts_.hsms.holder(label);
}

Result<std::string> KeyDesk::list() {
    // While a token can't be asked, the archive still knows.
    std::set<std::string> asked;  // names of HSMs that answered
    auto keys = json::array();
    for (const auto& one : parts_.hsms.all()) {
        // One that hangs would be waited for without end.
        const auto in_hsm = one->token().available()
                                ? hsm::keys_json(one->token())
                                : Result<std::string>(Error::environment(one->token().state()));
        if (!in_hsm) continue;
        asked.insert(one->name());
        for (auto& key : parse_json(*in_hsm)) {
            key["hsm"] = one->name();
            keys.push_back(std::move(key));
        }
    }
    const auto now = parts_.clock.read().wall;
    auto known = parts_.life.all();
    for (auto& key : keys) {
        const auto label = key.value("label", "");
        const auto at = std::find_if(known.begin(), known.end(), [&](const KeyEntry& one) {
            const auto in = parts_.hsms.of(one);
            return one.label == label && one.state != KeyState::destroyed && in &&
                   (*in)->name() == key["hsm"];
        });
        if (at == known.end()) continue;
        describe(key, *at, now);
        known.erase(at);
    }
    // What isn't in the HSM, or not any more.
    for (const auto& entry : known) {
        const auto in = parts_.hsms.of(entry);
        json key{{"label", entry.label},
                 {"id", entry.id},
                 {"type", entry.type},
                 {"bits", 0},
                 {"sensitive", nullptr},
                 {"extractable", nullptr},
                 {"hsm", in ? (*in)->name() : ""},
                 {"missing", in && asked.count((*in)->name()) > 0},
                 {"certificates", json::array()}};
        describe(key, entry, now);
        keys.push_back(std::move(key));
    }
    return json_text(keys);
}

Result<std::string> KeyDesk::generate(const Order& order) {
    const std::lock_guard turn(turn_);
    const bool of_archive = order.type == hsm::KeyAlgorithm::ed25519;
    if (of_archive && !order.tsu.empty())
        return Error::usage(
            "an Ed25519 key signs the archive's checkpoints, and is no TSU's; leave --tsu out");
    auto tsu = of_archive ? archive_keys : order.tsu;
    if (tsu.empty() && parts_.settings.size() == 1) tsu = parts_.settings.front().name;
    if (!of_archive && !settings_of(tsu))
        return Error::usage(tsu.empty() ? "there are several TSUs: say whose key it shall be with --tsu NAME"
                                        : "there is no [tsu." + one_line(tsu, 64) + "] in the configuration");
    if (const auto known = parts_.life.find(order.label); known && known->state != KeyState::destroyed)
        return Error::no("there is a key '" + order.label + "' already: it is " +
                         std::string(name(known->state)));
    auto* const hsm = parts_.hsms.find(!order.hsm.empty()   ? order.hsm
                                       : !of_archive        ? settings_of(tsu)->hsm
                                       : parts_.checkpoints ? parts_.checkpoints->hsm
                                                            : "");
    if (!hsm) return Error::usage("there is no [hsm." + one_line(order.hsm, 64) + "] in the configuration");

    auto step = order.step;
    if (const auto* custody = hsm->custody()) step.custodians = custody->state().custodians;
    auto& token = hsm->token();
    if (!token.available()) return Error::environment("hsm: " + token.state());
    const auto key = hsm::keytool::generate(token, order.label, order.type, order.bits);
    if (!key) return key.error();
    const auto id = to_hex(key->id());
    if (auto done = parts_.life.generated(order.label, tsu, id, key->spki(), step, token.name()); !done) {
        // A key without a record isn't used (KEY-8).
        const auto gone = token.destroy_key(order.label, pki::digest(pki::Hash::sha256, key->spki()));
        return Error::environment(done.error().text +
                                  (gone ? "; the key was destroyed again"
                                        : "; and the key can't be destroyed: " + gone.error().text));
    }
    spdlog::info("key={} tsu={} event=generated account={} by=\"{}\"", order.label, tsu, order.step.account,
                 order.step.by);
    return json_text(json({{"label", key->label()},
                           {"type", hsm::name(key->algorithm())},
                           {"bits", key->bits()},
                           {"id", id},
                           {"tsu", tsu}}));
}

Result<std::string> KeyDesk::csr(const Order& order) {
    const bool known = parts_.life.find(order.label).has_value();
    if (known)
        if (auto done = parts_.life.legal(order.label, KeyState::requested); !done)
            return std::move(done).error();
    const auto hsm = hsm_of(order.label);
    if (!hsm) return hsm.error();
    if (!(*hsm)->token().available()) return Error::environment("hsm: " + (*hsm)->token().state());
    const auto pem =
        hsm::keytool::csr((*hsm)->token(), order.label, order.subject, hsm::keytool::Purpose::timestamping);
    if (!pem) return pem.error();
    if (known)
        if (auto done = parts_.life.requested(order.label, *pem, order.step); !done)
            return std::move(done).error();
    return json_text(json({{"pem", *pem}}));
}

Result<std::string> KeyDesk::import(const Order& order) {
    const std::lock_guard turn(turn_);
    auto certificates = pki::parse_certificates(order.pem, "the certificate");
    if (!certificates) return std::move(certificates).error();
    const auto certificate = certificates->front();
    auto entry = parts_.life.find(order.label);
    if (entry)
        if (auto done = parts_.life.legal(order.label, KeyState::certified); !done)
            return std::move(done).error();
    std::vector<pki::Certificate> chain(certificates->begin() + 1, certificates->end());
    // A key that no record speaks of, or of a TSU that isn't configured yet, is judged as the first one's.
    const auto* settings = entry ? settings_of(entry->tsu) : nullptr;
    if (!settings) settings = &parts_.settings.front();
    auto configured = pki::load_certificates(settings->chain);
    if (!configured) return std::move(configured).error();
    auto path = pki::check_tsu_certificate(certificate, chain, *configured, parts_.clock.read().wall);
    if (!path) return Error{path.error()}.in(certificate.subject_text());
    if (!settings->crls.empty()) {
        const auto crls = pki::CrlFiles::open(settings->crls);
        if (!crls) return crls.error();
        if (const auto why = pki::find_revoked(*path, *(*crls)->current())) return Error::no(*why);
    }
    chain.assign(path->begin() + 1, path->end());
    const auto hsm = hsm_of(order.label);
    if (!hsm) return hsm.error();
    auto& token = (*hsm)->token();
    if (!token.available()) return Error::environment("hsm: " + token.state());
    if (auto done = hsm::keytool::import(token, order.label, certificate.pem()); !done)
        return std::move(done).error();
    // The chain lies beside it (KEY-3), each under a name of its own.
    for (const auto& one : chain)
        if (auto done = token.store_certificate(one_line(one.subject_text(), 200),
                                                View(one.sha256()).first(20), one.der());
            !done)
            return std::move(done).error();
    if (!entry) {
        // Made while nobody recorded it: from here on it has a life.
        const auto key = token.find_key(order.label);
        if (!key) return key.error();
        if (auto done = parts_.life.generated(order.label, settings->name, to_hex(key->id()), key->spki(),
                                              order.step, token.name());
            !done)
            return std::move(done).error();
    }
    if (auto done = parts_.life.certified(order.label, certificate, chain, order.step); !done)
        return std::move(done).error();
    spdlog::info("key={} event=certified subject=\"{}\" account={}", order.label, certificate.subject_text(),
                 order.step.account);
    return std::string("{}");
}

Done KeyDesk::audit(Tsu& successor, const std::string& why) {
    const auto begun = parts_.clock.read();
    const auto old = parts_.tsus.find(successor.name());
    // What the predecessor can do now, its successor must be able to do; and the default policy at least.
    std::vector<tac::Demand> wanted;
    for (const auto& policy : parts_.policies)
        if (policy.oid == parts_.policies.front().oid ||
            (old && std::holds_alternative<tac::Open>(old->gate().decide(begun, demand_of(policy)))))
            wanted.push_back(demand_of(policy));
    std::string obstacle;
    std::string said;  // what the TAA answered last
    std::optional<MonoTime> ask_not_before;
    while (!stopping_) {
        const auto now = parts_.clock.read();
        obstacle.clear();
        for (const auto& demand : wanted) {
            const auto decision = successor.gate().decide(now, demand);
            if (const auto* closed = std::get_if<tac::Closed>(&decision)) obstacle = closed->text;
        }
        if (obstacle.empty()) return {};
        if (now.after - begun.after > audit_within) break;
        if (parts_.requester && (!ask_not_before || now.after >= *ask_not_before)) {
            const auto answer = parts_.requester->ask(successor.name(), why, successor.certificate().der());
            if (!answer && answer.error().kind == Error::Kind::no) return answer.error();
            said = answer ? "" : "; " + answer.error().text;
            ask_not_before =
                now.after + std::max<nanoseconds>(answer ? answer->retry_after : seconds(0), ask_again_every);
        }
        parts_.sleep(look_every);
    }
    if (stopping_) return Error::environment("tsad stops; the key before goes on signing when it is back");
    return Error::environment("the new certificate of " + successor.name() +
                              " could not be put under proof within " + config::to_text(audit_within) + ": " +
                              obstacle + said + "; the key before goes on signing");
}

Result<std::string> KeyDesk::rotate(const Order& order) {
    const std::lock_guard turn(turn_);
    if (auto done = parts_.life.legal(order.label, KeyState::active); !done) return std::move(done).error();
    const auto entry = parts_.life.find(order.label).value();
    const auto hsm = parts_.hsms.of(entry);
    if (!hsm) return hsm.error();
    auto& token = (*hsm)->token();
    if (!token.available()) return Error::environment("hsm: " + token.state());
    const auto* settings = settings_of(entry.tsu);
    if (!settings)
        return Error::usage("the TSU '" + entry.tsu + "' of this key isn't in the configuration any more");
    auto certificates = parts_.life.certificates(entry);
    if (!certificates) return std::move(certificates).error();
    const auto now = parts_.clock.read().wall;
    auto loaded =
        Tsu::load(*settings,
                  {order.label, certificates->first, "the certificate of the key '" + order.label + "'", now},
                  token, now);
    if (!loaded) return std::move(loaded).error();
    const std::shared_ptr<Tsu> successor = std::move(*loaded);
    // That its key is there, and is its certificate's, shows before anybody relies on it.
    const auto trial = random_octets(32);
    const auto signature = token.sign(successor->key(), pki::Hash::sha512, trial);
    if (!signature) return signature.error();
    if (!successor->public_key().verify(pki::Hash::sha512, trial, *signature))
        return Error::environment("the HSM's signature with the key '" + order.label +
                                  "' doesn't verify under its certificate");
    if (const auto why = successor->revoked()) return Error::no(order.label + " can't take over: " + *why);
    auto predecessor = parts_.tsus.find(entry.tsu);
    const auto standing =
        predecessor ? predecessor->gate().status(parts_.clock.read(), demand_of(parts_.policies.front()))
                    : tac::GateStatus{};
    // The successor's gate knows nothing of what its predecessor's has seen: doubt about the clock is settled
    // first, …
    if (const auto* closed = std::get_if<tac::Closed>(&standing.decision);
        closed && closed->cause == tac::Cause::contradiction)
        return Error::no(entry.tsu + ": " + closed->text + "; no key takes over while the clock is in doubt");
    if (!parts_.tsus.wait(successor)) return Error::no("a key of " + entry.tsu + " takes over already");
    // … and an order to stop holds for it too, until its own good TAC (TAC-4). After wait(): what comes now
    // reaches both.
    if (predecessor)
        if (auto stop =
                predecessor->gate().status(parts_.clock.read(), demand_of(parts_.policies.front())).stop)
            successor->gate().stop(std::move(*stop));
    predecessor.reset();  // or it would never count as drained below
    // 1. Under proof before it signs (TAC-1).
    if (auto done = audit(*successor, "a successor takes over: " + order.step.why); !done) {
        parts_.tsus.give_up(entry.tsu);
        return std::move(done).error();
    }
    // 2. Recorded before it signs (KEY-8).
    const auto before = parts_.life.active(entry.tsu);
    if (auto done = parts_.life.activated(order.label, now, order.step); !done) {
        parts_.tsus.give_up(entry.tsu);
        return std::move(done).error();
    }
    // 3. From here on it signs; 4. what its predecessor has signed leaves; 5. that one is retired.
    // Whoever still has it (a list that was read before, a token on its way into the archive) keeps it alive.
    const auto old = parts_.tsus.take_over(entry.tsu);
    const auto switched = parts_.clock.read().after;
    while (old.use_count() > 1 && !stopping_ && parts_.clock.read().after - switched < last_token_within)
        parts_.sleep(look_every);
    const bool drained = old.use_count() == 1;
    // What hangs in an HSM or in the archive must not leave when it comes back: its key is to be retired.
    if (!drained && old && !stopping_) old->gate().suspend("its key has been replaced");
    // So that the TAA follows at once, and not with its next audit.
    if (parts_.requester)
        (void)parts_.requester->ask(entry.tsu, "its successor signs now", successor->certificate().der());

    spdlog::warn("key={} tsu={} event=activated predecessor={} account={} by=\"{}\" text=\"{}\"", order.label,
                 entry.tsu, before ? before->label : "-", order.step.account, order.step.by, order.step.why);
    if (!drained)
        return Error::environment(
            order.label +
            " signs now, but a token of its predecessor still hangs in its HSM or in the archive; "
            "retire that key when they are well: tsactl key retire " +
            (before ? before->label : ""));
    if (before && parts_.life.find(before->label)->state == KeyState::active)
        if (auto done = parts_.life.retired(before->label, order.step); !done)
            return Error::environment(order.label + " signs now, but that " + before->label +
                                      " is retired isn't recorded: " + done.error().text +
                                      "; repeat it with: tsactl key retire " + before->label);
    return json_text(json({{"tsu", entry.tsu},
                           {"key", order.label},
                           {"retired", before ? json(before->label) : json(nullptr)},
                           {"signs_until", to_rfc3339(successor->signs_until(), 0)}}));
}

Result<std::string> KeyDesk::retire(const Order& order) {
    if (auto done = parts_.life.legal(order.label, KeyState::retired); !done) return std::move(done).error();
    const auto entry = parts_.life.find(order.label).value();
    // Closed first: what is signed after its record would be a lie. And at once: a rotation isn't waited for.
    const bool signs = close(order.label, "is retired: " + order.step.why);
    if (auto done = parts_.life.retired(order.label, order.step); !done)
        return signs ? std::move(done).error().in(
                           "it signs nothing now, but that isn't recorded; repeat the command")
                     : std::move(done).error();
    (void)close(order.label, "is retired: " + order.step.why);  // as in compromise()
    spdlog::warn("key={} tsu={} event=retired account={} by=\"{}\" text=\"{}\"", order.label, entry.tsu,
                 order.step.account, order.step.by, order.step.why);
    const auto retired = parts_.life.find(order.label)->retired.value();
    return json_text(
        json({{"tsu", entry.tsu}, {"key", order.label}, {"destroy_by", to_rfc3339(destroy_by(retired), 0)}}));
}

Result<std::string> KeyDesk::compromise(const Order& order) {
    const auto entry = parts_.life.find(order.label);
    // Closed whatever else can or can't be done (KEY-6).
    const bool signs = close(order.label, "is compromised: " + order.step.why);
    if (auto done = parts_.life.compromised(order.label, order.step); !done)
        return signs ? std::move(done).error().in(
                           "it signs nothing now, but that isn't recorded; repeat the command")
                     : std::move(done).error();
    // A rotation may have put it to work between that look and the record; after the record none can.
    (void)close(order.label, "is compromised: " + order.step.why);
    spdlog::critical("key={} tsu={} event=compromised account={} by=\"{}\" text=\"{}\"", order.label,
                     entry->tsu, order.step.account, order.step.by, order.step.why);
    json said{{"tsu", entry->tsu},
              {"key", order.label},
              {"certificate_serial", nullptr},
              {"certificate_issuer", nullptr},
              {"revocation_request", nullptr},
              {"certificates", json::array()},
              {"activated_us", nullptr},
              {"activated", entry->activated ? json(to_rfc3339(*entry->activated, 0)) : json(nullptr)}};
    const auto all = parts_.life.compromises();
    const auto known = std::find_if(all.rbegin(), all.rend(), [&entry](const Compromise& one) {
        return one.key.spki_sha256 == entry->spki_sha256;
    });
    if (known == all.rend()) return json_text(said);  // it never had a certificate: nothing depends on it
    const auto certificates = parts_.life.certificates(known->key);
    if (!certificates)
        return Error{certificates.error()}.in(
            "it signs nothing now, and that is recorded, but its certificate can't be read");
    const auto& certificate = certificates->first;
    said["certificate_serial"] = to_hex(certificate.serial());
    said["certificate_issuer"] = certificate.issuer_text();
    said["revocation_request"] = revocation_request_json(*known, certificate, order.step.why, order.step.by);
    for (const auto& id : known->key.certificates) said["certificates"].push_back(to_hex(id));
    if (known->key.activated) said["activated_us"] = to_unix_us(*known->key.activated);
    return json_text(said);
}

bool KeyDesk::close(const std::string& label, const std::string& why) {
    bool closed = false;
    // Also one that is just about to take over.
    for (const auto& tsu : *parts_.tsus.audited()) {
        if (tsu->key().label() != label) continue;
        closed = true;
        tsu->gate().suspend("its key '" + label + "' " + why);
        // What was signed when its gate closed is refused at its last look; its record is there before this.
        const auto begun = parts_.clock.read().after;
        while (tsu->signing() > 0 && !stopping_ && parts_.clock.read().after - begun < last_token_within)
            parts_.sleep(look_every);
    }
    return closed;
}

Result<std::string> KeyDesk::destroy(const Order& order) {
    if (auto done = parts_.life.legal(order.label, KeyState::destroyed); !done)
        return std::move(done).error();
    const auto entry = parts_.life.find(order.label).value();
    const auto hsm = parts_.hsms.of(entry);
    if (!hsm) return hsm.error();
    if (const auto& used = parts_.checkpoints;
        used && used->key == order.label && parts_.hsms.find(used->hsm) == *hsm)
        return Error::no(
            "the key '" + order.label +
            "' signs the archive's checkpoints; name another [archive] key first, and restart tsad");
    auto* const approvals = (*hsm)->approvals();
    if (!approvals) {
        auto done = carry_out_destruction(order.label, order.step);
        if (!done) return done;
        return json_text(json({{"key", order.label}, {"text", *done}}));
    }
    const auto proposal = approvals->propose(
        {"key-destroy", "key " + order.label + ", spki_sha256 " + entry.spki_sha256, order.step.why,
         order.step.by, order.step.account},
        [this, label = order.label, &token = (*hsm)->token()] {
            if (!token.available()) return Done(Error::environment("hsm: " + token.state()));
            return parts_.life.legal(label, KeyState::destroyed);
        },
        [this, order](const hsm::custody::Agreement& agreement) {
            auto step = order.step;
            step.agreed_in = agreement.id;
            step.custodians = agreement.custodians;
            return carry_out_destruction(order.label, step);
        });
    if (!proposal) return proposal.error();
    return json_text(json({{"proposal", parse_json(proposal->to_json())}, {"hsm", (*hsm)->name()}}));
}

Result<std::string> KeyDesk::carry_out_destruction(const std::string& label, const KeyStep& step) {
    if (auto done = parts_.life.legal(label, KeyState::destroyed); !done) return std::move(done).error();
    const auto entry = parts_.life.find(label).value();
    const auto spki = from_hex(entry.spki_sha256).value_or(Bytes());
    const auto hsm = parts_.hsms.of(entry);
    if (!hsm) return hsm.error();
    if (auto done = (*hsm)->token().destroy_key(label, spki); !done) return std::move(done).error();
    if (auto done = parts_.life.destroyed(label, step); !done) return std::move(done).error();
    spdlog::warn("key={} tsu={} event=destroyed account={} by=\"{}\" custodians=\"{}\" text=\"{}\"", label,
                 entry.tsu, step.account, step.by, step.custodians, step.why);
    return "the key '" + label + "' is destroyed: the token has no private key with its public half any more";
}

}  // namespace kokuin::tsa
