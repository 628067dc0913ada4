#include "hsm/custody/desk.h"

#include <spdlog/spdlog.h>
#include <unistd.h>

#include <future>

#include "base/account.h"
#include "base/file.h"
#include "base/json_text.h"
#include "base/net/outcome.h"
#include "base/net/owner.h"
#include "hsm/commands.h"
#include "hsm/custody/papers/json.h"
#include "hsm/custody/records.h"
#include "hsm/custody/reshare.h"
#include "pki/certificate.h"
#include "pki/hash.h"

namespace kokuin::hsm::custody {
namespace {

using net::Request;
using net::Response;

constexpr std::size_t largest_body = 64U << 10U;

Json state_json(const Activation::State& state) {
    return {{"activated", state.activated},
            {"refused", state.refused},
            {"given", state.given},
            {"threshold", state.threshold},
            {"text", state.text}};
}

std::string account_of(const Request& request) {
    return account_text(request.peer.process->uid);
}

Response take_share(const Request& request, Activation& activation) {
    const auto given = Given::from_json(as_text(request.body));
    if (!given) return net::problem(given.error());
    const auto account = account_of(request);
    const auto state = activation.give(*given, account);
    if (!state) {
        spdlog::warn("custody event=share-refused custodian=\"{}\" account={} reason=\"{}\"",
                     given->approval.custodian, account, state.error().text);
        return net::problem(state.error());
    }
    spdlog::info("custody event=share custodian={} account={} text=\"{}\"", given->approval.custodian,
                 account, state->text);
    return Response::json(200, dump(state_json(*state)));
}

Response deactivate(const Request& request, Activation& activation) {
    const auto json = parse_ordered_json(as_text(request.body));
    Members members(json);
    const auto why = members.text("why");
    const auto by = members.text("by");
    if (!members.ok())
        return net::problem(Error::usage("no order to deactivate; is this tool of the same version?"));
    if (auto done = check_why_and_by(why, by); !done) return net::problem(done.error());
    const auto account = account_of(request);
    if (auto done = activation.deactivate(why, by, account); !done) return net::problem(done.error());
    spdlog::warn("custody event=deactivated account={} by=\"{}\" text=\"{}\"", account, by, why);
    return Response::json(200, dump(state_json(activation.state())));
}

/// A route that takes a JSON object.
using Act = std::function<Response(Members&, const std::string& account)>;
net::Handler of_json(Act act) {
    return [act = std::move(act)](const Request& request) {
        const auto json = parse_ordered_json(as_text(request.body));
        Members members(json);
        return act(members, account_of(request));
    };
}

Response unreadable() {
    return net::problem(Error::usage("no order about a key; is this tool of the same version?"));
}

}  // namespace

namespace {

Response approve(const Request& request, Approvals& approvals) {
    const auto json = parse_ordered_json(as_text(request.body));
    Members members(json);
    const auto id = members.text("id");
    const Approval approval{members.text("custodian"), members.octets("signature", 64)};
    std::optional<Box> officer;
    if (json.is_object() && json.contains("officer")) {
        officer = box_from(json["officer"]);
        if (!officer) members.fail();
    }
    if (!members.ok())
        return net::problem(Error::usage("that is no approval; is this tool of the same version?"));
    const auto outcome = approvals.approve(id, approval, officer);
    if (!outcome) {
        spdlog::warn(
            "custody event=approval-failed proposal=\"{}\" custodian=\"{}\" account={} reason=\"{}\"", id,
            approval.custodian, account_of(request), outcome.error().text);
        return net::problem(outcome.error());
    }
    spdlog::info("custody event=approved proposal={} custodian={} account={} done={}", id, approval.custodian,
                 account_of(request), outcome->done);
    return Response::json(200, dump({{"proposal", parse_ordered_json(outcome->proposal.to_json())},
                                     {"done", outcome->done},
                                     {"text", outcome->text}}));
}

Response reshare(const Request& request, Activation& activation, Approvals& approvals) {
    const auto json = parse_ordered_json(as_text(request.body));
    Members members(json);
    Successors successors;
    successors.threshold = members.number("threshold", most_custodians);
    for (const auto& one : members.object("custodians")) {
        Members custodian(one);
        successors.custodians.emplace_back(
            custodian.text("name"),
            PublicKeys{custodian.octets("signing_key", 32), custodian.octets("sealing_key", 32)});
        if (!custodian.ok()) members.fail();
    }
    const auto why = members.text("why");
    const auto by = members.text("by");
    if (!members.ok())
        return net::problem(
            Error::usage("no order to replace custodians; is this tool of the same version?"));
    if (auto done = check_why_and_by(why, by); !done) return net::problem(done.error());
    const auto proposal = propose_resharing(activation, approvals, successors, why, by, account_of(request));
    if (!proposal) return net::problem(proposal.error());
    return Response::json(200, dump({{"proposal", parse_ordered_json(proposal->to_json())}}));
}

}  // namespace

void add_custody_routes(net::Router& router, const std::string& path, const std::string& program,
                        Activation& activation, Approvals& approvals) {
    router.add("GET", path + "/proposals", net::for_owner(program, [&approvals](const Request&) {
                   Json all = Json::array();
                   for (const auto& one : approvals.waiting())
                       all.push_back(parse_ordered_json(one.to_json()));
                   return Response::json(200, dump(all));
               }));
    router.add(
        "POST", path + "/approve",
        net::for_owner(program, [&approvals](const Request& request) { return approve(request, approvals); }),
        {{"application/json"}, largest_body});
    const net::RouteLimits limits{{"application/json"}, largest_body};
    router.add("POST", path + "/reshare",
               net::for_owner(program,
                              [&activation, &approvals](const Request& request) {
                                  return reshare(request, activation, approvals);
                              }),
               limits);
    router.add("GET", path, net::for_owner(program, [&activation](const Request&) {
                   auto json = state_json(activation.state());
                   json["challenge"] = parse_ordered_json(activation.challenge().to_json());
                   return Response::json(200, dump(json));
               }));
    router.add(
        "POST", path + "/share",
        net::for_owner(program,
                       [&activation](const Request& request) { return take_share(request, activation); }),
        limits);
    router.add(
        "POST", path + "/deactivate",
        net::for_owner(program,
                       [&activation](const Request& request) { return deactivate(request, activation); }),
        limits);
}

namespace {

/// What happened to a key, with what belongs to it.
Done record_key(const Record& record, const char* kind, const Key& key, const std::string& account,
                const std::string& octets) {
    auto event = key_event(kind, key.label(), key.spki(), account);
    std::vector<store::Blob> blobs;
    if (!octets.empty()) {
        blobs.emplace_back(Bytes(octets.begin(), octets.end()));
        event.blobs.push_back(blobs.back().id());
    }
    return record(event, blobs);
}

}  // namespace

void add_key_routes(net::Router& router, const std::string& program, Token& token, keytool::Purpose purpose,
                    Record record) {
    const net::RouteLimits limits{{"application/json"}, largest_body};
    const auto post = [&](const char* path, Act act) {
        router.add("POST", path, net::for_owner(program, of_json(std::move(act))), limits);
    };
    router.add("GET", "/keys", net::for_owner(program, [&token](const Request&) {
                   const auto keys = keys_json(token);
                   return keys ? Response::json(200, *keys) : net::problem(keys.error());
               }));
    post("/keys/generate", [&token, record](Members& members, const std::string& account) {
        const auto label = members.text("label");
        const auto type = key_algorithm(members.text("type"));
        std::optional<unsigned> bits;
        if (members.has("bits")) bits = members.number("bits", 65536);
        if (!members.ok() || !type) return unreadable();
        const auto key = keytool::generate(token, label, *type, bits);
        if (!key) return net::problem(key.error());
        if (auto done = record_key(record, "key.generated", *key, account, ""); !done) {
            (void)token.destroy_key(label, pki::digest(pki::Hash::sha256, key->spki()));
            return net::problem(done.error());
        }
        return Response::json(200, dump({{"label", key->label()},
                                         {"type", name(key->algorithm())},
                                         {"bits", key->bits()},
                                         {"id", to_hex(key->id())}}));
    });
    post("/keys/csr", [&token, purpose, record](Members& members, const std::string& account) {
        const auto label = members.text("label");
        const auto subject = members.text("subject");
        if (!members.ok()) return unreadable();
        const auto pem = keytool::csr(token, label, subject, purpose);
        if (!pem) return net::problem(pem.error());
        const auto key = token.find_key(label);
        if (!key) return net::problem(key.error());
        const auto done = record_key(record, "key.requested", *key, account, *pem);
        return done ? Response::json(200, dump({{"pem", *pem}})) : net::problem(done.error());
    });
    post("/keys/import", [&token, record](Members& members, const std::string& account) {
        const auto label = members.text("label");
        const auto certificates = pki::parse_certificates(members.text("pem"), "the certificate");
        if (!members.ok()) return unreadable();
        if (!certificates) return net::problem(certificates.error());
        const auto& certificate = certificates->front();
        if (auto done = keytool::import(token, label, certificate.pem()); !done)
            return net::problem(done.error());
        const auto key = token.find_key(label);
        if (!key) return net::problem(key.error());
        const auto done = record_key(record, "key.certified", *key, account, as_text(certificate.der()));
        return done ? Response::json(200, "{}") : net::problem(done.error());
    });
}

void tell_keeper(Keeper* keeper, const std::string& token, const Done& opened, const Secret& pin) {
    const bool refused = !opened && opened.error().kind == Error::Kind::usage;
    if (keeper && !refused) keeper->keep(token, pin);
}

void tell_keeper(Keeper* keeper, const std::string& token, const Done& changed, const PinChange& change) {
    if (!keeper) return;
    if (changed)
        keeper->keep(token, change.new_user);
    else if (changed.error().kind != Error::Kind::no)
        keeper->forget(token);
}

Done open_at_start(Activation& activation, Keeper* keeper, const std::string& archive,
                   const std::vector<std::string>& unattended) {
    if (keeper) {
        const auto token = activation.roster().token;
        if (auto pin = keeper->handed(token)) {
            const auto agreed = read_agreed_settings(archive, token);
            if (!agreed) return agreed.error();
            if (auto done = activation.reopen(std::move(*pin), agreed->value_or("")); !done) {
                // The archive may be away for a moment: the PIN stays where it is.
                if (done.error().kind == Error::Kind::environment) return done;
                spdlog::error("custody event=not-reopened token=\"{}\" text=\"{}\"", token,
                              done.error().text);
                keeper->forget(token);
            } else {
                spdlog::warn(
                    "custody event=kept token=\"{}\" text=\"opened again with the PIN that the keeper held\"",
                    token);
            }
        }
    }
    return activate_unattended(activation, unattended);
}

void say_if_locked(const Activation& activation) {
    if (const auto state = activation.state(); !state.activated && !state.refused)
        spdlog::warn(
            "custody event=locked token=\"{}\" text=\"{}; each gives a share with the command 'activate'\"",
            activation.roster().token, state.text);
}

namespace {

/// The share of a stem, opened with the passphrase beside it.
Result<OpenShare> open_beside(const std::string& stem, const Challenge& challenge) {
    const auto path = stem + ".share";
    const auto text = read_file(path, largest_share_file);
    if (!text) return text.error();
    auto file = ShareFile::from_json(as_text(*text));
    if (!file) return std::move(file).error().in(path);
    if (auto done = fits(challenge, *file); !done && !(challenge.next && fits(challenge.to_next(), *file)))
        return Error::usage("[hsm] unattended: " + path + " " + done.error().text);
    const auto passphrase = read_secret_file(stem + ".passphrase");
    if (!passphrase) return passphrase.error();
    auto share = open_share_file(std::move(*file), passphrase->view());
    if (!share) return Error::usage(path + ": " + share.error().text);
    return share;
}

}  // namespace

Done activate_unattended(Activation& activation, const std::vector<std::string>& stems) {
    if (activation.state().activated) return {};
    const auto challenge = activation.challenge();
    // A passphrase costs a fifth of a second of one core: all at once.
    std::vector<std::future<Result<OpenShare>>> opening;
    for (const auto& stem : stems) {
        spdlog::warn(
            "custody event=unattended text=\"{}.share is opened with a passphrase that lies beside it: this "
            "PIN is in "
            "nobody's hands. For tests and demos only, never for service ([hsm] unattended)\"",
            stem);
        opening.push_back(std::async(std::launch::async, open_beside, stem, challenge));
    }
    Done outcome;
    for (auto& one : opening) {
        const auto share = one.get();
        if (!outcome || activation.state().activated) continue;
        const auto given = share ? answers(challenge, *share) : share.error();
        if (!given) outcome = given.error();
        for (const auto& each : given ? *given : std::vector<Given>())
            if (activation.state().activated)
                break;  // it took no more than what was given before
            else if (const auto state = activation.give(each, account_text(::geteuid())); !state)
                outcome = state.error();
    }
    return outcome;
}

}  // namespace kokuin::hsm::custody
