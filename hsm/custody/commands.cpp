#include "hsm/custody/commands.h"

#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstring>
#include <future>
#include <iostream>

#include "base/account.h"
#include "base/file.h"
#include "base/net/client.h"
#include "base/net/outcome.h"
#include "base/terminal.h"
#include "base/text.h"
#include "base/time.h"
#include "hsm/custody/activation.h"
#include "hsm/custody/approvals.h"
#include "hsm/custody/json.h"
#include "hsm/custody/records.h"
#include "store/archive.h"

namespace kokuin::hsm::custody {
namespace {

constexpr nanoseconds patience = seconds(30);
constexpr std::size_t largest_share_file = 64U << 10U;
constexpr std::size_t shortest_passphrase = 12;
constexpr int tries = 3;

std::string shown(std::string_view text) {
    return one_line(text, any_length);
}

/// Asks the running server; its JSON answer.
Result<Json> ask(const Site& site, const std::string& method, const std::string& path,
                 const Json& body = nullptr, nanoseconds within = patience) {
    net::ClientOptions options;
    options.unix_path = site.socket;
    auto client = net::Client::make(std::move(options));
    if (!client) return std::move(client).error();
    net::Call call;
    call.method = method;
    call.path = path;
    if (!body.is_null()) {
        const auto text = dump(body);
        call.content_type = "application/json";
        call.body = Bytes(text.begin(), text.end());
    }
    const auto answer = client->request(call, within);
    if (!answer) return Error{answer.error()}.in(site.program + " doesn't answer; start it first");
    if (answer->status == 404)
        return Error::usage(site.program + " on " + site.socket +
                            " was started with a pin_file: no custodians hold its PIN ([hsm])");
    if (answer->status != 200) return net::error_of(*answer, site.program + " on " + site.socket);
    auto json = Json::parse(as_text(answer->body), nullptr, false);
    if (!json.is_object() && !json.is_array())
        return Error::environment(site.program + "'s answer on " + site.socket + " is no JSON");
    return json;
}

/// The keys of a token that the server has open.
class KeysThere final : public Keys {
  public:
    explicit KeysThere(Site site) : site_(std::move(site)) {}
    Result<MadeKey> generate(const KeyArguments& arguments) override {
        auto body = order(arguments);
        body["bits"] = arguments.bits;
        body["tsu"] = arguments.tsu;
        const auto made = ask(site_, "POST", "/keys/generate", body);
        if (!made) return made.error();
        Members members(*made);
        return MadeKey{members.text("label"), members.text("id"), members.number("bits", 65536)};
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

// ---- ceremony
// ------------------------------------------------------------------------------------------------

void warn_unattended(const std::string& what) {
    std::cerr << "WARNING: UNATTENDED: " << what
              << "; whoever reads it can do what this custodian can. For tests and demos only, never for "
                 "service.\n";
}

/// A new passphrase, typed twice.
Result<Secret> choose_passphrase(const std::string& custodian) {
    for (int i = 0; i < tries; ++i) {
        auto first = ask_secret("Custodian " + custodian + ", choose a passphrase (" +
                                std::to_string(shortest_passphrase) + " characters or more):");
        if (!first) return std::move(first).error();
        if (first->view().size() < shortest_passphrase) {
            std::cerr << "too short: " << shortest_passphrase << " characters or more\n";
            continue;
        }
        const auto again = ask_secret("Custodian " + custodian + ", the same again:");
        if (!again) return again.error();
        if (equal_constant_time(first->view(), again->view())) return first;
        std::cerr << "that was something else; try again\n";
    }
    return Error::usage("no passphrase for the custodian " + custodian + " after " + std::to_string(tries) +
                        " tries; nothing was made");
}

Result<std::vector<Secret>> passphrases(const Arguments& arguments) {
    std::vector<Secret> all;
    if (!arguments.passphrases.empty())
        warn_unattended("the passphrases of all custodians lie in " + arguments.passphrases);
    for (const auto& name : arguments.plan.custodians) {
        auto one = arguments.passphrases.empty()
                       ? choose_passphrase(name)
                       : read_secret_file(arguments.passphrases + "/" + name + ".passphrase");
        if (!one) return std::move(one).error();
        if (one->view().size() < shortest_passphrase)
            return Error::usage("the passphrase of the custodian " + name + " is too short: " +
                                std::to_string(shortest_passphrase) + " characters or more");
        all.push_back(std::move(*one));
    }
    return all;
}

/// The share files of a ceremony; removed again unless it comes to its end.
class ShareFiles {
  public:
    explicit ShareFiles(std::string folder) : folder_(std::move(folder)) {}
    ~ShareFiles() {
        for (const auto& path : kept_ ? std::vector<std::string>() : paths_) ::unlink(path.c_str());
    }
    ShareFiles(const ShareFiles&) = delete;
    ShareFiles& operator=(const ShareFiles&) = delete;

    Done prepare(const std::vector<std::string>& custodians) const {
        if (::mkdir(folder_.c_str(), 0700) != 0 && errno != EEXIST)
            return Error::environment(folder_ + ": can't be made: " + std::strerror(errno));
        for (const auto& name : custodians)
            if (::access(path_of(name).c_str(), F_OK) == 0)
                return Error::usage(path_of(name) +
                                    ": is there already; a share is never overwritten, give another --dir");
        return {};
    }
    Done write(const ShareFile& file) {
        const auto path = path_of(file.custodian);
        const auto text = file.to_json();
        if (auto done = write_file(path, as_view(text), 0600); !done) return done;
        paths_.push_back(path);
        return {};
    }
    void keep() { kept_ = true; }
    [[nodiscard]] const std::vector<std::string>& paths() const { return paths_; }

  private:
    [[nodiscard]] std::string path_of(const std::string& name) const {
        return folder_ + "/" + name + ".share";
    }
    std::string folder_;
    std::vector<std::string> paths_;
    bool kept_ = false;
};

/// The first key and its request, while the PIN is at hand.
Done make_first_key(const Site& site, const Arguments& arguments, const Ceremony& held,
                    store::Archive& archive) {
    TokenOptions options;
    options.module_path = site.hsm.module;
    options.token = site.hsm.token;
    options.pin = Secret(held.pin.view());
    options.sessions = 1;
    auto token = Token::open(std::move(options));
    if (!token) return std::move(token).error();
    const auto key = keytool::generate(**token, arguments.key);
    if (!key) return key.error();
    const auto csr = keytool::csr(**token, arguments.key, arguments.subject, site.purpose);
    if (!csr) return csr.error();
    if (auto done = write_file(arguments.csr, as_view(*csr)); !done) return done;
    if (!site.records_of_key) return {};
    std::string names;
    for (const auto& one : held.roster.custodians) names += (names.empty() ? "" : ", ") + one.name;
    for (const auto& [event, blobs] : site.records_of_key(*key, *csr, names, account_text(::geteuid())))
        if (const auto kept =
                archive.append(SystemWallClock().now(), event, blobs, store::Archive::Month::stays);
            !kept)
            return kept.error();
    return {};
}

void tell_ceremony(const Site& site, const Arguments& arguments, const Roster& roster,
                   const std::vector<std::string>& files, bool as_json, std::ostream& out) {
    if (as_json) {
        Json custodians = Json::array();
        for (std::size_t i = 0; i < files.size(); ++i)
            custodians.push_back({{"name", roster.custodians[i].name},
                                  {"file", files[i]},
                                  {"signing_key", to_hex(roster.custodians[i].keys.signing)}});
        out << dump({{"made", "ceremony"},
                     {"ceremony", roster.ceremony},
                     {"token", roster.token},
                     {"threshold", roster.threshold},
                     {"custodians", custodians},
                     {"key", arguments.key},
                     {"csr", arguments.csr}})
            << '\n';
        return;
    }
    out << "ceremony " << roster.ceremony << ": made the token '" << roster.token << "'; its PINs are with "
        << roster.text() << '\n';
    for (std::size_t i = 0; i < files.size(); ++i)
        out << "  " << roster.custodians[i].name << "  signs with "
            << to_hex(roster.custodians[i].keys.signing) << "  share: " << files[i] << '\n';
    if (!arguments.key.empty())
        out << "made the key '" << arguments.key << "', its certificate request: " << arguments.csr << '\n';
    out << "Each custodian takes the own share away, on two carriers, and deletes it here.\n";
    if (site.socket.empty())
        out << "Whatever needs the token, " << roster.threshold << " of them open together: " << site.tool
            << " … --share FILE --share FILE\n";
    else
        out << "When " << site.program << " runs, " << roster.threshold
            << " of them each give theirs: " << site.tool << " activate --share FILE\n";
}

Result<int> ceremony_init(const Arguments& arguments, const Site& site, bool as_json, std::ostream& out) {
    auto plan = arguments.plan;
    plan.token = site.hsm.token;
    if (!site.hsm.pin_file.empty())
        return Error::usage("[hsm] has a pin_file: take it away, so that the custodians alone hold the PIN");
    if (auto done = check(plan); !done) return std::move(done).error();
    // All that can be wrong is found before a token is made: nobody could repeat it with the same one.
    const bool with_key = !arguments.key.empty();
    if (with_key) {
        if (auto done = keytool::check_subject(arguments.subject); !done) return std::move(done).error();
        if (::access(arguments.csr.c_str(), F_OK) == 0)
            return Error::usage(arguments.csr + ": is there already; give another --csr");
        if (auto done = write_file(arguments.csr, View()); !done) return std::move(done).error();
        ::unlink(arguments.csr.c_str());
    }
    const auto known = read_roster(site.archive, plan.token);
    if (!known) return known.error();
    if (*known)
        return Error::usage("token '" + plan.token + "': its PINs are already with " + (*known)->text() +
                            "; name another [hsm] token for a new one");
    // The one writer: the server is down, and no other ceremony goes on.
    auto archive = store::Archive::open(site.archive);
    if (!archive) return std::move(archive).error();
    ShareFiles files(arguments.folder);
    if (auto done = files.prepare(plan.custodians); !done) return std::move(done).error();
    const auto typed = passphrases(arguments);
    if (!typed) return typed.error();

    const auto held = hold(plan);
    std::vector<std::future<ShareFile>> sealing;  // each costs a fifth of a second of one core
    for (std::size_t i = 0; i < plan.custodians.size(); ++i)
        sealing.push_back(std::async(std::launch::async, [&, i] {
            return make_share_file(held.roster, plan.custodians[i], held.seeds[i].view(), (*typed)[i].view(),
                                   held.shares[i]);
        }));
    for (auto& one : sealing)
        if (auto done = files.write(one.get()); !done) return std::move(done).error();
    apply_environment(site.hsm);
    if (auto done = initialise_token(
            site.hsm, {held.pin, "the drawn PIN", held.officer_pin, "the drawn officer's PIN"});
        !done)
        return std::move(done).error();
    // From here on the token is there, and its PINs are in these files alone.
    files.keep();
    auto record = shared_event(held.roster);
    record.event.fields["account"] = account_text(::geteuid());
    if (const auto kept = (*archive)->append(SystemWallClock().now(), record.event, {record.roster},
                                             store::Archive::Month::stays);
        !kept)
        return Error::environment("the token '" + plan.token +
                                  "' is made, but the archive didn't take its roster: " + kept.error().text +
                                  "; remove the token and the shares, and begin anew");
    if (auto done = with_key ? make_first_key(site, arguments, held, **archive) : Done(); !done)
        return std::move(done).error().in("the token is made, but the key '" + arguments.key +
                                          "' has no request; remove the token and begin anew");
    tell_ceremony(site, arguments, held.roster, files.paths(), as_json, out);
    return 0;
}

Result<int> ceremony_show(const Site& site, bool as_json, std::ostream& out) {
    const auto roster = read_roster(site.archive, site.hsm.token);
    if (!roster) return roster.error();
    if (!*roster)
        return Error::no("token '" + site.hsm.token +
                         "': nobody has shared its PINs; do it with: " + site.tool + " ceremony init");
    const auto running =
        site.socket.empty() ? Result<Json>(Error::no("no server")) : ask(site, "GET", "/custody");
    const auto state = running ? Members(*running).text("text") : running.error().text;
    if (as_json) {
        auto json = Json::parse((*roster)->to_json());
        json["state"] = running ? Json(state) : Json();
        json["activated"] = running ? running->value("activated", false) : false;
        json["given"] = running ? running->value("given", Json::array()) : Json::array();
        out << dump(json) << '\n';
        return 0;
    }
    out << "token '" << (*roster)->token << "', ceremony " << (*roster)->ceremony << ", generation "
        << (*roster)->generation << ": " << (*roster)->text() << '\n';
    for (const auto& one : (*roster)->custodians)
        out << "  " << one.name << "  signs with " << to_hex(one.keys.signing) << '\n';
    if (site.socket.empty()) return 0;
    out << site.program << ": " << shown(state) << '\n';
    if (const auto proposals = ask(site, "GET", "/custody/proposals"); running && proposals)
        for (const auto& one : *proposals)
            if (const auto proposal = Proposal::from_json(dump(one)))
                out << "proposal " << shown(proposal->id) << ": " << shown(proposal->statement.act) << " of "
                    << shown(proposal->statement.content) << ", " << proposal->given.size() << " of "
                    << proposal->threshold << " have approved\n";
    return 0;
}

// ---- activation
// ----------------------------------------------------------------------------------------------

int tell_state(const Json& state, bool as_json, std::ostream& out) {
    if (as_json)
        out << dump(state) << '\n';
    else
        out << shown(Members(state).text("text")) << '\n';
    return 0;
}

/// Reads the passphrase of this share's custodian, and opens it.
Result<OpenShare> open_share(const Arguments& arguments, ShareFile file) {
    if (!arguments.passphrase_file.empty())
        warn_unattended("a custodian's passphrase lies in " + arguments.passphrase_file);
    const auto passphrase = arguments.passphrase_file.empty()
                                ? ask_secret("Passphrase of the custodian " + file.custodian + ":")
                                : read_secret_file(arguments.passphrase_file);
    if (!passphrase) return passphrase.error();
    auto share = open_share_file(std::move(file), passphrase->view());
    if (!share) return std::move(share).error().in(arguments.share);
    return share;
}

Result<int> activate(const Arguments& arguments, const Site& site, bool as_json, std::ostream& out) {
    const auto text = read_file(arguments.share, largest_share_file);
    if (!text) return text.error();
    auto file = ShareFile::from_json(as_text(*text));
    if (!file) return std::move(file).error().in(arguments.share);
    const auto now = ask(site, "GET", "/custody");
    if (!now) return now.error();
    if (!now->is_object())
        return Error::environment(site.program + " on " + site.socket + " answers nothing that fits");
    if (now->value("activated", false))
        return Error::no(site.program + " is activated already; nothing to do");
    if (now->value("refused", false))
        return Error::usage(site.program + " is " + shown(Members(*now).text("text")));
    const auto challenge = Challenge::from_json(dump(now->value("challenge", Json::object())));
    if (!challenge) return Error{challenge.error()}.in(site.program + " on " + site.socket);
    // Before anybody types: is it the right file at all?
    if (auto done = fits(*challenge, *file); !done) return std::move(done).error().in(arguments.share);
    const auto& custodian = file->custodian;
    if (!as_json)
        out << "custodian " << custodian << ": you agree that " << site.program << " opens the token '"
            << file->token << "' under the configuration with SHA-256 "
            << shown(challenge->statement.settings) << '\n';
    const auto share = open_share(arguments, std::move(*file));
    if (!share) return share.error();
    const auto given = answer(*challenge, *share);
    if (!given) return given.error();
    const auto state = ask(site, "POST", "/custody/share", Json::parse(given->to_json()));
    if (!state) return state.error();
    return tell_state(*state, as_json, out);
}

/// The proposal that is meant: of this id, or the only one.
Result<Proposal> find_proposal(const Site& site, const std::string& id) {
    const auto all = ask(site, "GET", "/custody/proposals");
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
    const auto text = read_file(arguments.share, largest_share_file);
    if (!text) return text.error();
    auto file = ShareFile::from_json(as_text(*text));
    if (!file) return std::move(file).error().in(arguments.share);
    const auto proposal = find_proposal(site, arguments.proposal);
    if (!proposal) return proposal.error();
    const auto& statement = proposal->statement;
    if (statement.act == "activate" || statement.program != site.program)
        return Error::no(
            "the proposal isn't one that can be approved here; nothing was signed, look at who listens "
            "there");
    if (file->ceremony != statement.ceremony || file->generation != statement.generation ||
        file->token != statement.token)
        return Error::no(arguments.share +
                         ": is of another ceremony or generation than the one that must approve");
    const auto custodian = file->custodian;
    if (!as_json)
        out << "custodian " << custodian << ": you approve " << shown(statement.act) << " of "
            << shown(statement.content) << "; asked for by " << shown(proposal->by) << ": "
            << shown(proposal->why) << '\n';
    const auto share = open_share(arguments, std::move(*file));
    if (!share) return share.error();
    const auto approval = custody::approve(statement, custodian, share->seed.view());
    const auto outcome = ask(
        site, "POST", "/custody/approve",
        {{"id", proposal->id}, {"custodian", approval.custodian}, {"signature", to_hex(approval.signature)}});
    if (!outcome) return outcome.error();
    if (as_json) {
        out << dump(*outcome) << '\n';
    } else if (outcome->value("done", false)) {
        out << shown(Members(*outcome).text("text")) << '\n';
    } else {
        const auto now = Proposal::from_json(dump(outcome->value("proposal", Json::object())));
        out << "approved by " << (now ? now->given.size() : 0) << " of " << proposal->threshold << '\n';
    }
    return 0;
}

Result<int> deactivate(const Arguments& arguments, const Site& site, bool as_json, std::ostream& out) {
    if (auto done = check_why_and_by(arguments.why, arguments.by); !done) return std::move(done).error();
    const auto state =
        ask(site, "POST", "/custody/deactivate", {{"why", arguments.why}, {"by", arguments.by}});
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
    const auto answer = ask(site, method, path, body.empty() ? Json() : Json::parse(body), within);
    if (!answer) return answer.error();
    return dump(*answer);
}

Result<std::string> list_keys_here(const Site& site) {
    if (site.hsm.pin_file.empty()) return public_keys_json(site.hsm);
    auto keys = keys_here(site.hsm, site.purpose);
    if (!keys) return std::move(keys).error();
    return (*keys)->list();
}

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
