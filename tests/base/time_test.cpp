#include "base/time.h"

#include <catch2/catch.hpp>
#include <type_traits>

using namespace kokuin;

TEST_CASE("wall and monotonic time do not mix") {
    STATIC_REQUIRE_FALSE(std::is_convertible_v<MonoTime, WallTime>);
    STATIC_REQUIRE_FALSE(std::is_convertible_v<WallTime, MonoTime>);
}

TEST_CASE("GeneralizedTime is truncated and has no trailing zeros (RFC 3161 2.4.2)") {
    const auto time = from_rfc3339("2026-11-23T12:00:07.129999999Z");
    REQUIRE(time);
    CHECK(to_generalized_time(*time, 0) == "20261123120007Z");
    CHECK(to_generalized_time(*time, 2) == "20261123120007.12Z");
    CHECK(to_generalized_time(*time, 3) == "20261123120007.129Z");
    CHECK(to_generalized_time(*from_rfc3339("2026-11-23T12:00:07.100Z"), 3) == "20261123120007.1Z");
    CHECK(to_generalized_time(*from_rfc3339("2026-11-23T12:00:07.0004Z"), 3) == "20261123120007Z");
}

TEST_CASE("only DER GeneralizedTime is read (X.690 11.7)") {
    CHECK(from_generalized_time("20261123120007.129Z") == from_rfc3339("2026-11-23T12:00:07.129Z"));
    for (const auto* bad :
         {"20261123120007.120Z", "20261123120007,1Z", "20261123120007.Z", "20261123120007",
          "20261123120007+0900", "202611231200Z", "20261323120007Z", "20260229120007Z", "20261123240000Z",
          "20161231235960Z", "20261123120007.1234567891Z", "", "Z", "20261123120007Z ", "99991231235959Z"})
        CHECK_FALSE(from_generalized_time(bad));
}

TEST_CASE("RFC 3339 dates and date-times") {
    CHECK(to_rfc3339(WallTime{}, 3) == "1970-01-01T00:00:00.000Z");
    CHECK(to_rfc3339(WallTime(-nanoseconds(1)), 9) == "1969-12-31T23:59:59.999999999Z");
    CHECK(from_rfc3339("2026-11-23") == from_rfc3339("2026-11-23T00:00:00Z"));
    CHECK(from_rfc3339("2026-11-23T09:00:00+09:00") == from_rfc3339("2026-11-23T00:00:00Z"));
    for (const auto* bad : {"2026-11-31", "2026-11-23T", "2026-11-23T25:00:00Z", "2026-11-23T00:00:00",
                            "yesterday", "2026-1-2", "2026-11-23T00:00:00.Z", "2026-11-23T00:00:00+09", "",
                            "9999-02-30", "99999-01-01", "9999-12-31T24:00:00Z"})
        CHECK_FALSE(from_rfc3339(bad));
    CHECK(to_unix_us(from_unix_us(-1)) == -1);
    CHECK(to_unix_us(WallTime(-nanoseconds(1))) == -1);
}

TEST_CASE("all that RFC 3339 allows is a time") {
    // Beyond WallTime: an open end.
    CHECK(from_rfc3339("9999-12-31") == WallTime::max());
    CHECK(from_rfc3339("9999-12-31T23:59:59.999+14:00") == WallTime::max());
    CHECK(from_rfc3339("2262-01-01") == WallTime::max());
    CHECK(from_rfc3339("0001-01-01T00:00:00Z") == WallTime::min());
    CHECK(from_rfc3339("2261-12-31T23:59:59.999999999-23:59"));
    // A leap second is the start of the one after it, wherever the writer's clock hangs.
    const auto after = from_rfc3339("2017-01-01");
    CHECK(from_rfc3339("2016-12-31T23:59:60Z") == after);
    CHECK(from_rfc3339("2016-12-31T23:59:60.75Z") == after);
    CHECK(from_rfc3339("2017-01-01T08:59:60+09:00") == after);
    for (const auto* bad :
         {"2016-12-31T12:00:60Z", "2016-12-30T23:59:60Z", "2016-12-31T23:59:61Z", "2017-01-01T08:59:60Z"})
        CHECK_FALSE(from_rfc3339(bad));
    // More digits than a nanosecond has.
    CHECK(from_rfc3339("2026-11-23T12:00:00.1234567899999Z") ==
          from_rfc3339("2026-11-23T12:00:00.123456789Z"));
}
