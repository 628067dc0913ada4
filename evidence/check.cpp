#include "evidence/check.h"

#include <algorithm>
#include <utility>

#include "evidence/tree.h"
#include "tsa/protocol/token.h"
#include "tsa/protocol/verify.h"

namespace kokuin::evidence {
namespace {

std::string place(std::size_t chain, std::size_t stamp) {
    return "time-stamp " + std::to_string(stamp + 1) + " of chain " + std::to_string(chain + 1) + ": ";
}

/// What a renewal within a chain is over; empty if it isn't over the time-stamp before.
Bytes renewed_imprint(const Chain& chain, std::size_t stamp) {
    const auto& own = chain.stamps[stamp];
    return climb(own.hash, own.reduced, pki::digest(own.hash, chain.stamps[stamp - 1].time_stamp));
}

/// RFC 4998 5.3: a renewal counts from before what it renews has ended.
void look_for_gap(const Stamped& before, WallTime then, std::vector<std::string>& gaps) {
    if (then >= before.until + seconds(1))
        gaps.push_back("nobody vouched for it from " + to_rfc3339(before.until, 0) +
                       ", when the certificate of " + before.tsa + " ended, to " + to_rfc3339(then, 0));
}

}  // namespace

Result<Stamped> check_stamp(View time_stamp, pki::Hash hash, View imprint, const Believed& believed) {
    if (hash == pki::Hash::sha1) return Error::no("SHA-1 proves nothing");
    const auto token = tsp::parse_token(time_stamp);
    if (!token) return Error::no("it can't be read: " + token.error().text);
    const auto& info = token->tst_info;
    if (info.hash_oid != pki::oid(hash))
        return Error::no("its imprint is of another hash function than " + std::string(pki::name(hash)));
    tsp::Expectations expected;
    expected.imprint = Bytes(imprint.begin(), imprint.end());
    expected.anchors = believed.anchors;
    expected.more_certificates = believed.certificates;
    const auto verified = tsp::verify(*token, expected);
    for (const auto& check : verified.checks) {
        const bool weak = check.outcome == tsp::Outcome::flagged &&
                          (check.check == tsp::Check::signature || check.check == tsp::Check::message_digest);
        const bool unjudged = check.check == tsp::Check::chain && believed.anchors.empty();
        if (weak || (check.outcome == tsp::Outcome::failed && !unjudged))
            return Error::no(std::string(tsp::name(check.check)) + ": " + check.text);
    }
    const auto& spki = verified.signer->spki();
    return Stamped{spki,
                   0,
                   info.gen_time,
                   std::string(pki::name(hash)),
                   verified.signer->subject_text(),
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
            auto checked = check_stamp(stamp.time_stamp, hash, imprint, believed);
            if (!checked) {
                verdict.faults.push_back(place(i, j) + checked.error().text);
                continue;
            }
            checked->chain = i;
            if (!verdict.stamps.empty()) {
                const auto& before = verdict.stamps.back();
                // A second: some TSAs write no fractions.
                if (checked->time + seconds(1) < before.time)
                    verdict.faults.push_back(place(i, j) + "it is older than the one before");
                look_for_gap(before, checked->time, verdict.gaps);
            }
            if (checked->time > now) verdict.faults.push_back(place(i, j) + "its time hasn't come yet");
            verdict.stamps.push_back(std::move(*checked));
        }
    }
    if (!verdict.stamps.empty()) look_for_gap(verdict.stamps.back(), now, verdict.gaps);
    return verdict;
}

}  // namespace kokuin::evidence
