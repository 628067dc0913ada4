#include "hsm/custody/ceremony_commands.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <future>
#include <iostream>

#include "base/account.h"
#include "base/file.h"
#include "base/json_text.h"
#include "base/time.h"
#include "hsm/custody/activation.h"
#include "hsm/custody/approvals.h"
#include "hsm/custody/dialogue.h"
#include "hsm/custody/records.h"
#include "store/archive.h"

namespace kokuin::hsm::custody {
namespace {

constexpr std::size_t largest_card = 4096;

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
    Done write(const ShareFile& file) { return write(path_of(file.custodian), file.to_json(), 0600); }
    Done write(const Card& card) {
        return write(folder_ + "/" + card.custodian + ".custodian", card.to_json(), 0644);
    }
    void keep() { kept_ = true; }
    [[nodiscard]] const std::vector<std::string>& paths() const { return paths_; }

  private:
    Done write(const std::string& path, const std::string& text, mode_t mode) {
        if (auto done = write_file(path, as_view(text), mode); !done) return done;
        paths_.push_back(path);
        return {};
    }
    [[nodiscard]] std::string path_of(const std::string& name) const {
        return folder_ + "/" + name + ".share";
    }
    std::string folder_;
    std::vector<std::string> paths_;
    bool kept_ = false;
};

/// The first key and its request, and the archive's key, while the PIN is at hand. `no_archive_key`: why that
/// could not be made.
Done make_first_key(const Site& site, const Arguments& arguments, const Ceremony& held,
                    store::Archive& archive, std::string& no_archive_key) {
    auto options = options_of(site.hsm);
    options.pin = Secret(held.pin.view());
    options.sessions = 1;
    auto token = Token::open(std::move(options));
    if (!token) return std::move(token).error();
    const auto key = keytool::generate(**token, arguments.key);
    if (!key) return key.error();
    const auto csr = keytool::csr(**token, arguments.key, arguments.subject, site.purpose);
    if (!csr) return csr.error();
    if (auto done = write_file(arguments.csr, as_view(*csr)); !done) return done;
    std::string names;
    for (const auto& one : held.roster.custodians) names += (names.empty() ? "" : ", ") + one.name;
    const auto record = [&](const Key& made, const std::string& request) -> Done {
        if (!site.records_of_key) return {};
        for (const auto& [event, blobs] :
             site.records_of_key(made, request, names, account_text(::geteuid())))
            if (const auto kept =
                    archive.append(SystemWallClock().now(), event, blobs, store::Archive::Month::stays);
                !kept)
                return kept.error();
        return {};
    };
    if (auto done = record(*key, *csr); !done) return done;
    if (site.archive_key.empty()) return {};
    // The token is made, and good for everything else, where its module has no Ed25519.
    const auto archive_key = keytool::generate(**token, site.archive_key, KeyAlgorithm::ed25519);
    if (archive_key) return record(*archive_key, "");
    no_archive_key = archive_key.error().text;
    return {};
}

void tell_ceremony(const Site& site, const Arguments& arguments, const Roster& roster,
                   const std::vector<std::string>& files, const std::string& no_archive_key, bool as_json,
                   std::ostream& out) {
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
                     {"csr", arguments.csr},
                     {"archive_key", no_archive_key.empty() ? Json(site.archive_key) : Json(nullptr)}})
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
    if (!no_archive_key.empty())
        out << "the archive's key '" << site.archive_key << "' was NOT made: " << no_archive_key
            << "; take [archive] key away, and nobody signs checkpoints (or, with tsad, name an "
               "[archive] hsm that makes it)\n";
    else if (!arguments.key.empty() && !site.archive_key.empty())
        out << "made the archive's key '" << site.archive_key << "'\n";
    out << "Each custodian takes the own share away, on two carriers, and deletes it here.\n";
    if (site.socket.empty())
        out << "Whatever needs the token, " << roster.threshold << " of them open together: " << site.tool
            << " … --share FILE --share FILE\n";
    else
        out << "When " << site.program << " runs, " << roster.threshold
            << " of them each give theirs: " << site.tool << " activate --share FILE\n";
}

}  // namespace

Result<int> ceremony_init(const Arguments& arguments, const Site& site, bool as_json, std::ostream& out) {
    auto plan = arguments.plan;
    plan.token = site.hsm.token;
    if (!site.hsm.pin_file.empty())
        return Error::usage(table_of(site.hsm) +
                            " has a pin_file: take it away, so that the custodians alone hold the PIN");
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
    std::string no_archive_key;
    if (auto done = with_key ? make_first_key(site, arguments, held, **archive, no_archive_key) : Done();
        !done)
        return std::move(done).error().in(
            "the token is made, but not all of its keys; remove the token and begin anew");
    tell_ceremony(site, arguments, held.roster, files.paths(), no_archive_key, as_json, out);
    return 0;
}

Result<int> ceremony_show(const Site& site, bool as_json, std::ostream& out) {
    const auto roster = read_roster(site.archive, site.hsm.token);
    if (!roster) return roster.error();
    if (!*roster)
        return Error::no("token '" + site.hsm.token +
                         "': nobody has shared its PINs; do it with: " + site.tool + " ceremony init");
    const auto running =
        site.socket.empty() ? Result<Json>(Error::no("no server")) : ask(site, "GET", custody_path(site.hsm));
    const auto state = running ? Members(*running).text("text") : running.error().text;
    if (as_json) {
        auto json = parse_ordered_json((*roster)->to_json());
        json["state"] = running ? Json(state) : Json();
        json["activated"] = running ? running->value("activated", false) : false;
        json["given"] = running ? running->value("given", Json::array()) : Json::array();
        out << dump(json) << '\n';
        return 0;
    }
    out << "token '" << (*roster)->token << "', ceremony " << (*roster)->ceremony << ", generation "
        << (*roster)->generation << ": " << (*roster)->text() << '\n';
    for (const auto& one : (*roster)->custodians)
        out << "  " << one.name << "  " << fingerprint(one.keys) << "  signs with "
            << to_hex(one.keys.signing) << '\n';
    if (site.socket.empty()) return 0;
    out << site.program << ": " << shown(state) << '\n';
    if (const auto proposals = ask(site, "GET", custody_path(site.hsm) + "/proposals"); running && proposals)
        for (const auto& one : *proposals)
            if (const auto proposal = Proposal::from_json(dump(one)))
                out << "proposal " << shown(proposal->id) << ": " << shown(proposal->statement.act) << " of "
                    << shown(proposal->statement.content) << ", " << proposal->given.size() << " of "
                    << proposal->threshold << " have approved\n";
    return 0;
}

Result<int> ceremony_join(const Arguments& arguments, const Site& site, bool as_json, std::ostream& out) {
    const auto& name = arguments.joining;
    if (!is_custodian_name(name))
        return Error::usage("custodian '" + name +
                            "': a role or number of 1 to 32 characters of a-z, 0-9, '-' and '_' (no "
                            "name of a person: records can't be erased)");
    const auto roster = read_roster(site.archive, site.hsm.token);
    if (!roster) return roster.error();
    if (!*roster)
        return Error::no("token '" + site.hsm.token +
                         "': nobody has shared its PINs; do it with: " + site.tool + " ceremony init");
    ShareFiles files(arguments.folder);
    if (auto done = files.prepare({name}); !done) return std::move(done).error();
    if (!arguments.passphrase_file.empty())
        warn_unattended("a custodian's passphrase lies in " + arguments.passphrase_file);
    const auto passphrase = arguments.passphrase_file.empty() ? choose_passphrase(name)
                                                              : read_secret_file(arguments.passphrase_file);
    if (!passphrase) return passphrase.error();
    if (passphrase->view().size() < shortest_passphrase)
        return Error::usage("the passphrase of the custodian " + name +
                            " is too short: " + std::to_string(shortest_passphrase) + " characters or more");
    const auto seed = random_secret(seed_octets);
    const auto file = make_joining_file(**roster, name, seed.view(), passphrase->view());
    if (auto done = files.write(file); !done) return std::move(done).error();
    if (auto done = files.write(Card{file.ceremony, name, file.keys}); !done) return std::move(done).error();
    files.keep();
    if (as_json) {
        out << dump({{"made", "custodian"},
                     {"name", name},
                     {"fingerprint", fingerprint(file.keys)},
                     {"signing_key", to_hex(file.keys.signing)},
                     {"share", files.paths().front()},
                     {"card", files.paths().back()}})
            << '\n';
        return 0;
    }
    out << "custodian " << name << "  " << fingerprint(file.keys) << "\n  own file: " << files.paths().front()
        << " (keep it on two carriers, delete it here)\n  card, to hand out: " << files.paths().back()
        << "\nThe custodians in force will see the number above when they approve; tell it to them "
           "yourself.\n";
    return 0;
}

Result<Successors> successors_of(const Arguments& arguments, const Roster& roster) {
    Successors successors{arguments.plan.threshold, {}};
    for (const auto& name : arguments.keep) {
        const auto* stays = roster.find(name);
        if (!stays) return Error::usage("--keep " + name + ": is none of the " + roster.text());
        successors.custodians.emplace_back(name, stays->keys);
    }
    for (const auto& path : arguments.cards) {
        const auto text = read_file(path, largest_card);
        if (!text) return text.error();
        const auto card = Card::from_json(as_text(*text));
        if (!card) return Error{card.error()}.in(path);
        if (card->ceremony != roster.ceremony)
            return Error::usage(path + ": was made for the ceremony " + card->ceremony + ", not for " +
                                roster.ceremony);
        successors.custodians.emplace_back(card->custodian, card->keys);
    }
    return successors;
}

Result<int> ceremony_reshare(const Arguments& arguments, const Site& site, bool as_json, std::ostream& out) {
    if (auto done = check_why_and_by(arguments.why, arguments.by); !done) return std::move(done).error();
    const auto now = ask(site, "GET", custody_path(site.hsm));
    if (!now) return now.error();
    const auto challenge = Challenge::from_json(dump(now->value("challenge", Json::object())));
    if (!challenge) return Error{challenge.error()}.in(site.program + " on " + site.socket);
    const auto successors = successors_of(arguments, challenge->roster);
    if (!successors) return successors.error();
    Json custodians = Json::array();
    for (const auto& [name, keys] : successors->custodians)
        custodians.push_back(
            {{"name", name}, {"signing_key", to_hex(keys.signing)}, {"sealing_key", to_hex(keys.sealing)}});
    const auto asked = ask(site, "POST", custody_path(site.hsm) + "/reshare",
                           {{"threshold", arguments.plan.threshold},
                            {"custodians", custodians},
                            {"why", arguments.why},
                            {"by", arguments.by}});
    if (!asked) return asked.error();
    if (as_json) {
        out << dump(*asked) << '\n';
        return 0;
    }
    const auto proposal = Proposal::from_json(dump(asked->value("proposal", Json::object())));
    if (!proposal) return Error{proposal.error()}.in(site.program + " on " + site.socket);
    out << "proposal " << shown(proposal->id) << ": the PINs anew, with "
        << shown(proposal->statement.content) << "\n"
        << proposal->threshold << " of the custodians in force must approve: " << site.tool
        << " approve --share FILE\n";
    return 0;
}

}  // namespace kokuin::hsm::custody
