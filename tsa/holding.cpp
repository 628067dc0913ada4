#include "tsa/holding.h"

#include <array>
#include <optional>
#include <utility>

#include "pki/hash.h"
#include "pki/public_key.h"

namespace kokuin::tsa {
namespace {

constexpr std::array<std::pair<const char*, unsigned>, 3> rsa_sizes{
    {{"rsa2048", 2048}, {"rsa3072", 3072}, {"rsa4096", 4096}}};
constexpr std::array known_hashes{pki::Hash::sha1, pki::Hash::sha256, pki::Hash::sha384, pki::Hash::sha512};

Result<WallTime> read_end(std::string_view text) {
    if (const auto time = from_rfc3339(text)) return *time;
    return Error::usage("no date; allowed: one like \"2035-12-31\" (RFC 3339)");
}

/// Keeps the earlier one.
void keep_earlier(Holding& holding, const AlgorithmEnds& ends, const std::string& name) {
    const auto end = ends.find(name);
    if (end != ends.end() && end->second < holding.until) holding = {end->second, name};
}

std::string name_of(const std::optional<pki::Hash>& hash) {
    return hash ? std::string(pki::name(*hash)) : std::string();
}

/// The hash of the first identifier, which is the TSU's certificate's.
std::string naming_hash(const std::optional<std::vector<tsp::EssCertId>>& ids) {
    return ids && !ids->empty() ? name_of(pki::hash_from_oid(ids->front().hash_oid)) : std::string();
}

}  // namespace

AlgorithmEnds read_algorithm_ends(config::Table table) {
    AlgorithmEnds ends;
    const auto read = [&](const std::string& name) {
        if (const auto end = table.parsed<WallTime>(name, read_end, false)) ends.emplace(name, *end);
    };
    for (const auto hash : known_hashes) read(std::string(pki::name(hash)));
    for (const auto& [name, bits] : rsa_sizes) read(name);
    return ends;
}

Holding holding_of(const tsp::Token& token, const pki::Certificate& certificate, const AlgorithmEnds& ends) {
    Holding holding{certificate.not_after(), "certificate"};
    keep_earlier(holding, ends, name_of(pki::hash_from_oid(token.tst_info.hash_oid)));
    keep_earlier(holding, ends, name_of(pki::hash_from_oid(token.digest_oid)));
    keep_earlier(holding, ends, name_of(pki::hash_from_rsa_signature_oid(token.signature_oid)));
    if (const auto key = pki::PublicKey::from_certificate(certificate))
        for (const auto& [name, bits] : rsa_sizes)
            if (key->bits() <= bits) keep_earlier(holding, ends, name);
    // Whoever would pass another certificate off as the signer's has to do so by both hashes.
    std::optional<Holding> longest;
    for (const auto& name : {naming_hash(token.ess_v1), naming_hash(token.ess_v2)}) {
        if (name.empty()) continue;
        auto with = holding;
        keep_earlier(with, ends, name);
        if (!longest || with.until > longest->until) longest = with;
    }
    return longest ? *longest : holding;
}

}  // namespace kokuin::tsa
