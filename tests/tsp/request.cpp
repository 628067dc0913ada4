#include "tsa/protocol/request.h"

#include <catch2/catch.hpp>
#include <random>

#include "base/der.h"
#include "tests/tsp/support.h"
#include "tsa/protocol/policy.h"

using namespace kokuin;
using support::hex;
using support::Pki;
using tsp::FailInfo;

namespace {

const std::string sha256_algorithm = "30 0d 06 09 60 86 48 01 65 03 04 02 01 05 00";
const std::string imprint32 = "04 20 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const std::string message_imprint = "30 31 " + sha256_algorithm + imprint32;

// A TimeStampReq with this content.
Bytes request(const std::string& content) {
    return der::tlv(der::sequence_tag, hex(content));
}

FailInfo fault(const Bytes& der) {
    const auto result = tsp::parse_request(der);
    REQUIRE_FALSE(result.ok());
    return result.error().info;
}

tsp::Request parsed(const Bytes& der) {
    auto result = tsp::parse_request(der);
    INFO((result.ok() ? "" : result.error().detail));
    REQUIRE(result.ok());
    return *result;
}

// A request with every field.
Bytes full() {
    return request("02 01 01" + message_imprint + "06 0a 2b 06 01 04 01 8a 0b 01 01 01" +
                   "02 09 00 ff 01 02 03 04 05 06 07" + "01 01 ff" +
                   "a0 1b 30 0b 06 03 2a 03 04 01 01 ff 04 01 2a 30 0c 06 03 2a 03 05 04 05 68 65 6c 6c 6f");
}

}  // namespace

TEST_CASE("what openssl asks for is read field by field") {
    const Pki& pki = Pki::instance();
    pki.must("printf data > data");
    for (const auto hash : {pki::Hash::sha1, pki::Hash::sha256, pki::Hash::sha384, pki::Hash::sha512}) {
        pki.must("openssl ts -query -data data -" + std::string(pki::name(hash)) +
                 " -cert -tspolicy 1.3.6.1.4.1.1291.1.1.1.2 -out q.tsq");
        const Bytes der = pki.read("q.tsq");
        const auto r = parsed(der);
        CHECK(r.hash() == hash);
        CHECK(r.algorithm == der::algorithm(pki::oid(hash), true));
        CHECK(r.imprint == pki::digest(hash, as_view("data")));
        CHECK(r.policy == "1.3.6.1.4.1.1291.1.1.1.2");
        CHECK(r.cert_req);
        REQUIRE(r.nonce.has_value());
        CHECK(r.extensions.empty());
        CHECK(tsp::encode(r) == der);
    }
    pki.must("openssl ts -query -data data -sha256 -no_nonce -out q.tsq");
    const auto bare = parsed(pki.read("q.tsq"));
    CHECK_FALSE(bare.policy);
    CHECK_FALSE(bare.nonce);
    CHECK_FALSE(bare.cert_req);
}

TEST_CASE("what we ask for is read by openssl") {
    tsp::Request r;
    r.hash_oid = pki::oid(pki::Hash::sha512);
    r.imprint = pki::digest(pki::Hash::sha512, as_view("data"));
    r.policy = "1.2.3.4";
    r.nonce = hex("00 ff 00 01");
    r.cert_req = true;
    const Pki& pki = Pki::instance();
    pki.write("ours.tsq", tsp::encode(r));
    const std::string text = pki.must("openssl ts -query -in ours.tsq -text");
    for (const char* words :
         {"Hash Algorithm: sha512", "Policy OID: 1.2.3.4", "Nonce: 0xFF0001", "Certificate required: yes"}) {
        INFO(text);
        CHECK(text.find(words) != std::string::npos);
    }
}

// RFC 3161 2.4.1:
//   TimeStampReq ::= SEQUENCE  { version INTEGER { v1(1) }, messageImprint, reqPolicy TSAPolicyId OPTIONAL,
//     nonce INTEGER OPTIONAL, certReq BOOLEAN DEFAULT FALSE, extensions [0] IMPLICIT Extensions OPTIONAL }
TEST_CASE("all fields of RFC 3161 2.4.1") {
    const auto r = parsed(full());
    CHECK(r.policy == "1.3.6.1.4.1.1291.1.1.1");
    CHECK(*r.nonce == hex("00 ff 01 02 03 04 05 06 07"));
    CHECK(r.cert_req);
    REQUIRE(r.extensions.size() == 2);
    CHECK(r.extensions[0].oid == "1.2.3.4");
    CHECK(r.extensions[0].critical);
    CHECK(r.extensions[0].value == Bytes{0x2a});
    CHECK(r.extensions[1].oid == "1.2.3.5");
    CHECK_FALSE(r.extensions[1].critical);
    CHECK(as_text(r.extensions[1].value) == "hello");
    CHECK(tsp::encode(r) == full());
}

TEST_CASE("nonces of any length and sign are kept as they are, if they are DER") {
    for (const std::string nonce :
         {"00", "01", "7f", "80", "ff", "0080", "ff7f", "8000000000000000", "00ffffffffffffffff"}) {
        const Bytes octets = hex(nonce);
        const auto r = parsed(request("02 01 01" + message_imprint + to_hex(der::integer_octets(octets))));
        CHECK(*r.nonce == octets);
    }
    Bytes large(300, 0x81);
    const auto r = parsed(request("02 01 01" + message_imprint + to_hex(der::integer_octets(large))));
    CHECK(*r.nonce == large);
    for (const std::string nonce : {"02 00", "02 02 00 01", "02 02 ff 80"}) {
        CHECK(fault(request("02 01 01" + message_imprint + nonce)) == FailInfo::bad_data_format);
    }
}

TEST_CASE("parameters of the hash algorithm: absent or NULL") {
    const auto with = [](const std::string& algorithm) {
        return request("02 01 01" + to_hex(der::sequence({hex(algorithm), hex(imprint32)})));
    };
    CHECK(parsed(with("30 0b 06 09 60 86 48 01 65 03 04 02 01")).hash() == pki::Hash::sha256);
    CHECK(fault(with("30 0e 06 09 60 86 48 01 65 03 04 02 01 02 01 00")) == FailInfo::bad_alg);
    CHECK(fault(with("30 0e 06 09 60 86 48 01 65 03 04 02 01 05 01 00")) == FailInfo::bad_alg);
    CHECK(fault(with("30 0f 06 09 60 86 48 01 65 03 04 02 01 05 00 05 00")) == FailInfo::bad_data_format);
    CHECK(fault(with("30 02 05 00")) == FailInfo::bad_data_format);
}

TEST_CASE("the first fault found decides") {
    CHECK(fault({}) == FailInfo::bad_data_format);
    CHECK(fault(request("")) == FailInfo::bad_data_format);
    CHECK(fault(request("02 01 02" + message_imprint)) == FailInfo::bad_request);
    CHECK(fault(request("02 01 00")) == FailInfo::bad_request);  // the version stands first
    CHECK(fault(request("02 01 ff" + message_imprint)) == FailInfo::bad_request);
    CHECK(fault(request("02 02 00 01" + message_imprint)) == FailInfo::bad_data_format);
    CHECK(fault(request("02 01 01")) == FailInfo::bad_data_format);
    // X.690 11.5: DEFAULT values are left out; 11.1: TRUE is FF.
    CHECK(fault(request("02 01 01" + message_imprint + "01 01 00")) == FailInfo::bad_data_format);
    CHECK(fault(request("02 01 01" + message_imprint + "01 01 01")) == FailInfo::bad_data_format);
    // Fields in another order, twice, or of another kind.
    CHECK(fault(request("02 01 01" + message_imprint + "01 01 ff 02 01 05")) == FailInfo::bad_data_format);
    CHECK(fault(request("02 01 01" + message_imprint + "02 01 05 02 01 05")) == FailInfo::bad_data_format);
    CHECK(fault(request("02 01 01" + message_imprint + "a1 00")) == FailInfo::bad_data_format);
    CHECK(fault(request("02 01 01" + message_imprint + "a0 00")) ==
          FailInfo::bad_data_format);  // SIZE (1..MAX)
    // An extension whose critical FALSE is written out.
    CHECK(fault(request("02 01 01" + message_imprint + "a0 0d 30 0b 06 03 2a 03 04 01 01 00 04 01 2a")) ==
          FailInfo::bad_data_format);
    // BER: indefinite length, long form of a short length, constructed OCTET STRING, octets after the end.
    CHECK(fault(hex("30 80 02 01 01" + message_imprint + "00 00")) == FailInfo::bad_data_format);
    CHECK(fault(hex("30 81 36 02 01 01" + message_imprint)) == FailInfo::bad_data_format);
    CHECK(fault(request("02 01 01 30 33" + sha256_algorithm + "24 22" + imprint32)) ==
          FailInfo::bad_data_format);
    Bytes trailing = full();
    trailing.push_back(0);
    CHECK(fault(trailing) == FailInfo::bad_data_format);
}

TEST_CASE("hostile requests end in a value, and what is accepted is DER") {
    std::size_t accepted = 0;
    const auto use = [&](const Bytes& der) {
        const auto result = tsp::parse_request(der);
        if (!result) {
            if (result.error().text.empty() || result.error().detail.empty())
                FAIL("a rejection without words");
            return;
        }
        ++accepted;
        if (tsp::encode(*result) != der) FAIL("accepted, but not DER: " << to_hex(der));
    };
    support::maltreat(full(), use);
    support::maltreat(request("02 01 01" + message_imprint), use);
    CHECK(accepted > 0);  // changes of the imprint, of the nonce, …

    std::mt19937 random(4711);
    for (int round = 0; round < 50'000; ++round) {
        Bytes der = full();
        for (unsigned changes = 1 + random() % 6; changes > 0; --changes) {
            der[random() % der.size()] = static_cast<std::uint8_t>(random());
        }
        const auto result = tsp::parse_request(der);
        if (result && (!result->policy || der::is_oid(*result->policy))) ++accepted;
    }
}

TEST_CASE("a megabyte of anything is refused quickly") {
    CHECK(fault(Bytes(1'000'000, 0x30)) == FailInfo::bad_data_format);
    CHECK(fault(Bytes(1'000'000, 0x00)) == FailInfo::bad_data_format);
    CHECK(fault(der::tlv(der::sequence_tag, Bytes(1'000'000, 0x02))) ==
          FailInfo::bad_request);  // version 0202
}

TEST_CASE("a request is judged under the policies that are offered") {
    tsp::Policy a2;
    a2.name = "a2";
    a2.oid = "1.3.6.1.4.1.1291.1.1.1.1";
    tsp::Policy g;
    g.name = "g";
    g.oid = "1.3.6.1.4.1.1291.1.1.1.2";
    g.hashes = {pki::Hash::sha512};
    const tsp::PolicyRules rules{{&a2, &g}, {"1.2.3.9"}};

    tsp::Request r;
    r.hash_oid = pki::oid(pki::Hash::sha256);
    r.imprint = Bytes(32);
    const auto info = [&] {
        const auto result = tsp::check(r, rules);
        REQUIRE_FALSE(result.ok());
        return result.error().info;
    };
    const auto policy = [&] {
        const auto result = tsp::check(r, rules);
        REQUIRE(result.ok());
        return *result;
    };
    CHECK(policy() == &a2);
    r.policy = g.oid;
    CHECK(info() == FailInfo::bad_alg);  // known, but not under this policy
    r.hash_oid = pki::oid(pki::Hash::sha512);
    CHECK(info() == FailInfo::bad_data_format);  // 32 octets
    r.imprint = Bytes(64);
    CHECK(policy() == &g);
    r.policy = "1.2.3.4";
    CHECK(info() == FailInfo::unaccepted_policy);
    r.policy.reset();
    CHECK(policy() == &a2);
    r.extensions = {{"1.2.3.9", true, {}}};
    CHECK(policy() == &a2);
    r.extensions.push_back({"1.2.3.10", false, {}});
    CHECK(info() == FailInfo::unaccepted_extension);
    r.policy = "1.2.3.4";
    CHECK(info() == FailInfo::unaccepted_policy);  // stands before the extensions
    r.imprint.clear();
    CHECK(info() == FailInfo::bad_data_format);
    r.hash_oid = "1.2.840.113549.2.5";
    CHECK(info() == FailInfo::bad_alg);
    r.hash_oid = pki::oid(pki::Hash::sha1);  // known, never accepted (TSA-1)
    r.imprint = Bytes(20);
    r.policy.reset();
    CHECK(info() == FailInfo::bad_alg);
}

TEST_CASE("names of forms are read back") {
    using tsp::EmbedTac;
    using tsp::EssForm;
    for (const auto form :
         {EmbedTac::none, EmbedTac::signer_attribute, EmbedTac::certificates_v1, EmbedTac::certificates_v2}) {
        CHECK(tsp::embed_tac_from_name(tsp::name(form)) == form);
    }
    for (const auto form : {EssForm::v1, EssForm::v2, EssForm::both})
        CHECK(tsp::ess_form_from_name(tsp::name(form)) == form);
    CHECK_FALSE(tsp::embed_tac_from_name("None"));
    CHECK_FALSE(tsp::ess_form_from_name(""));
}
