#include "tac/clock/bound.h"

#include <catch2/catch.hpp>
#include <chrono>

#include "tests/clock/world.h"

using namespace kokuin;
using namespace kokuin::tac::clock;
using std::chrono::hours;
using std::chrono::minutes;
using world::World;

namespace {

constexpr nanoseconds u = milliseconds(32);

/// What a TAA would say now about the clock of this world; wrong by `wrong`.
Evidence audit(World& world, nanoseconds wrong = nanoseconds(0), Source source = Source::tac,
               nanoseconds life = hours(25)) {
    Evidence evidence;
    evidence.source = source;
    evidence.at = world.read();
    evidence.error = world.error_read() + wrong;
    evidence.uncertainty = u;
    evidence.good_until = evidence.at.before + life;
    return evidence;
}

bool holds(const Bound& bound, const World& world) {
    return bound.state == Bound::State::known && bound.low <= world.error_read() &&
           world.error_read() <= bound.high;
}

bool near(nanoseconds a, nanoseconds b, nanoseconds by = microseconds(20)) {
    return std::chrono::abs(a - b) <= by;
}

}  // namespace

TEST_CASE("without evidence nothing is known") {
    World world;
    const ErrorBound error;
    CHECK(error.at(world.read()).state == Bound::State::no_evidence);
    CHECK(error.lasts(world.read(), seconds(1)) == nanoseconds(0));
}

TEST_CASE("a bound starts at the evidence's uncertainty and widens by 50 ppm") {
    World world;
    world.step_c(milliseconds(10));
    ErrorBound error;
    CHECK(error.add(audit(world)) == ErrorBound::Added::agrees);
    Bound bound = error.at(world.read());
    CHECK(bound.by_tac);
    CHECK_FALSE(bound.by_reference);
    CHECK(near(bound.low, milliseconds(10) - u));
    CHECK(near(bound.high, milliseconds(10) + u));
    CHECK(near(bound.largest(), milliseconds(42)));
    world.advance(hours(1));
    bound = error.at(world.read());
    CHECK(near(bound.largest(), milliseconds(42) + milliseconds(180)));
    CHECK(holds(bound, world));
}

TEST_CASE("the gaps of both readings are in the bound") {
    World world;
    world.read_takes = milliseconds(3);
    ErrorBound error;
    error.add(audit(world));
    const Bound bound = error.at(world.read());
    // Each C may lie anywhere in its 6 ms.
    CHECK(bound.high - bound.low >= 2 * u + milliseconds(12));
    CHECK(holds(bound, world));
}

TEST_CASE("a step of C shows at the very next reading, and so does its way back") {
    const auto by = GENERATE(as<nanoseconds>(), seconds(2), -seconds(2), hours(26), -hours(26),
                             milliseconds(900), -milliseconds(900));
    World world;
    ErrorBound error;
    error.add(audit(world));
    world.advance(seconds(5));
    const nanoseconds before = error.at(world.read()).largest();
    world.step_c(by);
    const Bound bound = error.at(world.read());
    CHECK(holds(bound, world));
    CHECK(near(bound.largest(), std::chrono::abs(by) + before, milliseconds(1)));
    world.step_c(-by);
    CHECK(near(error.at(world.read()).largest(), before, milliseconds(1)));
}

TEST_CASE("a slew of C shows too") {
    World world;
    ErrorBound error;
    error.add(audit(world));
    world.rate_c = 500e-6;  // what adjtime does at most
    world.advance(minutes(10));
    const Bound bound = error.at(world.read());
    CHECK(holds(bound, world));
    CHECK(bound.low > milliseconds(300) - u - milliseconds(31));
}

TEST_CASE("a suspend voids all evidence, a new audit heals") {
    World world;
    ErrorBound error;
    error.add(audit(world));
    world.suspend(milliseconds(1));
    CHECK(error.at(world.read()).state == Bound::State::slept);
    CHECK(error.lasts(world.read(), seconds(1)) == nanoseconds(0));
    world.suspend(hours(9));
    CHECK(error.at(world.read()).state == Bound::State::slept);
    CHECK(error.add(audit(world)) == ErrorBound::Added::agrees);
    CHECK(error.basis()->pieces.size() == 1);
    CHECK(holds(error.at(world.read()), world));
}

TEST_CASE("the bound doesn't trust that there was no sleep shorter than its looks can tell") {
    World world;
    ErrorBound error;
    error.add(audit(world));
    Reading now = world.read();
    const nanoseconds sharp = error.at(now).high;
    now.asleep.high += milliseconds(5);
    CHECK(error.at(now).high == sharp + milliseconds(5));
}

TEST_CASE("evidence ends by M, whatever C says") {
    World world;
    ErrorBound error;
    error.add(audit(world, nanoseconds(0), Source::tac, hours(1)));
    world.advance(minutes(59));
    CHECK(holds(error.at(world.read()), world));
    world.advance(minutes(2));
    world.step_c(-hours(1));
    CHECK(error.at(world.read()).state == Bound::State::no_evidence);
}

TEST_CASE("the rate is learnt from successive TACs, and only as well as they tell") {
    World world;
    world.rate_m = 30e-6;
    ErrorBound error;
    error.add(audit(world));
    CHECK_FALSE(error.rate().learnt);
    world.advance(minutes(10));
    error.add(audit(world));
    // 64 ms in 600 s tell nothing better than 50 ppm.
    CHECK_FALSE(error.rate().learnt);
    CHECK(error.rate().rho == 50e-6);
    world.advance(hours(2));
    error.add(audit(world, milliseconds(20)));
    REQUIRE(error.rate().learnt);
    CHECK(error.rate().rho == Approx(64e-3 / 7800 + 3e-6).epsilon(0.01));
    CHECK(std::abs(error.rate().f + 30e-6) < error.rate().rho);
    for (int i = 0; i < 10; ++i) {
        world.advance(hours(2));
        CHECK(holds(error.at(world.read()), world));
        CHECK(error.add(audit(world)) == ErrorBound::Added::agrees);
    }
    CHECK(error.rate().rho == Approx(5e-6));
    CHECK(error.rate().f == Approx(-30e-6).margin(2e-6));
    world.advance(hours(20));
    const Bound bound = error.at(world.read());
    CHECK(holds(bound, world));
    CHECK(bound.largest() < milliseconds(600));
}

TEST_CASE("what is older than its memory teaches nothing") {
    World world;
    ErrorBound error;
    error.add(audit(world));
    world.advance(hours(27));
    error.add(audit(world));
    CHECK_FALSE(error.rate().learnt);
}

TEST_CASE("a missed prediction forgets the rate and is a contradiction until another audit settles it") {
    World world;
    ErrorBound error;
    error.add(audit(world));
    world.advance(hours(3));
    error.add(audit(world));
    world.advance(hours(1));
    CHECK(error.rate().learnt);
    world.pause(seconds(10));  // nothing tells, but C has gained 10 s on M
    world.advance(minutes(1));
    CHECK(error.add(audit(world)) == ErrorBound::Added::misses);
    CHECK_FALSE(error.rate().learnt);
    CHECK(error.rate().rho == 50e-6);
    CHECK(error.at(world.read()).state == Bound::State::contradiction);
    CHECK(error.lasts(world.read(), seconds(1)) == nanoseconds(0));
    world.advance(minutes(1));
    CHECK(error.add(audit(world)) == ErrorBound::Added::agrees);
    CHECK(holds(error.at(world.read()), world));
}

TEST_CASE("a miss that 50 ppm explain is no contradiction") {
    World world;
    ErrorBound error;
    for (int i = 0; i < 12; ++i) {
        error.add(audit(world));
        world.advance(hours(2));
    }
    CHECK(error.rate().rho == Approx(5e-6));
    world.rate_m = 25e-6;
    world.advance(hours(2));
    CHECK(error.add(audit(world)) == ErrorBound::Added::misses);
    CHECK(error.rate().rho == 50e-6);
    CHECK(holds(error.at(world.read()), world));
}

TEST_CASE("two sources must agree") {
    World world;
    ErrorBound error;
    error.add(audit(world, milliseconds(20)));
    error.add(audit(world, -milliseconds(20), Source::reference));
    Bound bound = error.at(world.read());
    REQUIRE(bound.state == Bound::State::known);
    CHECK(bound.by_tac);
    CHECK(bound.by_reference);
    CHECK(near(bound.largest(), milliseconds(12)));
    error.add(audit(world, milliseconds(500), Source::reference));
    CHECK(error.at(world.read()).state == Bound::State::contradiction);
}

TEST_CASE("evidence that isn't newer is ignored") {
    World world;
    ErrorBound error;
    const Evidence old = audit(world);
    world.advance(seconds(1));
    error.add(audit(world));
    CHECK(error.add(old) == ErrorBound::Added::older);
    CHECK(error.basis()->pieces.size() == 1);
}

TEST_CASE("evidence also tells about a reading shortly before it") {
    World world;
    ErrorBound error;
    const Reading stamped = world.read();
    const nanoseconds then = world.error_read();
    world.advance(milliseconds(40));
    error.add(audit(world));
    const Bound bound = error.at(stamped);
    REQUIRE(bound.state == Bound::State::known);
    CHECK(bound.low <= then);
    CHECK(then <= bound.high);
    CHECK(near(bound.largest(), u));
}

TEST_CASE("leap seconds are counted when evidence is carried over them") {
    const int direction = GENERATE(1, -1);
    World world;
    ErrorBound error;
    error.add(audit(world));
    const LeapSecond leap{std::chrono::ceil<seconds>(world.utc() + hours(1)), direction};
    error.announce(leap);
    error.announce(leap);
    CHECK(error.basis()->leaps.size() == 1);

    CHECK_FALSE(error.basis()->near_leap(world.read(), error.at(world.read())));
    world.advance(leap.midnight - milliseconds(500) - world.utc());
    CHECK(error.basis()->near_leap(world.read(), error.at(world.read())));
    world.advance(seconds(2) - (direction < 0 ? seconds(1) : seconds(0)));
    world.leap(direction);
    world.step_c(-seconds(direction));  // the kernel does the same to C
    world.advance(seconds(5));
    const Bound bound = error.at(world.read());
    CHECK_FALSE(error.basis()->near_leap(world.read(), bound));
    CHECK(holds(bound, world));
    CHECK(bound.largest() < milliseconds(300));

    // A clock that missed the leap second is known to be off by one.
    world.step_c(seconds(direction));
    const Bound missed = error.at(world.read());
    CHECK(holds(missed, world));
    CHECK(missed.largest() > milliseconds(900));
    CHECK(error.add(audit(world)) == ErrorBound::Added::agrees);
}

TEST_CASE("near a leap second counts the doubt about C in") {
    World world;
    ErrorBound error;
    world.step_c(milliseconds(300));
    error.add(audit(world));
    const LeapSecond leap{std::chrono::ceil<seconds>(world.utc() + minutes(1)), 1};
    error.announce(leap);
    world.advance(leap.midnight - milliseconds(1340) - world.utc());
    CHECK_FALSE(error.basis()->near_leap(world.read(), Bound{}));  // C alone: 1.04 s before
    world.advance(milliseconds(45));
    CHECK(error.basis()->near_leap(world.read(), error.at(world.read())));
    world.advance(milliseconds(1295) + seconds(1));  // to the end of the leap second
    world.leap(1);
    world.step_c(-seconds(1));
    world.advance(milliseconds(1020));  // UTC 1.02 s after midnight, doubt 32 ms
    CHECK(error.basis()->near_leap(world.read(), error.at(world.read())));
    world.advance(milliseconds(320));
    CHECK_FALSE(error.basis()->near_leap(world.read(), error.at(world.read())));
}

TEST_CASE("it is foretold how long the bound lasts") {
    World world;
    ErrorBound error;
    error.add(audit(world));
    const nanoseconds left = error.lasts(world.read(), seconds(1));
    // 968 ms at 50 ppm: the five hours of the design.
    CHECK(near(left, seconds(19360), seconds(2)));
    world.advance(left - seconds(2));
    CHECK(error.at(world.read()).largest() <= seconds(1));
    world.advance(seconds(4));
    CHECK(error.at(world.read()).largest() > seconds(1));
    ErrorBound short_lived;
    short_lived.add(audit(world, nanoseconds(0), Source::tac, minutes(1)));
    CHECK(near(short_lived.lasts(world.read(), seconds(1)), minutes(1), seconds(1)));
}

TEST_CASE("truncation of genTime") {
    CHECK(truncation(0) == seconds(1));
    CHECK(truncation(3) == milliseconds(1));
    CHECK(truncation(6) == microseconds(1));
    CHECK(truncation(9) == nanoseconds(1));
}

TEST_CASE("it is foretold how long the bound lasts for a clock that nobody disciplines") {
    const auto ppm = GENERATE(100e-6, -100e-6, 20e-6, 400e-6);
    World world;
    world.rate_c = ppm;
    ErrorBound error;
    error.add(audit(world));
    world.advance(minutes(10));
    const auto left = error.lasts(world.read(), seconds(1));
    const auto growth = 50e-6 + std::abs(ppm);
    CHECK(near(left, nanoseconds(static_cast<std::int64_t>(0.97e9 / growth)) - minutes(10), minutes(2)));
    world.advance(left - seconds(10));
    CHECK(error.at(world.read()).largest() <= seconds(1));
    world.advance(seconds(20));
    CHECK(error.at(world.read()).largest() > seconds(1));
}
