#include "tsa/stretches.h"

#include <algorithm>

namespace kokuin::tsa {
namespace {

constexpr std::size_t shortest_worth_a_blob = 48;  // a reference costs 36 octets
constexpr std::size_t signature_octets = 256;      // RSA-2048 (TSA-3)
// An octet is equal by chance in all samples once in 256^7: a run never swallows an octet that varies.
constexpr int samples = 8;

Bytes sample_token(const tsp::TokenProfile& profile, tsp::TstInfo info, int index) {
    // The first octet keeps the INTEGER's length the same in all samples.
    info.serial = random_octets(18);
    info.serial[0] = 0x01;
    info.imprint = random_octets(info.imprint.size());
    // What follows a nonce must make a stretch of its own, so that it is found behind any nonce and behind
    // none.
    info.nonce = random_octets(8);
    // A day that differs in each digit that can, with all fractional digits written.
    info.gen_time =
        WallTime(seconds(1'000'000'000 + 97'654'321 * index) + nanoseconds(111'111'111 * (index + 1)));
    const auto der = encode(info);
    return profile.assemble(der, profile.signed_attributes(der), random_octets(signature_octets));
}

}  // namespace

std::optional<store::Blob> Heads::of(View token, View imprint) {
    const auto at = std::search(token.begin(), token.end(), imprint.begin(), imprint.end());
    if (at == token.end() || at - token.begin() < static_cast<std::ptrdiff_t>(shortest_worth_a_blob))
        return std::nullopt;
    const Bytes head(token.begin(), at);
    const std::lock_guard lock(mutex_);
    if (const auto found = known_.find(head); found != known_.end()) return found->second;
    if (known_.size() >= most) return std::nullopt;
    return known_.emplace(head, store::Blob(head)).first->second;
}

std::optional<store::Digest> digest_in(View token, View tst_info) {
    const auto at = std::search(token.begin(), token.end(), tst_info.begin(), tst_info.end());
    if (at == token.end()) return std::nullopt;
    return store::Digest{std::string(pki::oid(pki::Hash::sha512)), at - token.begin(),
                         static_cast<std::int64_t>(tst_info.size())};
}

std::vector<store::Blob> constant_stretches(const tsp::TokenProfile& profile, const tsp::TstInfo& like) {
    std::vector<Bytes> tokens;
    for (int i = 0; i < samples; ++i) tokens.push_back(sample_token(profile, like, i));
    const auto& first = tokens.front();
    const bool comparable = std::all_of(tokens.begin(), tokens.end(),
                                        [&](const Bytes& token) { return token.size() == first.size(); });
    std::vector<store::Blob> blobs;
    if (!comparable) return blobs;
    std::size_t start = 0;
    for (std::size_t at = 0; at <= first.size(); ++at) {
        const bool same =
            at < first.size() && std::all_of(tokens.begin(), tokens.end(),
                                             [&](const Bytes& token) { return token[at] == first[at]; });
        if (same) continue;
        // The run at the very front holds the token's total length, which a nonce changes: see Heads.
        if (start != 0 && at - start >= shortest_worth_a_blob)
            blobs.emplace_back(Bytes(first.begin() + static_cast<std::ptrdiff_t>(start),
                                     first.begin() + static_cast<std::ptrdiff_t>(at)));
        start = at + 1;
    }
    return blobs;
}

}  // namespace kokuin::tsa
