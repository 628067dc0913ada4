#include "tac/tac.h"

#include <catch2/catch.hpp>
#include <random>

#include "base/der.h"
#include "pki/public_key.h"
#include "tests/tac/town.h"

using namespace kokuin;
using namespace kokuin::tac;
using town::Audit;

TEST_CASE("what is encoded is decoded to the same value and the same octets") {
    Audit audit;
    SECTION("plain") {}
    SECTION("behind, with leap seconds and every other choice") {
        audit.measured(-microseconds(499'999));
        audit.tac.leap_events = {{*from_rfc3339("2027-01-01"), 1}, {*from_rfc3339("2027-07-01"), -1}};
        audit.tac.policies.emplace_back("1.3.6.1.4.1.955.1.18.1.2");
        audit.tac.max_delay.reset();
        audit.tac.digest_algorithm = plain(pki::Hash::sha512);
        audit.tac.holder_digest = Bytes(64, 9);
    }
    SECTION("after the 32 bits of 2036") {
        set_validity(audit.tac, *from_rfc3339("2036-02-07T06:28:16.000001Z"), seconds(3));
    }
    SECTION("an offset of days") {
        audit.measured(-std::chrono::hours(26) - microseconds(1));
    }
    SECTION("an offset of 56 years") {
        audit.measured(-std::chrono::hours(24 * 365 * 56));
    }
    SECTION("an order to stop") {
        audit.measured(seconds(2), nanoseconds(0));
    }
    const Bytes der = audit.der();
    const auto decoded = decode(der);
    INFO((decoded.ok() ? "" : decoded.error().text));
    REQUIRE(decoded.ok());
    CHECK(decoded->der == der);
    CHECK(decoded->info == *encode_info(audit.tac));
    // SET OF sorts the leap seconds; these two stand in order already.
    CHECK(decoded->tac == audit.tac);
    CHECK(*encode_info(decoded->tac) == decoded->info);
    CHECK(assemble(decoded->info, decoded->outer_algorithm, decoded->signature) == der);
    CHECK(decoded->outer_algorithm == audit.tac.signature_algorithm);
}

TEST_CASE("the stock openssl reads it, and finds the profile's fields in their order") {
    Audit audit;
    audit.measured(-microseconds(12'345));
    audit.tac.leap_events = {{*from_rfc3339("2027-01-01"), 1}};
    town::folder().write("one.tac", audit.der());
    const std::string out = town::folder().must("openssl asn1parse -inform der -in one.tac");
    CHECK(out.find("BAD INTEGER") == std::string::npos);
    std::size_t at = 0;
    for (const char* wanted : {"INTEGER           :01",
                               "cont [ 1 ]",
                               "cont [ 4 ]",
                               "cont [ 2 ]",
                               "ENUMERATED        :01",
                               ":sha256\n",
                               "cont [ 0 ]",
                               "cont [ 4 ]",
                               ":sha256WithRSAEncryption",
                               "NULL",
                               "INTEGER           :010203",
                               "GENERALIZEDTIME",
                               "GENERALIZEDTIME",
                               ":1.3.6.1.4.1.601.10.4.1",
                               "INTEGER           :3039",
                               "INTEGER           :-01",
                               "INTEGER           :0FA0",
                               "INTEGER           :01",
                               ":1.3.6.1.4.1.601.10.4.2",
                               ":1.3.6.1.4.1.955.1.18.1.1",
                               "cont [ 0 ]",
                               "INTEGER           :07A120",
                               "cont [ 1 ]",
                               "INTEGER           :0186A0",
                               ":X509v3 Authority Key Identifier",
                               ":X509v3 No Revocation Available",
                               "[HEX DUMP]:0500",
                               ":sha256WithRSAEncryption",
                               "BIT STRING"}) {
        const auto found = out.find(wanted, at);
        INFO("looking for '" << wanted << "' in\n" << out);
        REQUIRE(found != std::string::npos);
        at = found + 1;
    }
    CHECK(out.find(":TRUE") == std::string::npos);  // both extensions MUST be non-critical
}

TEST_CASE("the signature is one that openssl verifies") {
    const Audit audit;
    const auto decoded = decode(audit.der());
    REQUIRE(decoded.ok());
    town::folder().write("one.info", decoded->info);
    town::folder().write("one.sig", decoded->signature);
    town::folder().must("openssl x509 -in taa.pem -pubkey -noout > taa.pub");
    CHECK(town::folder().must("openssl dgst -sha256 -verify taa.pub -signature one.sig one.info") ==
          "Verified OK\n");
}

TEST_CASE("what the profile doesn't have isn't encoded") {
    Audit audit;
    Tac& tac = audit.tac;
    const auto refused = [&] {
        const auto info = encode_info(tac);
        REQUIRE_FALSE(info.ok());
        CHECK(info.error().kind == Error::Kind::usage);
        return info.error().text;
    };
    SECTION("SHA-1 signature") {
        tac.signature_algorithm = rsa_with(pki::Hash::sha1);
    }
    SECTION("signature without NULL") {
        tac.signature_algorithm.null_parameters = false;
    }
    SECTION("SHA-1 digest") {
        tac.digest_algorithm = plain(pki::Hash::sha1), tac.holder_digest = Bytes(20, 1);
    }
    SECTION("digest length") {
        tac.holder_digest.pop_back();
    }
    SECTION("holder") {
        tac.holder_name = {1, 2, 3};
    }
    SECTION("issuer") {
        tac.issuer_name.push_back(0);
    }
    SECTION("no serial") {
        tac.serial.clear();
    }
    SECTION("serial zero") {
        tac.serial = {0};
    }
    SECTION("negative serial") {
        tac.serial = {0x80};
    }
    SECTION("padded serial") {
        tac.serial = {0, 1};
    }
    SECTION("long serial") {
        tac.serial = Bytes(21, 1);
    }
    SECTION("times apart") {
        tac.not_after += seconds(1);
    }
    SECTION("start apart") {
        tac.not_before -= seconds(1);
    }
    SECTION("ends before it starts") {
        set_validity(tac, tac.ntp_time, -seconds(1));
    }
    SECTION("nanoseconds") {
        tac.ntp_time += nanoseconds(1);
    }
    SECTION("delay") {
        tac.delay = microseconds(-1);
    }
    SECTION("limit") {
        tac.max_offset = microseconds(-1);
    }
    SECTION("no policy") {
        tac.policies.clear();
    }
    SECTION("bad policy") {
        tac.policies = {"1.2.x"};
    }
    SECTION("leap") {
        tac.leap_events = {{tac.not_after, 2}};
    }
    SECTION("no AKI") {
        tac.authority_key.reset();
    }
    SECTION("half an AKI") {
        tac.authority_key->serial.clear();
    }
    SECTION("no noRevAvail") {
        tac.no_rev_avail = false;
    }
    SECTION("critical") {
        tac.unknown_critical = {"1.2.3"};
    }
    CHECK(refused().find("TAC: ") == 0);
}

TEST_CASE("validity: times agree by construction") {
    Tac tac;
    set_validity(tac, *from_rfc3339("2026-11-23T12:00:00.123456789Z"), std::chrono::hours(25));
    CHECK(to_rfc3339(tac.ntp_time, 9) == "2026-11-23T12:00:00.123456000Z");
    CHECK(to_rfc3339(tac.not_before, 9) == "2026-11-23T12:00:00.000000000Z");
    CHECK(to_rfc3339(tac.expiration, 9) == "2026-11-24T13:00:00.123456000Z");
    CHECK(to_rfc3339(tac.not_after, 9) == "2026-11-24T13:00:00.000000000Z");
    set_validity(tac, tac.ntp_time, nanoseconds(0));
    CHECK(tac.not_before == tac.not_after);
    CHECK(tac.ntp_time == tac.expiration);
}

TEST_CASE("serials for people") {
    CHECK(serial_hex(Bytes{0x00, 0x0a, 0xbc}) == "abc");
    CHECK(serial_hex(Bytes{0x00}) == "0");
    CHECK(serial_hex(Bytes{}) == "0");
    CHECK(serial_hex(Bytes{0xc5, 0xda}) == "c5da");
}

namespace {

Bytes number(std::initializer_list<std::uint8_t> content) {
    return der::tlv(der::integer_tag, Bytes(content));
}

/// The metrics and the policy replaced by these values; all else from a good TAC, unsigned.
Result<SignedTac> with(const Bytes& metrics, const Bytes& policy) {
    const Audit audit;
    const Bytes info = *encode_info(audit.tac);
    der::Reader outer(info);
    der::Reader members = outer.enter(der::sequence_tag, "info");
    Bytes content;
    for (int i = 0; i < 6; ++i) append(content, members.any().whole);
    append(content, der::sequence({der::sequence({der::oid(oid_timing_metrics), der::set_of({metrics})}),
                                   der::sequence({der::oid(oid_timing_policy), der::set_of({policy})})}));
    return decode(
        assemble(der::tlv(der::sequence_tag, content), audit.tac.signature_algorithm, Bytes(256, 1)));
}
Bytes big(const Bytes& whole, const Bytes& fraction) {
    return der::sequence({whole, fraction});
}
const Bytes zero = number({0});
const Bytes some_time = big(number({0x00, 0xea, 0x1f, 0x5f, 0x86}), zero);
const Bytes no_time = big(zero, zero);
const Bytes some_policy = der::sequence({der::sequence({der::oid("1.2.3")})});
Bytes metrics(const Bytes& ntp, const Bytes& offset, const Bytes& delay, const Bytes& expiration,
              const Bytes& more = {}) {
    return der::sequence({ntp, offset, delay, expiration, more});
}

}  // namespace

TEST_CASE("the field's numbers: four fixed octets, seconds of the upper half negative") {
    const Bytes padded = number({0, 0, 0, 0});
    const Bytes old_time = big(number({0xc5, 0xda, 0x35, 0x5b}), padded);
    const Bytes offset = der::sequence({padded, number({0, 0, 0x68, 0xb9}), number({0xff})});
    const auto tac =
        with(metrics(old_time, offset, big(padded, number({0, 2, 0x95, 0xfc})), old_time), some_policy);
    INFO((tac.ok() ? "" : tac.error().text));
    REQUIRE(tac.ok());
    CHECK(to_rfc3339(tac->tac.ntp_time, 0) == "2005-03-10T02:54:19Z");
    CHECK(tac->tac.offset == -microseconds(0x68b9));
    CHECK(tac->tac.delay == microseconds(0x295fc));
    CHECK_FALSE(tac->tac.authority_key);
    CHECK_FALSE(tac->tac.no_rev_avail);
}

TEST_CASE("what has no meaning is malformed") {
    const auto bad = [](const Bytes& m, const Bytes& p = some_policy) {
        const auto tac = with(m, p);
        REQUIRE_FALSE(tac.ok());
        CHECK(tac.error().kind == Error::Kind::no);
        return tac.error().text;
    };
    using Catch::Contains;
    CHECK(with(metrics(some_time, no_time, no_time, some_time), some_policy).ok());
    CHECK_THAT(bad(metrics(no_time, no_time, no_time, some_time)), Contains("ntpTime"));
    CHECK_THAT(bad(metrics(some_time, no_time, no_time, big(number({0x7f, 0xff, 0xff, 0xff, 0xff}), zero))),
               Contains("expiration"));
    CHECK_THAT(bad(metrics(some_time, big(number({0xff, 0xff}), zero), no_time, some_time)),
               Contains("negative seconds"));
    CHECK_THAT(bad(metrics(some_time, big(zero, number({0x0f, 0x42, 0x40})), no_time, some_time)),
               Contains("fractionalSeconds"));
    CHECK_THAT(bad(metrics(some_time, big(zero, number({0xff})), no_time, some_time)),
               Contains("fractionalSeconds"));
    CHECK_THAT(bad(metrics(some_time, der::sequence({zero, zero, number({1})}), no_time, some_time)),
               Contains("sign"));
    CHECK_THAT(bad(metrics(some_time, big(Bytes(der::tlv(der::integer_tag, Bytes(9, 1))), zero), no_time,
                           some_time)),
               Contains("64 bits"));
    CHECK_THAT(
        bad(metrics(some_time, no_time, no_time, some_time, der::set_of({der::sequence({some_time, zero})}))),
        Contains("action"));
    CHECK_THAT(bad(metrics(some_time, no_time, no_time, some_time, der::null())), Contains("TimingMetrics"));
    CHECK_THAT(bad(metrics(some_time, no_time, no_time, some_time), der::sequence({der::sequence({})})),
               Contains("policyID"));
    const Bytes negative = der::sequence({zero, number({1}), number({0xff})});
    CHECK_THAT(
        bad(metrics(some_time, no_time, no_time, some_time),
            der::sequence({der::sequence({der::oid("1.2.3")}), der::tlv(der::context(0, true), negative)})),
        Contains("maxOffset"));
}

TEST_CASE("no damage makes the decoder crash, and none goes unnoticed by both decoder and signature") {
    const Audit audit;
    const Bytes der = audit.der();
    const auto key = *pki::PublicKey::from_certificate(town::certificate("taa"));
    for (std::size_t length = 0; length < der.size(); ++length)
        CHECK_FALSE(decode(View(der).first(length)).ok());
    Bytes longer = der;
    longer.push_back(0);
    CHECK_FALSE(decode(longer).ok());
    CHECK_FALSE(decode(Bytes(20'000, 0x30)).ok());
    const SignedTac whole = *decode(der);
    std::mt19937 random(7);
    for (std::size_t at = 0; at < der.size(); ++at) {
        Bytes damaged = der;
        damaged[at] ^= static_cast<std::uint8_t>(1 + random() % 255);
        const auto decoded = decode(damaged);
        if (!decoded || !(decoded->outer_algorithm == whole.outer_algorithm)) continue;
        if (key.verify(pki::Hash::sha256, decoded->info, decoded->signature)) FAIL("octet " << at);
    }
}
