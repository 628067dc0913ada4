#include "tsa/holding.h"

#include <catch2/catch.hpp>

#include "pki/hash.h"
#include "tests/pki/workshop.h"
#include "tests/support/moment.h"

using namespace kokuin;
using kokuin::testing::moment;

namespace {

/// What of a token counts here.
tsp::Token token_with(pki::Hash imprint, pki::Hash signature, std::optional<pki::Hash> v1,
                      std::optional<pki::Hash> v2) {
    tsp::Token token;
    token.tst_info.hash_oid = pki::oid(imprint);
    token.digest_oid = pki::oid(signature);
    token.signature_oid = pki::rsa_signature_oid(signature);
    const auto named = [](pki::Hash hash) {
        return std::vector{tsp::EssCertId{std::string(pki::oid(hash)), {}, {}, {}}};
    };
    if (v1) token.ess_v1 = named(*v1);
    if (v2) token.ess_v2 = named(*v2);
    return token;
}

}  // namespace

TEST_CASE("a token holds until the first thing that it rests on is given up") {
    using pki::Hash;
    const workshop::Folder folder;
    folder.root("small");
    const auto small = folder.certificate("small");
    folder.must(
        "openssl req -x509 -newkey rsa:3072 -nodes -keyout l.key -out large.pem -subj /CN=L -days 3650");
    const auto large = folder.certificate("large");
    const auto usual = token_with(Hash::sha256, Hash::sha512, Hash::sha1, Hash::sha256);
    const auto because = [](const tsp::Token& token, const pki::Certificate& certificate,
                            const tsa::AlgorithmEnds& ends) {
        const auto holding = tsa::holding_of(token, certificate, ends);
        CHECK(holding.until ==
              (holding.because == "certificate" ? certificate.not_after() : ends.at(holding.because)));
        return holding.because;
    };
    CHECK(because(usual, small, {}) == "certificate");
    const auto soon = moment("2030-01-01");
    const auto later = moment("2031-01-01");
    const auto never = moment("2200-01-01");
    CHECK(because(usual, small, {{"sha256", never}}) == "certificate");
    CHECK(because(usual, small, {{"sha256", soon}}) == "sha256");
    CHECK(because(usual, small, {{"sha384", soon}}) == "certificate");
    CHECK(because(usual, small, {{"sha512", soon}}) == "sha512");
    CHECK(because(usual, small, {{"sha256", later}, {"sha512", soon}}) == "sha512");
    // RSA, by the size of the key.
    CHECK(because(usual, small, {{"rsa2048", soon}}) == "rsa2048");
    CHECK(because(usual, large, {{"rsa2048", soon}}) == "certificate");
    CHECK(because(usual, large, {{"rsa3072", soon}}) == "rsa3072");
    CHECK(because(usual, small, {{"rsa3072", soon}}) == "rsa3072");
    // By two hashes it names its certificate: one of them is enough.
    CHECK(because(usual, small, {{"sha1", soon}}) == "certificate");
    CHECK(because(token_with(Hash::sha512, Hash::sha512, Hash::sha1, {}), small, {{"sha1", soon}}) == "sha1");
    CHECK(because(token_with(Hash::sha512, Hash::sha512, Hash::sha1, Hash::sha256), small,
                  {{"sha1", soon}, {"sha256", later}}) == "sha256");
}
