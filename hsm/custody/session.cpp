#include "hsm/custody/session.h"

#include <CLI/CLI.hpp>
#include <iostream>
#include <set>

#include "base/file.h"
#include "base/terminal.h"
#include "base/text.h"
#include "hsm/commands.h"
#include "hsm/custody/papers/statement.h"
#include "hsm/custody/records.h"
#include "hsm/custody/share.h"
#include "pki/hash.h"

namespace kokuin::hsm::custody {
namespace {

store::Event event_of(const char* kind, const Roster& roster, const SessionPlan& plan, std::string text) {
    store::Event event;
    event.kind = kind;
    event.subject = roster.token;
    event.text = std::move(text);
    event.fields["ceremony"] = roster.ceremony;
    event.fields["generation"] = static_cast<std::int64_t>(roster.generation);
    event.fields["settings"] = plan.settings;
    event.fields["content"] = plan.content;
    return event;
}

/// The share files, each one of this roster's and of another custodian; before anybody has typed anything.
Result<std::vector<ShareFile>> read_shares(const Roster& roster, const std::vector<std::string>& paths) {
    std::vector<ShareFile> files;
    std::set<std::string> custodians;
    for (const auto& path : paths) {
        const auto text = read_file(path, largest_share_file);
        if (!text) return text.error();
        auto file = ShareFile::from_json(as_text(*text));
        if (!file) return std::move(file).error().in(path);
        const auto* me = roster.find(file->custodian);
        // From the second generation on the shares are in the roster, for the keys in the files.
        const bool holds = me && (me->share ? me->keys == file->keys : file->generation == roster.generation);
        if (file->ceremony != roster.ceremony || file->token != roster.token || (me && !holds))
            return Error::no(path + ": is a share of the token '" + one_line(file->token) + "', ceremony " +
                             one_line(file->ceremony) + ", generation " + std::to_string(file->generation) +
                             ", but needed is one of '" + roster.token + "', ceremony " + roster.ceremony +
                             ", generation " + std::to_string(roster.generation) +
                             "; take the share of that one");
        if (!me)
            return Error::no(path + ": '" + one_line(file->custodian) +
                             "' is none of the custodians of this ceremony");
        if (!custodians.insert(file->custodian).second)
            return Error::no(path + ": is another copy of the share of " + file->custodian +
                             "; take that of another custodian");
        files.push_back(std::move(*file));
    }
    if (files.size() < roster.threshold)
        return Error::no("token '" + roster.token + "' is opened by " + roster.text() + ", but " +
                         std::to_string(files.size()) + (files.size() == 1 ? " share is" : " shares are") +
                         " given; add more with --share FILE");
    return files;
}

struct Opened {
    Secret pin_share;
    Approval approval;
};

/// One custodian's turn.
Result<Opened> ask_custodian(const Roster& roster, const Statement& statement, ShareFile file,
                             const std::string& path, const std::string& passphrase_file, std::ostream& out) {
    const auto name = file.custodian;
    out << "custodian " << name << ": you agree that " << statement.program << " opens the token '"
        << statement.token << "' for: " << one_line(statement.content, any_length)
        << ", under the configuration with SHA-256 " << statement.settings << std::endl;
    if (!passphrase_file.empty())
        std::cerr << "WARNING: UNATTENDED: a custodian's passphrase lies in " << passphrase_file
                  << "; whoever reads it can do what this custodian can. For tests and demos only, never for "
                     "service.\n";
    const auto passphrase = passphrase_file.empty() ? ask_secret("Passphrase of the custodian " + name + ":")
                                                    : read_secret_file(passphrase_file);
    if (!passphrase) return passphrase.error();
    auto share = open_share_file(std::move(file), passphrase->view());
    if (!share) return std::move(share).error().in(path);
    auto mine = share_in(roster, *share);
    if (!mine) return std::move(mine).error().in(path);
    const auto digest = pki::digest(pki::Hash::sha256, mine->pin.view());
    if (!equal_constant_time(digest, roster.find(name)->pin_share))
        return Error::no(path + ": isn't the share that was made for " + name + "; the token was not asked");
    auto approval = approve(statement, name, share->seed.view());
    if (auto done = check(statement, approval, roster); !done) return std::move(done).error().in(path);
    return Opened{std::move(mine->pin), std::move(approval)};
}

/// The token of these settings, opened with this PIN.
Result<std::unique_ptr<Token>> open_with(const Settings& hsm, const Secret& pin) {
    auto options = options_of(hsm);
    options.pin = Secret(pin.view());
    options.sessions = 1;
    return Token::open(std::move(options));
}

}  // namespace

void add_session_options(CLI::App& command, SessionArguments& arguments) {
    command
        .add_option("--share", arguments.shares,
                    "a custodian's share file; once for each of so many as open the token together")
        ->allow_extra_args(false);
    command
        .add_option("--passphrase-file", arguments.passphrase_files,
                    "UNATTENDED, for tests and demos: read the passphrases from files, one for each "
                    "--share in its order")
        ->allow_extra_args(false);
}

Result<std::unique_ptr<Session>> Session::open(SessionPlan plan, const SessionArguments& arguments,
                                               std::ostream& out) {
    if (!plan.hsm.pin_file.empty()) {
        if (!arguments.shares.empty())
            return Error::usage("[hsm] has a pin_file, so no share opens the token; leave --share out");
        std::cerr << "WARNING: the PIN of the token '" << plan.hsm.token << "' lies in " << plan.hsm.pin_file
                  << "; whoever reads it can do alone what several people should do together (CA-3)\n";
        apply_environment(plan.hsm);
        auto token = open_token(plan.hsm);
        if (!token) return std::move(token).error();
        return std::unique_ptr<Session>(new Session(std::move(plan), std::move(*token), ""));
    }
    const auto known = read_rosters(plan.archive, plan.hsm.token);
    if (!known) return known.error();
    if (known->next)
        return Error::no("token '" + plan.hsm.token +
                         "': a re-sharing broke off, and nobody knows which PIN it has; go on with it first, "
                         "with shares of "
                         "both generations: " +
                         plan.program + " ceremony reshare");
    if (!known->in_force)
        return Error::usage("[hsm] token '" + plan.hsm.token + "': nobody holds its PIN; hold a ceremony (" +
                            plan.program + " ceremony init), or give a pin_file");
    const auto& roster = *known->in_force;
    auto files = read_shares(roster, arguments.shares);
    if (!files) return std::move(files).error();
    if (!arguments.passphrase_files.empty() && arguments.passphrase_files.size() != files->size())
        return Error::usage("there are " + std::to_string(files->size()) + " --share, but " +
                            std::to_string(arguments.passphrase_files.size()) +
                            " --passphrase-file; give one for each, or none");

    const Statement statement{"activate",   plan.program,  roster.ceremony, roster.generation,
                              roster.token, plan.settings, plan.content,    to_hex(random_octets(16))};
    std::vector<Opened> opened;
    for (std::size_t i = 0; i < files->size(); ++i) {
        auto one = ask_custodian(
            roster, statement, std::move((*files)[i]), arguments.shares[i],
            arguments.passphrase_files.empty() ? std::string() : arguments.passphrase_files[i], out);
        if (!one) return std::move(one).error();
        opened.push_back(std::move(*one));
    }
    std::vector<View> shares;
    std::vector<Approval> approvals;
    std::string names;
    for (const auto& one : opened) {
        shares.push_back(one.pin_share.view());
        approvals.push_back(one.approval);
        names += (names.empty() ? "" : ", ") + one.approval.custodian;
    }
    const auto pin = combine(shares);
    if (!pin) return Error{pin.error()}.in("token '" + roster.token + "'");

    // Recorded first: what custodians agreed to counts, whatever becomes of it.
    const auto approved = approvals_json(statement, approvals);
    const store::Blob blob(Bytes(approved.begin(), approved.end()));
    auto event = event_of("custody.activated", roster, plan,
                          one_line("for " + plan.content + ", by the custodians " + names, 1000));
    event.fields["custodians"] = names;
    event.blobs.push_back(blob.id());
    if (auto done = plan.record(event, {blob}); !done) return std::move(done).error();
    apply_environment(plan.hsm);
    auto token = open_with(plan.hsm, *pin);
    if (!token) {
        if (token.error().kind == Error::Kind::usage)
            (void)plan.record(event_of("custody.refused", roster, plan, one_line(token.error().text, 1000)),
                              {});
        return std::move(token).error();
    }
    return std::unique_ptr<Session>(new Session(std::move(plan), std::move(*token), std::move(names)));
}

Done Session::close() {
    if (!token_) return {};
    token_.reset();
    if (custodians_.empty()) return {};
    store::Event event;
    event.kind = "custody.deactivated";
    event.subject = plan_.hsm.token;
    event.text = one_line("after " + plan_.content, 1000);
    event.fields["settings"] = plan_.settings;
    return plan_.record(event, {});
}

Session::~Session() {
    (void)close();
}

}  // namespace kokuin::hsm::custody
