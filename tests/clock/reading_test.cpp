#include "tac/clock/reading.h"

#include <catch2/catch.hpp>

#include "tests/clock/world.h"

using namespace kokuin;
using namespace kokuin::tac::clock;

TEST_CASE("a reading encloses C between two M") {
    world::World world;
    world.read_takes = microseconds(7);
    const Reading reading = world.read();
    CHECK(reading.gap() == microseconds(14));
    CHECK(reading.wall == world.utc() - microseconds(7));
}

TEST_CASE("the kernel's clocks: the boot has a name, nothing sleeps between two looks") {
    const SystemWallClock wall;
    const SystemMonoClock mono;
    const SystemBootClock boot;
    const StampingClock clock(wall, mono, boot);
    CHECK(clock.boot_id().size() == 36);
    CHECK(clock.boot_id() == SystemBootClock().boot_id());
    const Reading first = clock.read();
    const Reading second = clock.read();
    CHECK(first.before <= first.after);
    CHECK(first.after <= second.before);
    CHECK(first.asleep.low <= first.asleep.high);
    CHECK_FALSE(slept_between(first.asleep, second.asleep));
}

TEST_CASE("time asleep is an interval; only disjoint ones prove a suspend") {
    const Asleep a{nanoseconds(0), nanoseconds(100)};
    CHECK_FALSE(slept_between(a, {nanoseconds(100), nanoseconds(150)}));
    CHECK(slept_between(a, {nanoseconds(101), nanoseconds(150)}));
    CHECK(slept_between({nanoseconds(101), nanoseconds(150)}, a));
    CHECK(longest_sleep_between(a, {nanoseconds(50), nanoseconds(150)}) == nanoseconds(150));
    CHECK(longest_sleep_between({}, {}) == nanoseconds(0));
}
