// follow_tac: slewed, bounded in rate and size, never backwards, the same after a restart.
#include "tac/clock/correction.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <random>
#include <thread>

#include "tac/clock/bound.h"
#include "tests/clock/world.h"

using namespace kokuin;
using namespace kokuin::tac::clock;
using std::chrono::hours;
using std::chrono::minutes;
using namespace std::chrono_literals;

namespace {

/// The world's clock corrected.
struct Desk {
    world::World world;
    Correction correction;
    CorrectedClock c{world.wall(), world.mono(), correction};
    StampingClock clock{c, world.mono(), world.boot()};

    explicit Desk(CorrectionRules rules = {}) : correction(rules) {}
    [[nodiscard]] nanoseconds error() { return world.error() + correction.at(world.m()); }
    /// An audit: C is off by this, give or take 2 ms, and the correction follows.
    std::optional<Correction::Plan> audit() {
        const auto measured = world.m();
        const auto off = error();
        world.advance(20ms);
        return correction.steer(off, 2ms, measured, world.m());
    }
};

}  // namespace

TEST_CASE("a clock that is off comes to the TAA's time slowly and stays there") {
    Desk desk;
    desk.world.step_c(300ms);
    REQUIRE(desk.audit());
    CHECK(desk.error() > 299ms);  // no jump
    desk.world.advance(100s);
    CHECK(desk.error() > 240ms);
    CHECK(desk.error() < 260ms);  // 500 ppm
    desk.world.advance(600s);
    CHECK(std::chrono::abs(desk.error()) < 1ms);
    // Within its doubt an error is noise.
    CHECK_FALSE(desk.audit());
    // A clock that drifts is kept near for days.
    desk.world.rate_c = 20e-6;
    for (int hour = 0; hour < 48; ++hour) {
        desk.world.advance(hours(1));
        CHECK(std::chrono::abs(desk.error()) < 80ms);
        desk.audit();
    }
}

TEST_CASE("the correction has a largest size and a largest rate") {
    Desk desk({1s, 5000});
    desk.world.step_c(-3s);
    const auto plan = desk.audit();
    REQUIRE(plan);
    CHECK(plan->to == 1s);
    desk.world.advance(hours(1));
    CHECK(desk.correction.at(desk.world.m()) == 1s);
    CHECK(std::chrono::abs(desk.error() + 2s) < 1ms);
}

TEST_CASE("C never goes backwards, however it is steered") {
    std::mt19937_64 random(7);
    Desk desk({10s, 500'000});
    WallTime last{};
    for (int i = 0; i < 20'000; ++i) {
        if (i % 50 == 0) {
            const auto error = nanoseconds(
                std::uniform_int_distribution<std::int64_t>(-5'000'000'000, 5'000'000'000)(random));
            desk.correction.steer(error, 0ns, desk.world.m(), desk.world.m());
        }
        desk.world.advance(nanoseconds(std::uniform_int_distribution<std::int64_t>(0, 200'000'000)(random)));
        const auto now = desk.c.now();
        REQUIRE(now >= last);
        last = now;
    }
}

TEST_CASE("it goes on after a restart in the same boot, and is held after a reboot") {
    Desk desk;
    desk.world.step_c(200ms);
    const auto plan = desk.audit();
    REQUIRE(plan);
    desk.world.advance(minutes(2));
    Correction again({});
    again.restore(*plan);
    CHECK(again.at(desk.world.m()) == desk.correction.at(desk.world.m()));
    // Also where the rules have changed meanwhile: C would jump otherwise.
    Correction slower({1ms, 10});
    slower.restore(*plan);
    CHECK(slower.at(desk.world.m()) == desk.correction.at(desk.world.m()));
    Correction held({});
    held.hold(plan->to);
    CHECK(held.at(MonoTime{}) == plan->to);
    CHECK(held.at(MonoTime{hours(5)}) == plan->to);
}

TEST_CASE("evidence about the machine's clock is evidence about C, while it moves too") {
    Desk desk;
    desk.world.step_c(400ms);
    const StampingClock realtime(desk.world.wall(), desk.world.mono(), desk.world.boot());
    ErrorBound error;
    for (int i = 0; i < 200; ++i) {
        if (i % 40 == 0) desk.audit();
        Evidence evidence;
        evidence.source = Source::reference;
        evidence.at = realtime.read();
        evidence.error = desk.world.error_read();
        evidence.uncertainty = 1ms;
        evidence.good_until = evidence.at.before + 64s;
        error.add(desk.correction.about_c(evidence));
        desk.world.advance(16s);
        const auto reading = desk.clock.read();
        const auto bound = error.at(reading);
        REQUIRE(bound.state == Bound::State::known);
        const auto truth = desk.error();
        REQUIRE(bound.low - 1us <= truth);
        REQUIRE(truth <= bound.high + 1us);
    }
    CHECK(std::chrono::abs(desk.error()) < 1ms);
}

TEST_CASE("readers never see half a plan") {
    Correction correction({10s, 500'000});
    std::atomic<bool> stop{false};
    std::thread writer([&] {
        for (std::int64_t i = 1; !stop; ++i)
            correction.restore({nanoseconds(i), nanoseconds(i), MonoTime(nanoseconds(i)), i});
    });
    for (int i = 0; i < 200'000; ++i) {
        const auto plan = correction.plan();
        if (plan.from != plan.to || plan.from != plan.since.time_since_epoch()) {
            stop = true;
            writer.join();
            FAIL("half a plan");
        }
    }
    stop = true;
    writer.join();
}
