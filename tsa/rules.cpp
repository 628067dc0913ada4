#include "tsa/rules.h"

#include "pki/path.h"

namespace kokuin::tsa {

Result<tac::Rules> load_rules(const TaaSettings& taa, WallTime now) {
    auto anchors = pki::load_certificates(taa.anchors);
    if (!anchors) return std::move(anchors).error().in("[taa] anchors");
    auto certificates = pki::load_certificates(taa.certificates);
    if (!certificates) return std::move(certificates).error().in("[taa] certificates");
    const auto own = certificates->front();

    tac::Rules rules;
    // Only this authority: TSUs and TLS servers have certificates under the same anchors.
    rules.authorities = {own.subject_der()};
    rules.intermediates = std::move(*certificates);
    // Anchors are roots; what else stands in their file only helps to build the path.
    for (auto& one : *anchors)
        (one.is_self_issued() ? rules.anchors : rules.intermediates).push_back(std::move(one));
    if (rules.anchors.empty())
        return Error::usage("[taa] anchors: " + taa.anchors +
                            ": holds no root; put the TAA's root certificate here");
    const pki::PathRules weak{taa.allow_sha1};
    auto path = pki::validate_path(own, rules.intermediates, rules.anchors, now, weak);
    if (!path) {
        // At one end of its validity or the other all above it held, unless the path itself is wrong.
        for (const auto at : {own.not_after(), own.not_before()})
            if (!path) path = pki::validate_path(own, rules.intermediates, rules.anchors, at, weak);
        if (!path)
            return Error::usage("[taa] certificates: " + taa.certificates + ": " + path.error().text +
                                " (anchors: " + taa.anchors +
                                "); put the TAA's certificate first, then what is between it and the root");
    }
    rules.policies.clear();
    for (const auto& limit : taa.limits)
        rules.policies[limit.oid] = {std::chrono::duration_cast<microseconds>(limit.max_offset),
                                     std::chrono::duration_cast<microseconds>(limit.max_delay)};
    rules.accept_weak = taa.allow_sha1;
    rules.offset_is_taa_minus_tsu = !taa.offset_is_tsu_minus_taa;
    return rules;
}

std::vector<pki::Certificate> path_of_taa(const tac::Rules& rules, WallTime now) {
    if (rules.intermediates.empty()) return {};
    auto path = pki::validate_path(rules.intermediates.front(), rules.intermediates, rules.anchors, now,
                                   pki::PathRules{rules.accept_weak});
    return path ? std::move(*path) : std::vector<pki::Certificate>();
}

}  // namespace kokuin::tsa
