// How others sign, read strictly (pki/foreign_signature.h); that signatures of theirs are verified is tested
// where time-stamps are (tests/evidence).
#include "pki/foreign_signature.h"

#include <catch2/catch.hpp>

#include "base/der.h"

using namespace kokuin;
using pki::ForeignSignature;
using pki::Hash;

namespace {

constexpr std::string_view pss = "1.2.840.113549.1.1.10";
constexpr std::string_view mgf1 = "1.2.840.113549.1.1.8";

Bytes hash(Hash which) {
    return der::algorithm(pki::oid(which), true);
}
Bytes tagged(unsigned number, const Bytes& content) {
    return der::tlv(der::context(number, true), content);
}
Bytes mask(std::string_view function, const Bytes& of) {
    return der::sequence({der::oid(function), of});
}

}  // namespace

TEST_CASE("the parameters of RSA-PSS say what is left at its default, and what isn't") {
    const auto none = ForeignSignature::read(pss, der::sequence({}));
    REQUIRE(none);
    CHECK(none->kind == ForeignSignature::Kind::rsa_pss);
    CHECK(none->hash == Hash::sha1);
    CHECK(none->mask_hash == Hash::sha1);
    CHECK(none->salt == 20);
    const auto all = ForeignSignature::read(
        pss, der::sequence({tagged(0, hash(Hash::sha256)), tagged(1, mask(mgf1, hash(Hash::sha512))),
                            tagged(2, der::integer(64)), tagged(3, der::integer(1))}));
    REQUIRE(all);
    CHECK(all->hash == Hash::sha256);
    CHECK(all->mask_hash == Hash::sha512);
    CHECK(all->salt == 64);
    CHECK(all->text() == "RSA-PSS with sha256, salt of 64 octets");
}

TEST_CASE("parameters that can't be read, or say what nobody here knows, are refused") {
    const auto bad = GENERATE(values<Bytes>({
        {},
        der::null(),
        der::sequence({tagged(0, der::algorithm("1.2.3", true))}),
        der::sequence({tagged(0, hash(Hash::sha256)), tagged(0, hash(Hash::sha256))}),
        der::sequence({tagged(1, mask("1.2.3", hash(Hash::sha256)))}),
        der::sequence({tagged(1, mask(mgf1, {}))}),
        der::sequence({tagged(2, der::integer(-1))}),
        der::sequence({tagged(2, der::integer(100'000))}),
        der::sequence({tagged(3, der::integer(2))}),
        der::sequence({tagged(2, der::integer(20)), tagged(0, hash(Hash::sha256))}),
        der::sequence({tagged(2, der::integer(20)), der::null()}),
        [] {
            Bytes two = der::sequence({});
            const Bytes more = two;
            two.insert(two.end(), more.begin(), more.end());
            return two;
        }(),
    }));
    INFO(to_hex(bad));
    CHECK_FALSE(ForeignSignature::read(pss, bad));
}

TEST_CASE("RSA PKCS#1 v1.5 is nobody's foreign signature, and ECDSA with SHA-1 is none") {
    for (const char* oid :
         {"1.2.840.113549.1.1.1", "1.2.840.113549.1.1.11", "1.2.840.10045.4.1", "1.3.101.112"})
        CHECK_FALSE(ForeignSignature::read(oid, {}));
    CHECK(ForeignSignature::read("1.2.840.10045.4.3.3", {})->hash == Hash::sha384);
}
