#include "base/der.h"

#include <catch2/catch.hpp>
#include <limits>

using namespace kokuin;

namespace {
Bytes hex(std::string_view text) {
    return *from_hex(text);
}
}  // namespace

TEST_CASE("integers are minimal both ways") {
    for (const std::int64_t value :
         {std::int64_t{0}, std::int64_t{1}, std::int64_t{127}, std::int64_t{128}, std::int64_t{-1},
          std::int64_t{-128}, std::int64_t{-129}, std::int64_t{65535},
          std::numeric_limits<std::int64_t>::max(), std::numeric_limits<std::int64_t>::min()}) {
        const auto encoded = der::integer(value);
        der::Reader reader(encoded);
        CHECK(reader.read_int64("n") == value);
        reader.finish("n");
        CHECK_FALSE(reader.failed());
    }
    CHECK(der::integer(128) == hex("02020080"));
    CHECK(der::integer(-128) == hex("020180"));
    CHECK(der::unsigned_integer(hex("0000ff")) == hex("020200ff"));
    CHECK(der::unsigned_integer({}) == hex("020100"));
    for (const auto* bad : {"0200", "02020001", "0202ff80", "02020000"}) {
        const auto input = hex(bad);
        der::Reader reader(input);
        reader.read_integer("n");
        CHECK(reader.failed());
    }
    const auto long_form = hex("020400000001");
    der::Reader tolerant(long_form, der::Integers::tolerate_long);
    CHECK(tolerant.read_int64("n") == 1);
    const auto too_big = hex("0209008000000000000000");
    der::Reader big(too_big);
    big.read_int64("n");
    CHECK(big.failed());
}

TEST_CASE("lengths must be definite and minimal") {
    for (const auto* bad : {"3080", "30800000", "308100", "30817f", "30820080", "3085000000000100",
                            "3003020101ff02", "30", "3004020101", "1f0101"}) {
        const auto input = hex(bad);
        der::Reader reader(input);
        reader.any();
        reader.finish("the element");
        CHECK(reader.failed());
    }
    const Bytes content(200, 7);
    const auto encoded = der::octets(content);
    der::Reader reader(encoded);
    CHECK(reader.read_octets("o") == content);
}

TEST_CASE("object identifiers") {
    for (const auto* dotted : {"1.3.6.1.4.1.1291.1.1.1.1", "2.16.840.1.101.3.4.2.3", "2.999.1",
                               "0.2.440.200168.1.1.1", "1.2.840.113549.1.9.16.1.4"}) {
        const auto encoded = der::oid(dotted);
        der::Reader reader(encoded);
        CHECK(reader.read_oid("o") == dotted);
        CHECK_FALSE(reader.failed());
    }
    for (const auto* bad :
         {"", "1", "3.1", "1.40", "1..2", "1.2.", "1.02", "a.b", "1.2.99999999999999999999"})
        CHECK_FALSE(der::is_oid(bad));
    for (const auto* bad : {"0600", "06022a80", "0603802a01", "060b2affffffffffffffffff7f"}) {
        const auto input = hex(bad);
        der::Reader reader(input);
        reader.read_oid("o");
        CHECK(reader.failed());
    }
}

TEST_CASE("the first fault stays and says where") {
    const auto input = hex("3006020101010105");
    der::Reader outer(input);
    auto inner = outer.enter(der::sequence_tag, "the list");
    CHECK(inner.read_int64("n") == 1);
    CHECK_FALSE(inner.read_boolean("the flag"));
    inner.read_octets("more");
    REQUIRE(outer.failed());
    CHECK(outer.fault().offset == 5);
    CHECK(outer.fault().what.find("the flag") == 0);
}

TEST_CASE("a set is sorted, text is UTF-8") {
    CHECK(der::set_of({der::integer(2), der::integer(1)}) == hex("3106020101020102"));
    for (const auto* bad : {"0c01ff", "0c02c080", "0c03eda080", "0c04f4908080", "0c01c3"}) {
        const auto input = hex(bad);
        der::Reader reader(input);
        reader.read_utf8("t");
        CHECK(reader.failed());
    }
    const auto good = der::utf8("時刻監査証明書");
    der::Reader reader(good);
    CHECK(reader.read_utf8("t") == "時刻監査証明書");
}
