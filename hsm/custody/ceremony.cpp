#include "hsm/custody/ceremony.h"

#include <set>

#include "pki/hash.h"

namespace kokuin::hsm::custody {
Done check(const Plan& plan) {
    const auto count = plan.custodians.size();
    if (count < 2 || count > most_custodians)
        return Error::usage("a ceremony has 2 to " + std::to_string(most_custodians) + " custodians, not " +
                            std::to_string(count) + "; name each with --custodian NAME");
    if (plan.threshold < 2 || plan.threshold > count)
        return Error::usage("--threshold " + std::to_string(plan.threshold) + ": must be 2 to " +
                            std::to_string(count) +
                            ", the number of custodians; one alone must not be enough (KEY-2)");
    std::set<std::string> names;
    for (const auto& name : plan.custodians) {
        if (!is_custodian_name(name))
            return Error::usage(
                "custodian '" + name +
                "': a role or number of 1 to 32 characters of a-z, 0-9, '-' and '_' (no name of a person: "
                "records can't be erased)");
        if (!names.insert(name).second) return Error::usage("custodian '" + name + "' is named twice");
    }
    return {};
}

Ceremony hold(const Plan& plan) {
    Ceremony held{draw_pin(), draw_pin(), {}, {}, {}};
    held.roster.ceremony = to_hex(random_octets(16));
    held.roster.token = plan.token;
    held.roster.threshold = plan.threshold;
    const auto count = static_cast<unsigned>(plan.custodians.size());
    auto pins = split(held.pin.view(), plan.threshold, count);
    auto officers = split(held.officer_pin.view(), plan.threshold, count);
    for (unsigned i = 0; i < count; ++i) {
        auto seed = random_secret(seed_octets);
        held.roster.custodians.push_back({plan.custodians[i], public_keys(seed.view()),
                                          pki::digest(pki::Hash::sha256, pins[i].view()),
                                          pki::digest(pki::Hash::sha256, officers[i].view())});
        held.shares.push_back({std::move(pins[i]), std::move(officers[i])});
        held.seeds.push_back(std::move(seed));
    }
    return held;
}

}  // namespace kokuin::hsm::custody
