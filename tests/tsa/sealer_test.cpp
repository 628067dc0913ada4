// When a sealed month needs what. That it gets it is tests/integration/seals_test.py's.
#include "tsa/sealer.h"

#include <catch2/catch.hpp>

using namespace kokuin;
using namespace std::chrono_literals;
using tsa::lapse;
using tsa::next_step;
using tsa::SealStep;

namespace {

constexpr auto day = std::chrono::hours(24);

evidence::Seal sealed(WallTime stamped, nanoseconds life, pki::Hash hash = pki::Hash::sha512) {
    evidence::Seal seal{"2026-10",     7, {}, evidence::Month({0, 0, 256}, Bytes{1}, {}), stamped,
                        stamped + life};
    seal.month = evidence::Month({0, 0, 256}, Bytes{1}, {{hash, {}, {Bytes{2}}}});
    return seal;
}

}  // namespace

TEST_CASE("a time-stamp is renewed before its certificate ends, and not again and again") {
    const WallTime t0(std::chrono::hours(24 * 20'000));
    const auto step = [&](nanoseconds life, nanoseconds before, nanoseconds at) {
        return next_step(sealed(t0, life), pki::Hash::sha512, before, t0 + at);
    };
    CHECK(step(1000 * day, 180 * day, 820 * day - 1s) == SealStep::none);
    CHECK(step(1000 * day, 180 * day, 820 * day) == SealStep::renew);
    CHECK(step(1000 * day, 180 * day, 2000 * day) == SealStep::renew);  // too late; better than never
    // A certificate that is about to end anyway: half of what was left.
    CHECK(step(10 * day, 180 * day, 0s) == SealStep::none);
    CHECK(step(10 * day, 180 * day, 5 * day - 1s) == SealStep::none);
    CHECK(step(10 * day, 180 * day, 5 * day) == SealStep::renew);
    // A clock that was set back wants nothing.
    CHECK(step(1000 * day, 180 * day, -1 * day) == SealStep::none);
}

TEST_CASE("a time-stamp that comes when the one before has ended is told") {
    const WallTime t0(std::chrono::hours(24 * 20'000));
    const auto seal = sealed(t0, 10 * day);
    CHECK_FALSE(lapse(seal, t0 + 10 * day));
    const auto said = lapse(seal, t0 + 11 * day);
    REQUIRE(said);
    CHECK(*said ==
          "TOO LATE: the one before ended on 2024-10-14T00:00:00Z, and nobody vouches for the month from "
          "then until 2024-10-15T00:00:00Z");
    const evidence::Seal none{"2026-10", 7, {}, evidence::Month({0, 0, 256}, Bytes{1}, {}), {}, {}};
    CHECK_FALSE(lapse(none, t0));
}

TEST_CASE("a month without a time-stamp gets one; another hash function wants another tree") {
    const WallTime t0(std::chrono::hours(24 * 20'000));
    const evidence::Seal none{"2026-10", 7, {}, evidence::Month({0, 0, 256}, Bytes{1}, {}), {}, {}};
    CHECK(next_step(none, pki::Hash::sha512, day, t0) == SealStep::stamp);
    CHECK(next_step(sealed(t0, 1000 * day, pki::Hash::sha256), pki::Hash::sha512, day, t0) ==
          SealStep::rehash);
    CHECK(next_step(sealed(t0, 1000 * day, pki::Hash::sha256), pki::Hash::sha256, day, t0) == SealStep::none);
}
