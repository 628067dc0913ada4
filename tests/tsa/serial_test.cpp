#include "tsa/serial.h"

#include <catch2/catch.hpp>
#include <set>

#include "base/der.h"

using namespace kokuin;

TEST_CASE("serial numbers are positive, at most 159 bits, minimal, and ordered by time in front") {
    const auto early = *from_rfc3339("2026-11-23T12:00:00Z");
    for (const auto time :
         {early, *from_rfc3339("1970-01-01"), *from_rfc3339("1900-01-01"), *from_rfc3339("2261-12-31")}) {
        const auto serial = tsa::new_serial(time);
        CHECK(serial.size() * 8 <= 159);
        CHECK(serial[0] != 0);
        CHECK((serial[0] & 0x80U) == 0);
        CHECK(der::unsigned_integer(serial).size() == serial.size() + 2);
    }
    CHECK(tsa::new_serial(early) < tsa::new_serial(early + milliseconds(1)));
}

TEST_CASE("at one moment no serial number repeats") {
    const auto now = *from_rfc3339("2026-11-23T12:00:00Z");
    std::set<Bytes> seen;
    for (int i = 0; i < 10'000; ++i) CHECK(seen.insert(tsa::new_serial(now)).second);
}
