#include "hsm/custody/reshare.h"

#include "hsm/custody/ceremony.h"
#include "pki/hash.h"

namespace kokuin::hsm::custody {

Done check(const Successors& successors) {
    Plan plan;
    plan.threshold = successors.threshold;
    for (const auto& [name, keys] : successors.custodians) {
        for (const auto& [other, others] : successors.custodians)
            if (other != name && (others.signing == keys.signing || others.sealing == keys.sealing))
                return Error::usage("custodians '" + other + "' and '" + name +
                                    "' have the same keys: one person would be two");
        plan.custodians.push_back(name);
    }
    return check(plan);
}

std::string keys_text(const Successors& successors) {
    Roster next;
    for (const auto& [name, keys] : successors.custodians) next.custodians.push_back({name, keys, {}, {}});
    return next.keys_text();
}

Division divide(const Roster& now, const Successors& successors) {
    Division made{now, draw_pin(), draw_pin()};
    auto& roster = made.roster;
    ++roster.generation;
    roster.threshold = successors.threshold;
    roster.custodians.clear();
    const auto count = static_cast<unsigned>(successors.custodians.size());
    const auto pins = split(made.pin.view(), roster.threshold, count);
    const auto officers = split(made.officer_pin.view(), roster.threshold, count);
    for (unsigned i = 0; i < count; ++i) {
        const auto& [name, keys] = successors.custodians[i];
        roster.custodians.push_back({name, keys, pki::digest(pki::Hash::sha256, pins[i].view()),
                                     pki::digest(pki::Hash::sha256, officers[i].view())});
    }
    // The context counts the custodians, so all of them must stand there before.
    for (unsigned i = 0; i < count; ++i) {
        auto& one = roster.custodians[i];
        one.share = seal_for(one.keys.sealing, join(pins[i].view(), officers[i].view()).view(),
                             roster.share_context(one.name));
    }
    return made;
}

Result<Proposal> propose_resharing(Activation& activation, Approvals& approvals, const Successors& successors,
                                   const std::string& why, const std::string& by,
                                   const std::string& account) {
    if (auto done = check(successors); !done) return std::move(done).error();
    const auto content = std::to_string(successors.threshold) + " of " + keys_text(successors);
    return approvals.propose(
        {"reshare", content, why, by, account, true},
        [&activation] {
            const auto state = activation.state();
            return state.activated
                       ? Done()
                       : Done(Error::environment("the token must be activated first: " + state.text));
        },
        [&activation, successors,
         asked = activation.roster().generation](const Agreement& agreement) -> Result<std::string> {
            const auto now = activation.roster();
            if (now.generation != asked)
                return Error::no("the custodians were replaced since that was asked for");
            const auto division = divide(now, successors);
            const PinChange change{Secret(agreement.officers_pin->view()),
                                   Secret(division.officer_pin.view()), Secret(division.pin.view())};
            auto done = activation.reshare(division.roster, change, agreement.custodians, agreement.why);
            if (!done) return std::move(done).error();
            return "both PINs are new, and with " + division.roster.text() + ", generation " +
                   std::to_string(division.roster.generation);
        });
}

}  // namespace kokuin::hsm::custody
