#include "pki/hash.h"

#include <catch2/catch.hpp>

using namespace kokuin;

TEST_CASE("digests are those of FIPS 180-4's example \"abc\"") {
    const View abc = as_view("abc");
    CHECK(to_hex(pki::digest(pki::Hash::sha1, abc)) == "a9993e364706816aba3e25717850c26c9cd0d89d");
    CHECK(to_hex(pki::digest(pki::Hash::sha256, abc)) ==
          "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    CHECK(to_hex(pki::digest(pki::Hash::sha384, abc)).substr(0, 32) == "cb00753f45a35e8bb5a03d699ac65007");
    CHECK(to_hex(pki::digest(pki::Hash::sha512, abc)).substr(0, 32) == "ddaf35a193617abacc417349ae204131");
    CHECK(to_hex(pki::digest(pki::Hash::sha256, {})).substr(0, 8) == "e3b0c442");
}

TEST_CASE("hashes are found by OID and by name, and others are not") {
    for (const auto hash : {pki::Hash::sha1, pki::Hash::sha256, pki::Hash::sha384, pki::Hash::sha512}) {
        CHECK(pki::hash_from_oid(pki::oid(hash)) == hash);
        CHECK(pki::hash_from_rsa_signature_oid(pki::rsa_signature_oid(hash)) == hash);
        CHECK(pki::hash_from_name(pki::name(hash)) == hash);
        CHECK(pki::digest(hash, {}).size() == pki::length(hash));
    }
    CHECK(pki::hash_from_name("SHA-256") == pki::Hash::sha256);
    CHECK(pki::hash_from_name("SHA512") == pki::Hash::sha512);
    CHECK_FALSE(pki::hash_from_name("md5"));
    CHECK_FALSE(pki::hash_from_oid("1.2.840.113549.2.5"));                  // MD5
    CHECK_FALSE(pki::hash_from_rsa_signature_oid("1.2.840.113549.1.1.1"));  // rsaEncryption names no hash
    CHECK(pki::rsa_signature_oid(pki::Hash::sha512) == "1.2.840.113549.1.1.13");
}
