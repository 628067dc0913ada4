#include "hsm/custody/activation.h"

#include <utility>

#include "base/text.h"
#include "hsm/custody/json.h"
#include "pki/hash.h"

namespace kokuin::hsm::custody {
namespace {

constexpr const char* act = "activate";

std::string names(const std::vector<std::string>& all) {
    std::string out;
    for (const auto& one : all) out += (out.empty() ? "" : ", ") + one;
    return out;
}

store::Event event_of(const char* kind, std::string text) {
    store::Event event;
    event.kind = kind;
    event.text = std::move(text);
    return event;
}

}  // namespace

std::string Challenge::to_json() const {
    return dump({{"statement", statement_json(statement)},
                 {"letterbox", to_hex(letterbox)},
                 {"roster", Json::parse(roster.to_json())}});
}

Result<Challenge> Challenge::from_json(std::string_view text) {
    const auto json = Json::parse(text, nullptr, false);
    Members members(json);
    Challenge challenge;
    challenge.letterbox = members.octets("letterbox", 32);
    const auto statement = statement_from(members.object("statement"));
    auto roster = Roster::from_json(dump(members.object("roster")));
    if (!members.ok() || !statement || !roster)
        return Error::environment(
            "its answer isn't what this program expects; are both of the same version?");
    challenge.statement = *statement;
    challenge.roster = std::move(*roster);
    return challenge;
}

Bytes Challenge::context(const std::string& custodian) const {
    const auto text = "kokuin share on its way 1\n" + statement.text(custodian);
    return Bytes(text.begin(), text.end());
}

std::string Given::to_json() const {
    return dump({{"ceremony", ceremony},
                 {"generation", generation},
                 {"custodian", approval.custodian},
                 {"signature", to_hex(approval.signature)},
                 {"share", box_json(share)}});
}

Result<Given> Given::from_json(std::string_view text) {
    const auto json = Json::parse(text, nullptr, false);
    Members members(json);
    Given given;
    given.ceremony = members.text("ceremony");
    given.generation = members.number("generation", 1'000'000);
    given.approval = {members.text("custodian"), members.octets("signature", 64)};
    auto share = box_from(members.object("share"));
    if (!members.ok() || !share)
        return Error::usage("that is no custodian's share; is this tool of the same version?");
    given.share = std::move(*share);
    return given;
}

Done fits(const Challenge& challenge, const ShareFile& file) {
    const auto& roster = challenge.roster;
    if (file.ceremony != roster.ceremony)
        return Error::no("is a share of the token '" + one_line(file.token) + "' and ceremony " +
                         one_line(file.ceremony) + ", but " + challenge.statement.program +
                         " waits for shares of the token '" + one_line(roster.token) + "' and ceremony " +
                         roster.ceremony + "; take the share of that one");
    if (file.generation != roster.generation)
        return Error::no("is of generation " + std::to_string(file.generation) +
                         " of its ceremony, which was shared anew since: generation " +
                         std::to_string(roster.generation) + " holds; take the newer file");
    if (!roster.find(file.custodian))
        return Error::no("'" + file.custodian + "' is none of the custodians of this ceremony");
    // A signature under anything else could be carried away and used for that.
    const auto& statement = challenge.statement;
    if (statement.act != act || !statement.content.empty() || statement.ceremony != file.ceremony ||
        statement.generation != file.generation || statement.token != file.token)
        return Error::no("isn't asked for an activation, but for '" + one_line(statement.act) + "' of '" +
                         one_line(statement.content) + "'; nothing was signed, look at who listens there");
    return {};
}

Result<Given> answer(const Challenge& challenge, const OpenShare& share) {
    if (auto done = fits(challenge, share.file); !done) return std::move(done).error();
    const auto& name = share.file.custodian;
    return Given{share.file.ceremony, share.file.generation,
                 approve(challenge.statement, name, share.seed.view()),
                 seal_for(challenge.letterbox, share.share.pin.view(), challenge.context(name))};
}

Activation::Activation(Roster roster, Parts parts) : roster_(std::move(roster)), parts_(std::move(parts)) {
    begin_anew();
}

void Activation::begin_anew() {
    nonce_ = to_hex(random_octets(16));
    held_.clear();
}

Challenge Activation::challenge() const {
    const std::lock_guard lock(mutex_);
    return challenge_locked();
}

Challenge Activation::challenge_locked() const {
    return {{act, parts_.program, roster_.ceremony, roster_.generation, roster_.token, parts_.settings, "",
             nonce_},
            letterbox_.sealing_key(),
            roster_};
}

Activation::State Activation::state() const {
    const std::lock_guard lock(mutex_);
    return state_locked();
}

Activation::State Activation::state_locked() const {
    State state{activated_, refused_, {}, roster_.threshold, ""};
    for (const auto& [name, held] : held_) state.given.push_back(name);
    if (refused_)
        state.text = "out of use: " + trouble_;
    else if (activated_)
        state.text = "activated" + (trouble_.empty() ? "" : ", but " + trouble_);
    else
        state.text = "locked: " + std::to_string(held_.size()) + " of " + std::to_string(roster_.threshold) +
                     " shares are here" + (held_.empty() ? "" : " (" + names(state.given) + ")") + " of " +
                     roster_.text();
    return state;
}

Done Activation::record(store::Event event, const std::vector<store::Blob>& blobs) {
    event.subject = roster_.token;
    event.fields["ceremony"] = roster_.ceremony;
    event.fields["generation"] = static_cast<std::int64_t>(roster_.generation);
    event.fields["settings"] = parts_.settings;
    for (const auto& blob : blobs) event.blobs.push_back(blob.id());
    return parts_.record(event, blobs);
}

Result<Activation::State> Activation::give(const Given& given, const std::string& account) {
    const std::lock_guard lock(mutex_);
    const auto& name = given.approval.custodian;
    if (refused_) return Error::usage(parts_.program + " is " + state_locked().text);
    if (activated_) return Error::no("token '" + roster_.token + "' is activated already");
    if (given.ceremony != roster_.ceremony || given.generation != roster_.generation)
        return Error::no("that share is of another ceremony or generation; " + parts_.program +
                         " waits for ceremony " + roster_.ceremony + ", generation " +
                         std::to_string(roster_.generation));
    const auto challenge = challenge_locked();
    if (auto done = check(challenge.statement, given.approval, roster_); !done)
        return Error::no(done.error().text + "; try again (somebody else may have come between)");
    auto share = letterbox_.open(given.share, challenge.context(name));
    if (!share) return Error::no("the share of " + name + " " + share.error().text);
    const auto digest = pki::digest(pki::Hash::sha256, share->view());
    if (!equal_constant_time(digest, roster_.find(name)->pin_share))
        return Error::no("that isn't the share that was made for " + name + "; the token was not asked");
    if (held_.count(name) == 0) {
        auto event = event_of("custody.share", "the custodian " + name + " gave a share");
        event.fields["custodian"] = name;
        event.fields["account"] = account;
        if (auto done = record(std::move(event)); !done) return std::move(done).error();
        held_.emplace(name, Held{std::move(*share), given.approval});
    }
    if (held_.size() >= roster_.threshold)
        if (auto done = activate_locked(); !done) return std::move(done).error();
    return state_locked();
}

Done Activation::activate_locked() {
    std::vector<View> shares;
    std::vector<Approval> approvals;
    std::vector<std::string> by;
    for (const auto& [name, held] : held_) {
        shares.push_back(held.share.view());
        approvals.push_back(held.approval);
        by.push_back(name);
    }
    const auto statement = challenge_locked().statement;
    const auto pin = combine(shares);
    if (!pin) {
        // Each is the one that was made, so the roster is wrong; a person must look.
        begin_anew();
        return Error::environment("token '" + roster_.token + "': " + pin.error().text +
                                  "; the archive's roster doesn't fit them");
    }
    // Recorded first: what the custodians agreed to counts, also if the HSM is away now.
    auto event = event_of("custody.activated", "activated by the custodians " + names(by));
    event.fields["custodians"] = names(by);
    const auto approved = approvals_json(statement, approvals);
    if (auto done = record(std::move(event), {store::Blob(Bytes(approved.begin(), approved.end()))}); !done)
        return done;
    begin_anew();
    return open_locked(*pin);
}

Done Activation::open_locked(const Secret& pin) {
    const auto opened = parts_.open(pin);
    if (!opened && opened.error().kind == Error::Kind::usage) {
        refused_ = true;
        trouble_ = opened.error().text;
        (void)record(event_of("custody.refused", trouble_));
        return opened;
    }
    activated_ = true;
    trouble_ = opened ? "" : opened.error().text;
    return {};
}

Done Activation::reopen(Secret pin, const std::string& agreed) {
    const std::lock_guard lock(mutex_);
    if (activated_ || refused_) return Error::no("token '" + roster_.token + "' is no longer locked");
    if (agreed != parts_.settings) {
        const auto why =
            "the configuration isn't the one that the custodians agreed to; they must activate " +
            parts_.program + " again";
        if (auto done = record(event_of("custody.changed", why)); !done) return done;
        return Error::no(why);
    }
    if (auto done = record(event_of("custody.kept", "opened again with the PIN that the keeper held")); !done)
        return done;
    return open_locked(pin);
}

Done Activation::deactivate(const std::string& why, const std::string& by, const std::string& account) {
    const std::lock_guard lock(mutex_);
    if (!activated_ && held_.empty()) return Error::no("token '" + roster_.token + "' isn't activated");
    // Whatever the archive says: who deactivates has a reason not to wait.
    parts_.close();
    const bool was = activated_;
    activated_ = false;
    begin_anew();
    auto event = event_of("custody.deactivated", was ? why : "before enough shares were here: " + why);
    event.fields["by"] = by;
    event.fields["account"] = account;
    return record(std::move(event));
}

}  // namespace kokuin::hsm::custody
