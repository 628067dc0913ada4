#include "hsm/custody/commands.h"

#include <CLI/CLI.hpp>
#include <iostream>

#include "base/account.h"
#include "base/json_text.h"
#include "base/net/client.h"
#include "base/text.h"
#include "hsm/custody/activation.h"
#include "hsm/custody/approvals.h"
#include "hsm/custody/ceremony_commands.h"
#include "hsm/custody/dialogue.h"

namespace kokuin::hsm::custody {

std::string custody_path(const Settings& hsm) {
    return hsm.name.empty() ? "/custody" : "/hsm/" + hsm.name + "/custody";
}

namespace {

/// The keys of a token that the server has open.
class KeysThere final : public Keys {
  public:
    explicit KeysThere(Site site) : site_(std::move(site)) {}
    Result<MadeKey> generate(const KeyArguments& arguments) override {
        auto body = order(arguments);
        body["type"] = name(arguments.type);
        if (arguments.bits) body["bits"] = *arguments.bits;
        body["tsu"] = arguments.tsu;
        body["hsm"] = arguments.hsm;
        const auto made = ask(site_, "POST", "/keys/generate", body);
        if (!made) return made.error();
        Members members(*made);
        return MadeKey{members.text("label"), members.text("id"), members.text("type"),
                       members.number("bits", 65536)};
    }
    Result<std::string> csr(const KeyArguments& arguments) override {
        auto body = order(arguments);
        body["subject"] = arguments.subject;
        const auto made = ask(site_, "POST", "/keys/csr", body);
        if (!made) return made.error();
        return Members(*made).text("pem");
    }
    Done import(const KeyArguments& arguments, const std::string& pem) override {
        auto body = order(arguments);
        body["pem"] = pem;
        const auto done = ask(site_, "POST", "/keys/import", body);
        return done ? Done() : done.error();
    }
    Result<std::string> list() override {
        const auto keys = ask(site_, "GET", "/keys");
        if (!keys) return keys.error();
        return dump(*keys);
    }

  private:
    static Json order(const KeyArguments& arguments) {
        return {{"label", arguments.label}, {"why", arguments.why}, {"by", arguments.by}};
    }
    Site site_;
};

int tell_state(const Json& state, bool as_json, std::ostream& out) {
    if (as_json)
        out << dump(state) << '\n';
    else
        out << shown(Members(state).text("text")) << '\n';
    return 0;
}

Result<int> activate(const Arguments& arguments, const Site& site, bool as_json, std::ostream& out) {
    auto file = read_share_file(arguments.share);
    if (!file) return std::move(file).error();
    const auto now = ask(site, "GET", custody_path(site.hsm));
    if (!now) return now.error();
    if (!now->is_object())
        return Error::environment(site.program + " on " + site.socket + " answers nothing that fits");
    if (now->value("activated", false))
        return Error::no(
            site.program + " has the token '" + site.hsm.token + "' activated already; nothing to do" +
            (file->token == site.hsm.token ? "" : " for a share of '" + shown(file->token) + "' here"));
    if (now->value("refused", false))
        return Error::usage(site.program + " is " + shown(Members(*now).text("text")));
    const auto challenge = Challenge::from_json(dump(now->value("challenge", Json::object())));
    if (!challenge) return Error{challenge.error()}.in(site.program + " on " + site.socket);
    // Before anybody types: is it the right file at all?
    if (auto done = fits(*challenge, *file); !done && !(challenge->next && fits(challenge->to_next(), *file)))
        return std::move(done).error().in(arguments.share);
    const auto& custodian = file->custodian;
    if (!as_json)
        out << "custodian " << custodian << ": you agree that " << site.program << " opens the token '"
            << file->token << "' under the configuration with SHA-256 "
            << shown(challenge->statement.settings) << '\n';
    if (!as_json && challenge->next)
        out << "A re-sharing broke off: with both PINs' shares you help to go on with it. Then these hold "
               "the PINs: "
            << challenge->next->text() << ", " << challenge->next->keys_text() << '\n';
    const auto share = open_share(arguments, std::move(*file));
    if (!share) return share.error();
    const auto given = answers(*challenge, *share);
    if (!given) return Error{given.error()}.in(arguments.share);
    auto state = Result<Json>(Json());
    for (const auto& one : *given) {
        state = ask(site, "POST", custody_path(site.hsm) + "/share", parse_ordered_json(one.to_json()));
        if (!state) return state.error();
        if (state->value("activated", false)) break;  // it took no more than that
    }
    return tell_state(*state, as_json, out);
}

/// The proposal that is meant: of this id, or the only one.
Result<Proposal> find_proposal(const Site& site, const std::string& id) {
    const auto all = ask(site, "GET", custody_path(site.hsm) + "/proposals");
    if (!all) return all.error();
    std::string ids;
    for (const auto& one : *all) {
        const auto proposal = Proposal::from_json(dump(one));
        if (!proposal) return Error{proposal.error()}.in(site.program + " on " + site.socket);
        if (proposal->id == id || (id.empty() && all->size() == 1)) return *proposal;
        ids += (ids.empty() ? "" : ", ") + shown(proposal->id);
    }
    return Error::no(ids.empty()  ? "nothing waits for an approval"
                     : id.empty() ? "several proposals wait: say which of " + ids
                                  : "there is no proposal '" + shown(id) + "'; these wait: " + ids);
}

Result<int> approve(const Arguments& arguments, const Site& site, bool as_json, std::ostream& out) {
    auto file = read_share_file(arguments.share);
    if (!file) return std::move(file).error();
    const auto proposal = find_proposal(site, arguments.proposal);
    if (!proposal) return proposal.error();
    const auto& statement = proposal->statement;
    if (statement.act == "activate" || statement.program != site.program)
        return Error::no(
            "the proposal isn't one that can be approved here; nothing was signed, look at who listens "
            "there");
    const auto now = ask(site, "GET", custody_path(site.hsm));
    if (!now) return now.error();
    const auto challenge = Challenge::from_json(dump(now->value("challenge", Json::object())));
    if (!challenge) return Error{challenge.error()}.in(site.program + " on " + site.socket);
    const auto& roster = challenge->roster;
    const auto custodian = file->custodian;
    const auto* me = roster.find(custodian);
    if (file->ceremony != statement.ceremony || file->token != statement.token ||
        statement.ceremony != roster.ceremony || statement.generation != roster.generation || !me ||
        me->keys != file->keys)
        return Error::no(arguments.share +
                         ": is of another ceremony or generation than the one that must approve");
    if (!proposal->letterbox.empty() && statement.act != "reshare")
        return Error::no(
            "the proposal asks for the officer's share without need; nothing was signed, look at who listens "
            "there");
    if (!as_json)
        out << "custodian " << custodian << ": you approve " << shown(statement.act) << " of "
            << shown(statement.content) << "; asked for by " << shown(proposal->by) << ": "
            << shown(proposal->why) << '\n';
    const auto share = open_share(arguments, std::move(*file));
    if (!share) return share.error();
    const auto approval = custody::approve(statement, custodian, share->seed.view());
    Json body{
        {"id", proposal->id}, {"custodian", approval.custodian}, {"signature", to_hex(approval.signature)}};
    if (!proposal->letterbox.empty()) {
        const auto mine = share_in(roster, *share);
        if (!mine) return Error{mine.error()}.in(arguments.share);
        body["officer"] =
            box_json(seal_for(proposal->letterbox, mine->officer.view(), proposal->context(custodian)));
    }
    const auto outcome = ask(site, "POST", custody_path(site.hsm) + "/approve", body);
    if (!outcome) return outcome.error();
    if (as_json) {
        out << dump(*outcome) << '\n';
    } else if (outcome->value("done", false)) {
        out << shown(Members(*outcome).text("text")) << '\n';
    } else {
        const auto after = Proposal::from_json(dump(outcome->value("proposal", Json::object())));
        out << "approved by " << (after ? after->given.size() : 0) << " of " << proposal->threshold << '\n';
    }
    return 0;
}

Result<int> deactivate(const Arguments& arguments, const Site& site, bool as_json, std::ostream& out) {
    if (auto done = check_why_and_by(arguments.why, arguments.by); !done) return std::move(done).error();
    const auto state = ask(site, "POST", custody_path(site.hsm) + "/deactivate",
                           {{"why", arguments.why}, {"by", arguments.by}});
    if (!state) return state.error();
    return tell_state(*state, as_json, out);
}

}  // namespace

Result<std::unique_ptr<Keys>> keys_of(const Site& site) {
    std::unique_ptr<Keys> there = std::make_unique<KeysThere>(site);
    if (site.hsm.pin_file.empty()) return there;
    // A server that runs records what is done; only one that is down, or keeps no records of keys, isn't
    // asked.
    net::ClientOptions options;
    options.unix_path = site.socket;
    auto client = net::Client::make(std::move(options));
    if (!client) return std::move(client).error();
    net::Call call;
    call.path = "/keys";
    const auto answer = client->connect(patience) ? client->request(call, patience)
                                                  : Result<net::Response>(net::Response{404, "", {}, {}});
    if (!answer || answer->status != 404) return there;
    if (site.records_of_key)
        std::cerr << "note: " << site.program << " doesn't run, so what is done now isn't recorded\n";
    return keys_here(site.hsm, site.purpose);
}

void add_keeper_options(CLI::App& app, bool& keep, std::optional<int>& kept_by) {
    app.add_flag(
        "--keep", keep,
        "serve as the child of a keeper, which holds the activated PIN over a crash or a restart (SIGHUP)");
    app.add_option("--kept-by", kept_by, "descriptor of the keeper's socket")->group("");
}

Result<std::string> ask_server(const Site& site, const std::string& method, const std::string& path,
                               const std::string& body, nanoseconds within) {
    const auto answer = ask(site, method, path, body.empty() ? Json() : parse_ordered_json(body), within);
    if (!answer) return answer.error();
    return dump(*answer);
}

Result<std::string> list_keys_here(const Site& site) {
    if (site.hsm.pin_file.empty()) return public_keys_json(site.hsm);
    auto keys = keys_here(site.hsm, site.purpose);
    if (!keys) return std::move(keys).error();
    return (*keys)->list();
}

namespace {

/// Custodians of a server's token approve there; where there is none (FirstKey::later), here and now.
void add_replacement_commands(CLI::App& ceremony, Arguments& arguments, FirstKey first_key,
                              const std::function<void(Action)>& choose) {
    auto* join =
        ceremony.add_subcommand("join", "a new custodian makes keys, to be given a share of the PINs later");
    join->add_option("--custodian", arguments.joining, "role or number of the new custodian")->required();
    join->add_option("--dir", arguments.folder,
                     "where to write NAME.share, which is the custodian's own, and NAME.custodian")
        ->capture_default_str();
    join->add_option(
        "--passphrase-file", arguments.passphrase_file,
        "UNATTENDED, for tests and demos: read the passphrase from a file instead of the terminal");
    join->callback([&arguments, choose] {
        choose([&arguments](const Site& site, bool as_json, std::ostream& out) {
            return ceremony_join(arguments, site, as_json, out);
        });
    });
    auto* reshare = ceremony.add_subcommand(
        "reshare", "new PINs in other hands, once the custodians agree; the keys stay as they are");
    reshare
        ->add_option("--threshold", arguments.plan.threshold, "how many custodians are enough from then on")
        ->required();
    reshare->add_option("--keep", arguments.keep, "a custodian who stays; once for each");
    reshare->add_option("--join", arguments.cards, "the NAME.custodian file of one who joins; once for each");
    reshare->add_option("--why", arguments.why, "the reason, one line, for the record")->required();
    reshare->add_option("--by", arguments.by, "who, as a role or number (no name of a person)")->required();
    const bool here = first_key == FirstKey::later;
    if (here) add_session_options(*reshare, arguments.session);
    reshare->callback([&arguments, here, choose] {
        choose([&arguments, here](const Site& site, bool as_json, std::ostream& out) {
            return here ? ceremony_reshare_here(arguments, site, as_json, out)
                        : ceremony_reshare(arguments, site, as_json, out);
        });
    });
}

}  // namespace

void add_ceremony_commands(CLI::App& app, Arguments& arguments, FirstKey first_key,
                           const std::function<void(Action)>& choose) {
    auto* ceremony = app.add_subcommand("ceremony", "the custodians who hold the HSM's PINs together");
    ceremony->require_subcommand(1);
    auto* init = ceremony->add_subcommand(
        "init",
        first_key == FirstKey::made
            ? "make the token: PINs that nobody sees, a share of them for each custodian, and a first key"
            : "make the token: PINs that nobody sees, and a share of them for each custodian");
    init->add_option("--threshold", arguments.plan.threshold, "how many custodians are enough")->required();
    init->add_option("--custodian", arguments.plan.custodians, "role or number of a custodian; once for each")
        ->required();
    init->add_option("--dir", arguments.folder, "where to write the share files (NAME.share)")
        ->capture_default_str();
    if (first_key == FirstKey::made) {
        init->add_option("--key", arguments.key, "label of the signing key to make")->required();
        init->add_option("--subject", arguments.subject,
                         "of its certificate, e.g. \"C=JP,O=Example,CN=TSU 1\"")
            ->required();
        init->add_option("--csr", arguments.csr, "where to write its certificate request")->required();
    }
    init->add_option("--passphrases", arguments.passphrases,
                     "UNATTENDED, for tests and demos: folder with a NAME.passphrase for each custodian");
    init->callback([&arguments, choose] {
        choose([&arguments](const Site& site, bool as_json, std::ostream& out) {
            return ceremony_init(arguments, site, as_json, out);
        });
    });
    ceremony->add_subcommand("show", "who the custodians are, and how many shares a running server has")
        ->callback([choose] { choose(ceremony_show); });
    add_replacement_commands(*ceremony, arguments, first_key, choose);
}

void add_commands(CLI::App& app, Arguments& arguments, const std::function<void(Action)>& choose) {
    add_ceremony_commands(app, arguments, FirstKey::made, choose);
    auto* activation = app.add_subcommand("activate", "a custodian gives a share to the running server");
    activation->add_option("--share", arguments.share, "the custodian's share file")->required();
    activation->add_option(
        "--passphrase-file", arguments.passphrase_file,
        "UNATTENDED, for tests and demos: read the passphrase from a file instead of the terminal");
    activation->callback([&arguments, choose] {
        choose([&arguments](const Site& site, bool as_json, std::ostream& out) {
            return activate(arguments, site, as_json, out);
        });
    });

    auto* agreeing = app.add_subcommand("approve", "a custodian agrees to what an operator has asked for");
    agreeing->add_option("ID", arguments.proposal, "which proposal, if several wait");
    agreeing->add_option("--share", arguments.share, "the custodian's share file")->required();
    agreeing->add_option(
        "--passphrase-file", arguments.passphrase_file,
        "UNATTENDED, for tests and demos: read the passphrase from a file instead of the terminal");
    agreeing->callback([&arguments, choose] {
        choose([&arguments](const Site& site, bool as_json, std::ostream& out) {
            return approve(arguments, site, as_json, out);
        });
    });

    auto* stop = app.add_subcommand("deactivate", "the running server closes the token and forgets its PIN");
    stop->add_option("--why", arguments.why, "the reason, one line, for the record")->required();
    stop->add_option("--by", arguments.by, "who, as a role or number (no name of a person)")->required();
    stop->callback([&arguments, choose] {
        choose([&arguments](const Site& site, bool as_json, std::ostream& out) {
            return deactivate(arguments, site, as_json, out);
        });
    });
}

}  // namespace kokuin::hsm::custody
