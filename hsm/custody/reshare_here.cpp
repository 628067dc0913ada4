// `ceremony reshare` of a program without a server (CA-3: an offline CA): the act that a server carries out
// over days, at one desk and in one process.
#include <unistd.h>

#include <algorithm>
#include <iostream>

#include "base/account.h"
#include "base/time.h"
#include "hsm/commands.h"
#include "hsm/custody/activation.h"
#include "hsm/custody/approvals.h"
#include "hsm/custody/ceremony_commands.h"
#include "hsm/custody/dialogue.h"
#include "hsm/custody/records.h"
#include "hsm/custody/reshare.h"

namespace kokuin::hsm::custody {
namespace {

/// Whether this custodian has a share in the roster, with the keys of this file.
bool is_holder(const Roster& roster, const ShareFile& file) {
    const auto* me = roster.find(file.custodian);
    return me && me->keys == file.keys;
}

/// The files that fit what is asked for; before anybody has typed anything.
Result<std::vector<ShareFile>> fitting_files(const Challenge& challenge,
                                             const std::vector<std::string>& paths) {
    std::vector<ShareFile> files;
    for (const auto& path : paths) {
        auto file = read_share_file(path);
        if (!file) return std::move(file).error();
        if (auto done = fits(challenge, *file);
            !done && !(challenge.next && fits(challenge.to_next(), *file)))
            return std::move(done).error().in(path);
        if (!is_holder(challenge.roster, *file) && !(challenge.next && is_holder(*challenge.next, *file)))
            return Error::no(path + ": holds no share yet, or is of other keys; take the file that '" +
                             file->custodian + "' holds a share with");
        for (const auto& other : files)
            if (other.custodian == file->custodian && other.keys == file->keys)
                return Error::no(path + ": is another copy of the share of " + file->custodian +
                                 "; take that of another custodian");
        files.push_back(std::move(*file));
    }
    for (const auto* roster : {&challenge.roster, challenge.next ? &*challenge.next : nullptr}) {
        if (!roster) continue;
        const auto count = std::count_if(files.begin(), files.end(),
                                         [roster](const ShareFile& one) { return is_holder(*roster, one); });
        if (count < roster->threshold)
            return Error::no("token '" + roster->token + "' needs " + roster->text() + ", generation " +
                             std::to_string(roster->generation) + ", but " + std::to_string(count) +
                             (count == 1 ? " share of them is" : " shares of them are") +
                             " given; add more with --share FILE");
    }
    return files;
}

Result<std::vector<OpenShare>> open_all(std::vector<ShareFile> files, const Arguments& arguments,
                                        const std::string& what, std::ostream& out) {
    const auto& session = arguments.session;
    if (!session.passphrase_files.empty() && session.passphrase_files.size() != files.size())
        return Error::usage("there are " + std::to_string(files.size()) + " --share, but " +
                            std::to_string(session.passphrase_files.size()) +
                            " --passphrase-file; give one for each, or none");
    std::vector<OpenShare> all;
    for (std::size_t i = 0; i < files.size(); ++i) {
        out << "custodian " << files[i].custodian << ": you agree that " << what << std::endl;
        Arguments one;
        one.share = session.shares[i];
        if (!session.passphrase_files.empty()) one.passphrase_file = session.passphrase_files[i];
        auto share = open_share(one, std::move(files[i]));
        if (!share) return std::move(share).error();
        all.push_back(std::move(*share));
    }
    return all;
}

/// Until there are enough: the token is open then, or a re-sharing that broke off is done.
Done give_all(Activation& activation, const std::vector<OpenShare>& shares) {
    const auto challenge = activation.challenge();
    for (const auto& share : shares) {
        const auto given = answers(challenge, share);
        if (!given) return Error{given.error()}.in("the share of " + share.file.custodian);
        for (const auto& one : *given) {
            if (activation.state().activated) return {};
            if (const auto state = activation.give(one, account_text(::geteuid())); !state)
                return state.error();
        }
    }
    const auto state = activation.state();
    return state.activated ? Done() : Done(Error::no(state.text + "; add more with --share FILE"));
}

/// Each signs the proposal and gives the share of the officer's PIN; the last one's signature carries it out.
Result<std::string> approve_all(Approvals& approvals, const Proposal& proposal, const Roster& roster,
                                const std::vector<OpenShare>& shares) {
    for (const auto& share : shares) {
        const auto& name = share.file.custodian;
        const auto mine = share_in(roster, share);
        if (!mine) return mine.error();
        const auto outcome =
            approvals.approve(proposal.id, approve(proposal.statement, name, share.seed.view()),
                              seal_for(proposal.letterbox, mine->officer.view(), proposal.context(name)));
        if (!outcome) return outcome.error();
        if (outcome->done) return outcome->text;
    }
    return Error::no("too few have approved; add more with --share FILE");
}

}  // namespace

Result<int> ceremony_reshare_here(const Arguments& arguments, const Site& site, bool as_json,
                                  std::ostream& out) {
    if (auto done = check_why_and_by(arguments.why, arguments.by); !done) return std::move(done).error();
    if (!site.hsm.pin_file.empty())
        return Error::usage("[hsm] has a pin_file: no custodians hold this token's PINs");
    std::ostream& people = as_json ? std::cerr : out;
    // First of all: from here on nobody else changes anything.
    const auto record = site.books(people);
    if (!record) return record.error();
    auto rosters = read_rosters(site.archive, site.hsm.token);
    if (!rosters) return std::move(rosters).error();
    if (!rosters->in_force)
        return Error::no("token '" + site.hsm.token +
                         "': nobody has shared its PINs; do it with: " + site.tool + " ceremony init");
    const bool goes_on = rosters->next.has_value();
    const auto successors =
        goes_on ? Result<Successors>(Successors()) : successors_of(arguments, *rosters->in_force);
    if (!successors) return successors.error();
    if (auto done = goes_on ? Done() : check(*successors); !done) return std::move(done).error();
    apply_environment(site.hsm);
    auto token = open_token(site.hsm);
    if (!token) return std::move(token).error();
    const auto opened = [&token](Done done) {
        // Nobody waits here until an HSM comes back.
        return done && !(*token)->available() ? Done(Error::environment("hsm: " + (*token)->state())) : done;
    };
    Activation activation(*rosters->in_force,
                          {site.program, site.settings,
                           [&](const Secret& pin) { return opened((*token)->unlock(Secret(pin.view()))); },
                           [&] { (*token)->lock(); }, *record,
                           [&](const PinChange& change) { return (*token)->change_pins(change); }},
                          rosters->next);
    const SystemMonoClock mono;
    Approvals approvals([&activation] { return activation.roster(); },
                        {site.program, site.settings, mono, *record});

    auto files = fitting_files(activation.challenge(), arguments.session.shares);
    if (!files) return std::move(files).error();
    const auto next = goes_on ? rosters->next->text() + ", " + rosters->next->keys_text()
                              : std::to_string(successors->threshold) + " of " + keys_text(*successors);
    const auto what =
        site.program + " opens the token '" + site.hsm.token + "' and sets its PINs anew, for " + next +
        (goes_on ? " (a re-sharing that broke off; what is asked for now isn't looked at)" : "") +
        ", under the configuration with SHA-256 " + site.settings;
    const auto shares = open_all(std::move(*files), arguments, what, people);
    if (!shares) return shares.error();
    if (auto done = give_all(activation, *shares); !done) return std::move(done).error();
    auto said = Result<std::string>("both PINs are new, and with " + activation.roster().text() +
                                    ", generation " + std::to_string(activation.roster().generation));
    if (!goes_on) {
        const auto before = activation.roster();
        const auto proposal = propose_resharing(activation, approvals, *successors, arguments.why,
                                                arguments.by, account_text(::geteuid()));
        said = proposal ? approve_all(approvals, *proposal, before, *shares)
                        : Result<std::string>(proposal.error());
    }
    const auto closed =
        activation.state().activated
            ? activation.deactivate("after the re-sharing", arguments.by, account_text(::geteuid()))
            : Done();
    if (!said) return said.error();
    if (!closed) return closed.error();
    if (as_json)
        out << dump({{"made", "custodians"},
                     {"generation", activation.roster().generation},
                     {"threshold", activation.roster().threshold},
                     {"text", *said}})
            << '\n';
    else
        out << *said << '\n';
    return 0;
}

}  // namespace kokuin::hsm::custody
