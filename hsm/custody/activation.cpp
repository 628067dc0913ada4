#include "hsm/custody/activation.h"

#include <utility>

#include "base/json_text.h"
#include "base/text.h"
#include "hsm/custody/papers/json.h"
#include "hsm/custody/records.h"
#include "pki/hash.h"

namespace kokuin::hsm::custody {
namespace {

constexpr const char* act = "activate";

std::string names(const std::vector<std::string>& all) {
    std::string out;
    for (const auto& one : all) out += (out.empty() ? "" : ", ") + one;
    return out;
}

Bytes octets_of(const std::string& text) {
    return Bytes(text.begin(), text.end());
}

Bytes officers_context(const Statement& statement, const std::string& custodian) {
    return octets_of("kokuin officer's share on its way 1\n" + statement.text(custodian));
}

bool is_share(const Secret& share, View sha256) {
    return equal_constant_time(pki::digest(pki::Hash::sha256, share.view()), sha256);
}

store::Event event_of(const char* kind, std::string text) {
    store::Event event;
    event.kind = kind;
    event.text = std::move(text);
    return event;
}

}  // namespace

std::string Challenge::to_json() const {
    Json json{{"statement", statement_json(statement)},
              {"letterbox", to_hex(letterbox)},
              {"roster", parse_ordered_json(roster.to_json())},
              {"officers_too", officers_too}};
    if (next) json["next"] = parse_ordered_json(next->to_json());
    return dump(json);
}

Result<Challenge> Challenge::from_json(std::string_view text) {
    const auto json = parse_ordered_json(text);
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
    challenge.officers_too = json.value("officers_too", false);
    if (json.contains("next")) {
        auto next = Roster::from_json(dump(members.object("next")));
        if (!next) return std::move(next).error();
        challenge.next = std::move(*next);
    }
    return challenge;
}

Bytes Challenge::context(const std::string& custodian) const {
    return octets_of("kokuin share on its way 1\n" + statement.text(custodian));
}

Challenge Challenge::to_next() const {
    Challenge other = *this;
    other.roster = *next;
    other.next.reset();
    other.follows = true;
    other.statement.generation = other.roster.generation;
    return other;
}

std::string Given::to_json() const {
    Json json{{"ceremony", ceremony},
              {"generation", generation},
              {"custodian", approval.custodian},
              {"signature", to_hex(approval.signature)},
              {"share", box_json(share)}};
    if (officer) json["officer"] = box_json(*officer);
    return dump(json);
}

Result<Given> Given::from_json(std::string_view text) {
    const auto json = parse_ordered_json(text);
    Members members(json);
    Given given;
    given.ceremony = members.text("ceremony");
    given.generation = members.number("generation", 1'000'000);
    given.approval = {members.text("custodian"), members.octets("signature", 64)};
    auto share = box_from(members.object("share"));
    if (!members.ok() || !share)
        return Error::usage("that is no custodian's share; is this tool of the same version?");
    given.share = std::move(*share);
    if (json.contains("officer")) {
        given.officer = box_from(members.object("officer"));
        if (!given.officer)
            return Error::usage("that is no custodian's share; is this tool of the same version?");
    }
    return given;
}

Done fits(const Challenge& challenge, const ShareFile& file) {
    const auto& roster = challenge.roster;
    if (file.ceremony != roster.ceremony)
        return Error::no("is a share of the token '" + one_line(file.token) + "' and ceremony " +
                         one_line(file.ceremony) + ", but " + challenge.statement.program +
                         " waits for shares of the token '" + one_line(roster.token) + "' and ceremony " +
                         roster.ceremony + "; take the share of that one");
    const auto* me = roster.find(file.custodian);
    if (!me)
        return Error::no("'" + file.custodian + "' is none of the custodians of this ceremony, generation " +
                         std::to_string(roster.generation));
    if (me->share && me->keys != file.keys)
        return Error::no("is an earlier file of the custodian '" + file.custodian +
                         "', whose keys are others since generation " + std::to_string(roster.generation) +
                         "; take the newer file");
    if (!me->share && file.generation != 0 && file.generation != roster.generation)
        return Error::no("is of generation " + std::to_string(file.generation) +
                         " of its ceremony, which was shared anew since: generation " +
                         std::to_string(roster.generation) + " holds; take the newer file");

    // A signature under anything else could be carried away and used for that.
    const auto& statement = challenge.statement;
    if (challenge.officers_too && !challenge.next && !challenge.follows)
        return Error::no(
            "is asked for the officer's share without need; nothing was signed, look at who listens there");
    if (statement.act != act || !statement.content.empty() || statement.ceremony != file.ceremony ||
        statement.generation != roster.generation || statement.token != file.token)
        return Error::no("isn't asked for an activation, but for '" + one_line(statement.act) + "' of '" +
                         one_line(statement.content) + "'; nothing was signed, look at who listens there");
    return {};
}

Result<Given> answer(const Challenge& challenge, const OpenShare& share) {
    if (auto done = fits(challenge, share.file); !done) return std::move(done).error();
    const auto mine = share_in(challenge.roster, share);
    if (!mine) return mine.error();
    const auto& name = share.file.custodian;
    Given given{share.file.ceremony, challenge.roster.generation,
                approve(challenge.statement, name, share.seed.view()),
                seal_for(challenge.letterbox, mine->pin.view(), challenge.context(name))};
    if (challenge.officers_too)
        given.officer =
            seal_for(challenge.letterbox, mine->officer.view(), officers_context(challenge.statement, name));
    return given;
}

Result<std::vector<Given>> answers(const Challenge& challenge, const OpenShare& share) {
    std::vector<Given> all;
    auto first = answer(challenge, share);
    if (first) all.push_back(*first);
    if (challenge.next)
        if (auto second = answer(challenge.to_next(), share)) all.push_back(std::move(*second));
    if (all.empty()) return std::move(first).error();
    return all;
}

Activation::Activation(Roster roster, Parts parts, std::optional<Roster> next)
    : roster_(std::move(roster)), next_(std::move(next)), parts_(std::move(parts)) {
    begin_anew();
    show();
}

void Activation::show() {
    Shown now{state_locked(), roster_, challenge_locked()};
    const std::lock_guard lock(shown_mutex_);
    shown_ = std::move(now);
}

Roster Activation::roster() const {
    const std::lock_guard lock(shown_mutex_);
    return shown_.roster;
}

void Activation::begin_anew() {
    nonce_ = to_hex(random_octets(16));
    held_.clear();
    held_of_next_.clear();
}

Challenge Activation::challenge() const {
    const std::lock_guard lock(shown_mutex_);
    return shown_.challenge;
}

Challenge Activation::challenge_locked() const {
    return {statement_of(roster_), letterbox_.sealing_key(), roster_, next_, next_.has_value()};
}

Statement Activation::statement_of(const Roster& roster) const {
    return {act, parts_.program, roster.ceremony, roster.generation, roster.token, parts_.settings,
            "",  nonce_};
}

Activation::State Activation::state() const {
    const std::lock_guard lock(shown_mutex_);
    return shown_.state;
}

Activation::State Activation::state_locked() const {
    State state{activated_, refused_, {}, roster_.threshold, "", activated_ ? activated_by_ : ""};
    for (const auto& [name, held] : held_) state.given.push_back(name);
    for (const auto& [name, held] : held_of_next_)
        if (held_.count(name) == 0) state.given.push_back(name);
    if (refused_)
        state.text = "out of use: " + trouble_;
    else if (activated_)
        state.text = "activated" + (trouble_.empty() ? "" : ", but " + trouble_);
    else if (next_)
        state.text = "locked: a re-sharing broke off; shares of both generations must come: " +
                     std::to_string(held_.size()) + " of " + std::to_string(roster_.threshold) + " of " +
                     roster_.text() + ", and " + std::to_string(held_of_next_.size()) + " of " +
                     std::to_string(next_->threshold) + " of " + next_->text() + " are here";
    else
        state.text = "locked: " + std::to_string(held_.size()) + " of " + std::to_string(roster_.threshold) +
                     " shares are here" + (held_.empty() ? "" : " (" + names(state.given) + ")") + " of " +
                     roster_.text();
    return state;
}

Done Activation::record(store::Event event, const std::vector<store::Blob>& blobs, const Roster* of) {
    const auto& roster = of ? *of : roster_;
    event.subject = roster.token;
    event.fields["ceremony"] = roster.ceremony;
    event.fields["generation"] = static_cast<std::int64_t>(roster.generation);
    event.fields["settings"] = parts_.settings;
    for (const auto& blob : blobs) event.blobs.push_back(blob.id());
    return parts_.record(event, blobs);
}

Result<Activation::State> Activation::give(const Given& given, const std::string& account) {
    const Turn turn(*this);
    const auto& name = given.approval.custodian;
    if (refused_) return Error::usage(parts_.program + " is " + state_locked().text);
    if (activated_) return Error::no("token '" + roster_.token + "' is activated already");
    const bool of_next = next_ && given.generation == next_->generation;
    const auto& roster = of_next ? *next_ : roster_;
    auto& bench = of_next ? held_of_next_ : held_;
    if (given.ceremony != roster.ceremony || given.generation != roster.generation)
        return Error::no("that share is of another ceremony or generation; " + parts_.program +
                         " waits for ceremony " + roster_.ceremony + ", generation " +
                         std::to_string(roster_.generation));
    const auto challenge = of_next ? challenge_locked().to_next() : challenge_locked();
    if (auto done = check(challenge.statement, given.approval, roster); !done)
        return Error::no(done.error().text + "; try again (somebody else may have come between)");
    auto share = letterbox_.open(given.share, challenge.context(name));
    if (!share) return Error::no("the share of " + name + " " + share.error().text);
    const auto& custodian = *roster.find(name);
    Secret officer;
    if (challenge.officers_too) {
        auto opened =
            given.officer
                ? letterbox_.open(*given.officer, officers_context(challenge.statement, name))
                : Result<Secret>(Error::no("comes without the officer's; is this tool of the same version?"));
        if (!opened) return Error::no("the share of " + name + " " + opened.error().text);
        officer = std::move(*opened);
    }
    if (!is_share(*share, custodian.pin_share) ||
        (challenge.officers_too && !is_share(officer, custodian.officer_share)))
        return Error::no("that isn't the share that was made for " + name + "; the token was not asked");
    if (bench.count(name) == 0) {
        auto event = event_of("custody.share", "the custodian " + name + " gave a share");
        event.fields["custodian"] = name;
        event.fields["account"] = account;
        if (auto done = record(std::move(event), {}, &roster); !done) return std::move(done).error();
        bench.emplace(name, Held{std::move(*share), std::move(officer), given.approval});
    }
    if (held_.size() >= roster_.threshold && (!next_ || held_of_next_.size() >= next_->threshold))
        if (auto done = activate_locked(); !done) return std::move(done).error();
    return state_locked();
}

Done Activation::activate_locked() {
    if (next_) return go_on_resharing();
    const auto pin = combine_all(held_, &Held::share);
    if (!pin) {
        begin_anew();
        return unfit(pin.error());
    }
    // Recorded first: what the custodians agreed to counts, also if the HSM is away now.
    if (auto done = record_agreed(roster_); !done) return done;
    std::vector<std::string> by;
    for (const auto& [name, held] : held_) by.push_back(name);
    activated_by_ = names(by);
    begin_anew();
    return open_locked(*pin);
}

Result<Secret> Activation::combine_all(const Bench& bench, Secret Held::*which) {
    std::vector<View> shares;
    for (const auto& [name, held] : bench) shares.push_back((held.*which).view());
    return combine(shares);
}

Error Activation::unfit(const Error& error) const {
    // Each is the one that was made, so the roster is wrong; a person must look.
    return Error::environment("token '" + roster_.token + "': " + error.text +
                              "; the archive's roster doesn't fit them");
}

Done Activation::record_agreed(const Roster& roster) {
    std::vector<Approval> approvals;
    std::vector<std::string> by;
    for (const auto& [name, held] : &roster == &roster_ ? held_ : held_of_next_) {
        approvals.push_back(held.approval);
        by.push_back(name);
    }
    auto event = event_of("custody.activated", "activated by the custodians " + names(by));
    event.fields["custodians"] = names(by);
    return record(std::move(event), {store::Blob(octets_of(approvals_json(statement_of(roster), approvals)))},
                  &roster);
}

Done Activation::go_on_resharing() {
    auto officer = combine_all(held_, &Held::officer);
    auto new_officer = combine_all(held_of_next_, &Held::officer);
    auto new_user = combine_all(held_of_next_, &Held::share);
    for (const auto* one : {&officer, &new_officer, &new_user})
        if (!*one) {
            const auto error = unfit(one->error());
            begin_anew();
            return error;
        }
    for (const auto* roster : {&roster_, &*next_})
        if (auto done = record_agreed(*roster); !done) return done;
    begin_anew();
    const auto changed =
        parts_.change({std::move(*officer), std::move(*new_officer), std::move(*new_user), true});
    return changed ? take_over("custodians of both") : broken_off(changed.error());
}

Done Activation::reshare(const Roster& next, const PinChange& change, const std::string& custodians,
                         const std::string& why) {
    const Turn turn(*this);
    if (!activated_)
        return Error::no("token '" + roster_.token + "' isn't activated; its custodians must do that first");
    // Two generations that the archive doesn't know would be one too many to go on from.
    if (unrecorded_)
        if (auto done = record_shared("", "recorded late: the PINs are with " + roster_.text()); !done)
            return done;
    if (next.generation != roster_.generation + 1 || next.ceremony != roster_.ceremony ||
        next.token != roster_.token)
        return Error::no("the custodians were replaced meanwhile; ask for it again");
    const store::Blob blob(octets_of(next.to_json()));
    auto event = event_of("custody.resharing", why);
    event.fields["custodians"] = custodians;
    event.fields["next"] = next.text();
    if (auto done = record(std::move(event), {blob}); !done) return done;
    next_ = next;
    const auto changed = parts_.change(change);
    if (changed) return take_over(custodians);
    if (changed.error().kind != Error::Kind::no) return broken_off(changed.error());
    next_.reset();
    // Without this record the next start would ask for shares of both generations, which does no harm.
    (void)record_shared(custodians, "nothing was changed: " + changed.error().text);
    return changed;
}

Done Activation::take_over(const std::string& custodians) {
    roster_ = std::move(*next_);
    next_.reset();
    activated_ = true;
    activated_by_ = custodians;
    return record_shared(custodians, "the PINs are new, and with " + roster_.text());
}

Done Activation::broken_off(const Error& error) {
    // Nobody knows which PINs the token has. It is closed; who has shares of both generations can go on.
    activated_ = false;
    begin_anew();
    if (error.kind == Error::Kind::usage) {
        refused_ = true;
        trouble_ = error.text;
    }
    (void)record(event_of("custody.broken-off", error.text));
    return Error::environment(error.text + "; " + state_locked().text);
}

Done Activation::record_shared(const std::string& custodians, const std::string& text) {
    auto shared = shared_event(roster_);
    shared.event.blobs.clear();  // record() names it
    shared.event.fields["custodians"] = custodians;
    shared.event.text = text;
    auto done = record(std::move(shared.event), {shared.roster});
    unrecorded_ = !done;
    trouble_ = done ? ""
                    : "who holds the PINs isn't recorded: " + done.error().text +
                          "; mend the archive and replace custodians once more before a restart";
    return done;
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
    const Turn turn(*this);
    if (next_) return Error::no(state_locked().text);
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
    const Turn turn(*this);
    if (!activated_ && held_.empty() && held_of_next_.empty())
        return Error::no("token '" + roster_.token + "' isn't activated");
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
