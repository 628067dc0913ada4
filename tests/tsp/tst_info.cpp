#include "tsa/protocol/tst_info.h"

#include <catch2/catch.hpp>

#include "base/der.h"
#include "tests/tsp/support.h"

using namespace kokuin;
using support::hex;

namespace {

tsp::TstInfo small() {
    tsp::TstInfo info;
    info.policy = "1.2.3.4";
    info.hash_oid = "2.16.840.1.101.3.4.2.1";
    info.imprint = Bytes(32, 0xaa);
    info.serial = hex("80 01");
    info.gen_time = *from_rfc3339("2026-11-23T12:00:00.340567Z");
    return info;
}

// The DER of a field in the encoding, found by what stands around it.
bool has(const tsp::TstInfo& info, const std::string& part) {
    const std::string whole = to_hex(tsp::encode(info));
    return whole.find(to_hex(hex(part))) != std::string::npos;
}

}  // namespace

// RFC 3161 2.4.2: TSTInfo ::= SEQUENCE { version v1(1), policy, messageImprint, serialNumber, genTime
// GeneralizedTime,
//   accuracy OPTIONAL, ordering BOOLEAN DEFAULT FALSE, nonce OPTIONAL, tsa [0] GeneralName OPTIONAL,
//   extensions [1] }
TEST_CASE("TSTInfo, octet by octet") {
    tsp::TstInfo info = small();
    info.accuracy = seconds{1};
    info.nonce = hex("ff 7f");
    info.tsa = hex("30 00");
    const std::string imprint = to_hex(Bytes(32, 0xaa));
    const Bytes expected =
        der::tlv(der::sequence_tag,
                 hex("02 01 01"        // version
                     "06 03 2a 03 04"  // policy
                     "30 31 30 0d 06 09 60 86 48 01 65 03 04 02 01 05 00 04 20" +
                     imprint +                                                      // messageImprint
                     "02 03 00 80 01"                                               // serialNumber
                     "18 12 32 30 32 36 31 31 32 33 31 32 30 30 30 30 2e 33 34 5a"  // 20261123120000.34Z
                     "30 03 02 01 01"                                               // accuracy: 1 s
                     "02 02 ff 7f"                                                  // nonce
                     "a0 04 a4 02 30 00"));                                         // tsa
    CHECK(to_hex(tsp::encode(info)) == to_hex(expected));
    const auto back = tsp::parse_tst_info(expected);
    REQUIRE(back.ok());
    CHECK(back->policy == "1.2.3.4");
    CHECK(back->serial == hex("80 01"));
    CHECK(back->gen_time == *from_rfc3339("2026-11-23T12:00:00.34Z"));
    CHECK(back->gentime_digits == 2);
    CHECK(back->accuracy == seconds{1});
    CHECK(*back->nonce == hex("ff 7f"));
    CHECK(back->tsa == hex("30 00"));
    CHECK_FALSE(back->ordering);
    CHECK_FALSE(back->has_extensions);
    CHECK(tsp::encode(*back) == expected);
}

// "seconds INTEGER OPTIONAL, millis [0] INTEGER (1..999) OPTIONAL, micros [1] INTEGER (1..999) OPTIONAL"
TEST_CASE("accuracy in parts, the zero ones left out") {
    tsp::TstInfo info = small();
    const auto is = [&](std::int64_t us, const std::string& der) {
        info.accuracy = microseconds{us};
        CHECK(has(info, der));
        const auto back = tsp::parse_tst_info(tsp::encode(info));
        REQUIRE(back.ok());
        CHECK(back->accuracy == microseconds{us});
    };
    is(1'000'000, "5a 30 03 02 01 01");
    is(500'000, "5a 30 04 80 02 01 f4");
    is(1'000, "5a 30 03 80 01 01");
    is(128'000, "5a 30 04 80 02 00 80");
    is(1, "5a 30 03 81 01 01");
    is(200, "5a 30 04 81 02 00 c8");
    is(2'003'004, "5a 30 09 02 01 02 80 01 03 81 01 04");
    is(3600'000'000, "5a 30 04 02 02 0e 10");
    info.accuracy.reset();
    CHECK_FALSE(tsp::parse_tst_info(tsp::encode(info))->accuracy);
}

// "The encoding MUST terminate with a "Z" … MUST NOT include trailing zeros … the decimal point element, if
// present, MUST be the point option "."": 19920521000000Z, 19920622123421Z, 19920722132100.3Z are RFC 3161's
// examples.
TEST_CASE("genTime is truncated to its digits") {
    tsp::TstInfo info = small();
    const auto is = [&](const std::string& time, int digits, const std::string& text) {
        info.gen_time = *from_rfc3339(time);
        info.gentime_digits = digits;
        const auto element = der::tlv(der::generalized_time_tag, as_view(text));
        INFO(text);
        CHECK(has(info, to_hex(element)));
    };
    is("1992-05-21T00:00:00Z", 3, "19920521000000Z");
    is("1992-07-22T13:21:00.3Z", 3, "19920722132100.3Z");
    is("2026-11-23T12:00:00.999999999Z", 0, "20261123120000Z");
    is("2026-11-23T12:00:00.999999999Z", 3, "20261123120000.999Z");
    is("2026-11-23T12:00:00.999999999Z", 6, "20261123120000.999999Z");
    is("2026-11-23T12:00:00.100400Z", 3, "20261123120000.1Z");
    is("2026-11-23T12:00:00.000999Z", 3, "20261123120000Z");
}

TEST_CASE("serial numbers are positive and minimal") {
    tsp::TstInfo info = small();
    const auto is = [&](const std::string& serial, const std::string& der, const std::string& back) {
        info.serial = hex(serial);
        CHECK(has(info, der + "18 12"));
        CHECK(to_hex(tsp::parse_tst_info(tsp::encode(info))->serial) == back);
    };
    is("00 00 01", "02 01 01", "01");
    is("7f", "02 01 7f", "7f");
    is("80", "02 02 00 80", "80");
    is("", "02 01 00", "00");
    is("7fffffffffffffffffffffffffffffffffffffff", "02 14 7fffffffffffffffffffffffffffffffffffffff",
       "7fffffffffffffffffffffffffffffffffffffff");
}

TEST_CASE("the hash algorithm is echoed as it was sent") {
    tsp::TstInfo info = small();
    info.algorithm = hex("30 0b 06 09 60 86 48 01 65 03 04 02 01");  // without NULL
    CHECK(has(info, "30 2f 30 0b 06 09 60 86 48 01 65 03 04 02 01 04 20"));
    CHECK(tsp::parse_tst_info(tsp::encode(info))->algorithm == info.algorithm);
}

TEST_CASE("what foreign tokens have and ours never") {
    const std::string imprint =
        "30 31 30 0d 06 09 60 86 48 01 65 03 04 02 01 05 00 04 20" + to_hex(Bytes(32));
    const auto read = [&](const std::string& serial, const std::string& time, const std::string& rest) {
        return tsp::parse_tst_info(der::tlv(
            der::sequence_tag, hex("02 01 01 06 03 2a 03 04" + imprint + serial +
                                   to_hex(der::tlv(der::generalized_time_tag, as_view(time))) + rest)));
    };
    const auto odd = read("02 04 00 00 00 05", "20261123120000.500Z",
                          "30 03 80 01 00 01 01 00 02 02 00 01 a0 04 82 02 61 62 a1 02 30 00");
    REQUIRE(odd.ok());
    CHECK(odd->serial == Bytes{5});
    CHECK(odd->gen_time == *from_rfc3339("2026-11-23T12:00:00.5Z"));
    CHECK(odd->accuracy == microseconds{0});
    CHECK(odd->tsa.empty());
    CHECK(odd->has_extensions);
    const auto negative = read("02 02 ff 01", "20261123120000Z", "01 01 ff");
    REQUIRE(negative.ok());
    CHECK(negative->negative_serial);
    CHECK(negative->serial == hex("ff 01"));
    CHECK(negative->ordering);
    CHECK_FALSE(read("02 01 01", "20261323120000Z", "").ok());
    CHECK_FALSE(read("02 01 01", "202611231200Z", "").ok());
    CHECK_FALSE(read("02 01 01", "20261123120000.Z", "30 03 80 01 ff").ok());
    CHECK_FALSE(read("02 01 01", "Z", "").ok());
    CHECK_FALSE(read("02 01 01", ".Z", "").ok());
}

TEST_CASE("hostile TSTInfos end in a value") {
    tsp::TstInfo info = small();
    info.accuracy = microseconds{2'003'004};
    info.nonce = hex("00 ff");
    info.ordering = true;
    info.tsa = support::Pki::instance().tsu().subject_der();
    support::maltreat(tsp::encode(info), [](const Bytes& der) {
        const auto result = tsp::parse_tst_info(der);
        if (!result && result.error().text.empty()) FAIL("an error without words");
    });
}
