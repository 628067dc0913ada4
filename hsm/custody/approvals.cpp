#include "hsm/custody/approvals.h"

#include <algorithm>

#include "base/json_text.h"
#include "base/text.h"
#include "hsm/custody/papers/json.h"
#include "pki/hash.h"

namespace kokuin::hsm::custody {
namespace {

constexpr std::size_t most_waiting = 16;
constexpr nanoseconds waits = std::chrono::hours(24);
constexpr std::size_t id_digits = 8;

}  // namespace

Bytes Proposal::context(const std::string& custodian) const {
    const auto text = "kokuin officer's share on its way 1\n" + statement.text(custodian);
    return Bytes(text.begin(), text.end());
}

std::string Proposal::to_json() const {
    Json json{{"id", id},       {"statement", statement_json(statement)},
              {"why", why},     {"by", by},
              {"given", given}, {"threshold", threshold}};
    if (!letterbox.empty()) json["letterbox"] = to_hex(letterbox);
    return dump(json);
}

Result<Proposal> Proposal::from_json(std::string_view text) {
    const auto json = parse_ordered_json(text);
    Members members(json);
    Proposal proposal;
    proposal.id = members.text("id");
    const auto statement = statement_from(members.object("statement"));
    proposal.why = members.text("why");
    proposal.by = members.text("by");
    proposal.threshold = members.number("threshold", most_custodians);
    if (json.is_object() && json.contains("letterbox")) proposal.letterbox = members.octets("letterbox", 32);
    for (const auto& one : members.object("given"))
        if (one.is_string())
            proposal.given.push_back(one.get<std::string>());
        else
            members.fail();
    if (!members.ok() || !statement)
        return Error::environment(
            "its answer isn't what this program expects; are both of the same version?");
    proposal.statement = *statement;
    return proposal;
}

void Approvals::forget_old() {
    const auto now = parts_.mono.now();
    const auto generation = roster_().generation;
    std::erase_if(waiting_, [now, generation](const auto& one) {
        return one.second.until < now || one.second.proposal.statement.generation != generation;
    });
}

Result<Proposal> Approvals::propose(const Wanted& wanted, Possible possible, CarryOut carry_out) {
    const std::lock_guard lock(mutex_);
    forget_old();
    const auto roster = roster_();
    for (const auto& [id, one] : waiting_)
        if (one.proposal.statement.act == wanted.act && one.proposal.statement.content == wanted.content)
            return Error::no("proposal " + id + " asks for that already; it waits for " +
                             std::to_string(roster.threshold) + " custodians");
    if (waiting_.size() >= most_waiting)
        return Error::no("too many proposals wait; have them approved first, or restart " + parts_.program);
    Proposal proposal;
    const auto nonce = to_hex(random_octets(16));
    proposal.id = nonce.substr(0, id_digits);
    proposal.statement = {wanted.act,   parts_.program,  roster.ceremony, roster.generation,
                          roster.token, parts_.settings, wanted.content,  nonce};
    proposal.why = wanted.why;
    proposal.by = wanted.by;
    proposal.threshold = roster.threshold;
    if (wanted.officers_pin) proposal.letterbox = letterbox_.sealing_key();
    store::Event event;
    event.kind = "custody.proposed";
    event.subject = roster.token;
    event.text = wanted.why;
    event.fields = {{"act", wanted.act},
                    {"content", wanted.content},
                    {"by", wanted.by},
                    {"account", wanted.account},
                    {"proposal", nonce}};
    if (auto done = parts_.record(event, {}); !done) return std::move(done).error();
    waiting_.emplace(
        proposal.id,
        Waiting{proposal, {}, {}, std::move(possible), std::move(carry_out), parts_.mono.now() + waits});
    return proposal;
}

std::vector<Proposal> Approvals::waiting() {
    const std::lock_guard lock(mutex_);
    forget_old();
    std::vector<Proposal> all;
    for (const auto& [id, one] : waiting_) all.push_back(one.proposal);
    return all;
}

Result<Secret> Approvals::officers_share(const Proposal& proposal, const Roster& roster,
                                         const std::string& custodian, const std::optional<Box>& box) const {
    if (!box)
        return Error::no("the share of the officer's PIN is missing; is this tool of the same version?");
    auto share = letterbox_.open(*box, proposal.context(custodian));
    if (!share) return Error::no("the officer's share of " + custodian + " " + share.error().text);
    if (!equal_constant_time(pki::digest(pki::Hash::sha256, share->view()),
                             roster.find(custodian)->officer_share))
        return Error::no("that isn't the officer's share that was made for " + custodian +
                         "; the token was not asked");
    return share;
}

Result<Approvals::Outcome> Approvals::approve(const std::string& id, const Approval& approval,
                                              const std::optional<Box>& officer) {
    std::unique_lock lock(mutex_);
    forget_old();
    const auto roster = roster_();
    const auto at = waiting_.find(id);
    if (at == waiting_.end())
        return Error::no("there is no proposal '" + one_line(id, 64) +
                         "'; it may be done, or too old, or the custodians were replaced since");
    auto& one = at->second;
    auto& proposal = one.proposal;

    if (auto done = check(proposal.statement, approval, roster); !done) return std::move(done).error();
    if (!proposal.letterbox.empty()) {
        auto share = officers_share(proposal, roster, approval.custodian, officer);
        if (!share) return std::move(share).error();
        one.officers.insert_or_assign(approval.custodian, std::move(*share));
    }
    const bool is_new =
        std::find(proposal.given.begin(), proposal.given.end(), approval.custodian) == proposal.given.end();
    if (is_new && proposal.given.size() + 1 >= roster.threshold)
        if (auto done = one.possible(); !done)
            return Error{done.error()}.in(
                "approved, but it can't be done now; give this signature again when it can");
    if (std::find(proposal.given.begin(), proposal.given.end(), approval.custodian) == proposal.given.end()) {
        proposal.given.push_back(approval.custodian);
        one.approvals.push_back(approval);
    }
    if (proposal.given.size() < roster.threshold) return Outcome{proposal, false, ""};

    Agreement agreement{proposal.statement.nonce, "", proposal.why, proposal.by, nullptr};
    if (!proposal.letterbox.empty()) {
        std::vector<View> shares;
        for (const auto& [name, share] : one.officers) shares.push_back(share.view());
        auto pin = combine(shares);
        if (!pin)
            return Error::environment(pin.error().text + "; the archive's roster doesn't fit these shares");
        agreement.officers_pin = std::make_shared<const Secret>(std::move(*pin));
    }
    for (const auto& name : proposal.given)
        agreement.custodians += (agreement.custodians.empty() ? "" : ", ") + name;
    const auto approvals = approvals_json(proposal.statement, one.approvals);
    const store::Blob blob(Bytes(approvals.begin(), approvals.end()));
    store::Event event;
    event.kind = "custody.agreed";
    event.subject = roster.token;
    event.text = proposal.why;
    event.fields = {{"act", proposal.statement.act},
                    {"content", proposal.statement.content},
                    {"custodians", agreement.custodians},
                    {"by", proposal.by},
                    {"proposal", proposal.statement.nonce}};
    event.blobs.push_back(blob.id());
    // Without its record it isn't done; the last signature may be given again.
    if (auto done = parts_.record(event, {blob}); !done) {
        proposal.given.pop_back();
        one.approvals.pop_back();
        return std::move(done).error();
    }
    auto agreed = std::move(one);
    waiting_.erase(at);
    lock.unlock();
    auto outcome = agreed.carry_out(agreement);
    if (!outcome) return std::move(outcome).error();
    return Outcome{agreed.proposal, true, std::move(*outcome)};
}

}  // namespace kokuin::hsm::custody
