#include "evidence/check.h"

#include <algorithm>
#include <utility>

#include "evidence/tree.h"
#include "tsa/protocol/token.h"
#include "tsa/protocol/verify.h"

namespace kokuin::evidence {
namespace {

/// genTime of a time-stamp that can be read.
Result<WallTime> time_of(View time_stamp) {
    const auto token = tsp::parse_token(time_stamp, tsp::TokenCertificates::skip);
    if (!token) return Error::no("it can't be read: " + token.error().text);
    return token->tst_info.gen_time;
}

std::string place(std::size_t chain, std::size_t stamp) {
    return "time-stamp " + std::to_string(stamp + 1) + " of chain " + std::to_string(chain + 1) + ": ";
}

/// What a renewal within a chain is over; empty if it isn't over the time-stamp before.
Bytes renewed_imprint(const Chain& chain, std::size_t stamp) {
    const auto& own = chain.stamps[stamp];
    return climb(own.hash, own.reduced, pki::digest(own.hash, chain.stamps[stamp - 1].time_stamp));
}

}  // namespace

Result<Stamped> check_stamp(View time_stamp, pki::Hash hash, View imprint, const Believed& believed,
                            WallTime then) {
    const auto token = tsp::parse_token(time_stamp);
    if (!token) return Error::no("it can't be read: " + token.error().text);
    const auto& info = token->tst_info;
    if (info.hash_oid != pki::oid(hash))
        return Error::no("its imprint is of another hash function than " + std::string(pki::name(hash)));
    tsp::Expectations expected;
    expected.imprint = Bytes(imprint.begin(), imprint.end());
    expected.anchors = believed.anchors;
    expected.more_certificates = believed.certificates;
    expected.now = then;
    const auto verified = tsp::verify(*token, expected);
    for (const auto& check : verified.checks)
        if (check.outcome == tsp::Outcome::failed &&
            (check.check != tsp::Check::chain || !believed.anchors.empty()))
            return Error::no(std::string(tsp::name(check.check)) + ": " + check.text);
    return Stamped{0, info.gen_time, std::string(pki::name(hash)), verified.signer->subject_text(),
                   verified.signer->not_after()};
}

Verdict check(const Sequence& chains, View object, const Believed& believed, WallTime now) {
    Verdict verdict;
    for (std::size_t i = 0; i < chains.size(); ++i) {
        const Chain& chain = chains[i];
        const auto hash = chain.stamps.front().hash;
        Bytes leaf = pki::digest(hash, object);
        if (i > 0) leaf = renewed(hash, leaf, pki::digest(hash, encode_sequence(chains, i)));
        for (std::size_t j = 0; j < chain.stamps.size(); ++j) {
            const auto& stamp = chain.stamps[j];
            const Bytes imprint = j == 0 ? climb(hash, stamp.reduced, leaf) : renewed_imprint(chain, j);
            if (imprint.empty()) {
                verdict.faults.push_back(place(i, j) + (j == 0 ? "its hash tree has another object"
                                                               : "it isn't over the time-stamp before"));
                continue;
            }
            // RFC 4998 5.3: each was made while the one before was still good.
            const auto* next = j + 1 < chain.stamps.size() ? &chain.stamps[j + 1]
                               : i + 1 < chains.size()     ? &chains[i + 1].stamps.front()
                                                           : nullptr;
            const auto then = next ? time_of(next->time_stamp) : Result<WallTime>(now);
            auto checked = check_stamp(stamp.time_stamp, hash, imprint, believed, then ? *then : now);
            if (!checked) {
                verdict.faults.push_back(place(i, j) + checked.error().text);
                continue;
            }
            checked->chain = i;
            if (!verdict.stamps.empty() && checked->time < verdict.stamps.back().time)
                verdict.faults.push_back(place(i, j) + "it is older than the one before");
            if (checked->time > now) verdict.faults.push_back(place(i, j) + "its time hasn't come yet");
            verdict.stamps.push_back(std::move(*checked));
        }
    }
    return verdict;
}

}  // namespace kokuin::evidence
