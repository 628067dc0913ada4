// The promise itself: in a world where everything that may happen happens, the true error is inside the
// bound.
#include <algorithm>
#include <catch2/catch.hpp>
#include <random>

#include "tac/clock/bound.h"
#include "tests/clock/world.h"

using namespace kokuin;
using namespace kokuin::tac::clock;
using std::chrono::hours;

namespace {

struct Tally {
    int stamps = 0;
    int known = 0;
    int tight = 0;
    int contradictions = 0;
};

/// One machine's life of many days.
Tally live(unsigned seed, int stamps) {
    std::mt19937_64 random(seed);
    const auto pick = [&](double low, double high) {
        return std::uniform_real_distribution<double>(low, high)(random);
    };
    const auto chance = [&](double p) { return pick(0, 1) < p; };
    const auto ms = [](double value) { return nanoseconds(static_cast<std::int64_t>(value * 1e6)); };

    world::World world;
    ErrorBound error;
    Tally tally;
    const double base = pick(-45e-6, 45e-6);
    world.rate_m = base;
    nanoseconds since_audit = hours(2);
    for (int i = 0; i < stamps; ++i) {
        const nanoseconds dt = chance(0.02) ? ms(pick(1e3, 3e6)) : ms(pick(0.01, 5e3));
        world.advance(dt);
        since_audit += dt;
        // The quartz wanders inside what the rules allow; C is pulled about as daemons and people do.
        world.rate_m = std::clamp(world.rate_m + pick(-0.1e-6, 0.1e-6), base - 1.4e-6, base + 1.4e-6);
        if (chance(0.01)) world.rate_c = pick(-500e-6, 500e-6);
        if (chance(0.002)) world.step_c(ms(pick(-3000, 3000)));
        if (chance(0.0005)) world.step_c((chance(0.5) ? 1 : -1) * nanoseconds(hours(26)));
        if (chance(0.02)) world.step_c(-world.error() + ms(pick(-20, 20)));
        if (chance(0.0003)) world.suspend(ms(pick(0.001, 1e7)));
        world.read_takes = chance(0.01) ? ms(pick(0.1, 8)) : nanoseconds(60);

        if (since_audit > hours(1) && chance(0.9)) {
            since_audit = nanoseconds(0);
            Evidence evidence;
            evidence.source = chance(0.3) ? Source::reference : Source::tac;
            evidence.at = world.read();
            evidence.uncertainty = ms(pick(2, 80));
            // The worst liars that still keep their word are among them.
            const double lie = chance(0.3) ? (chance(0.5) ? 1 : -1) : pick(-1, 1);
            evidence.error =
                world.error_read() + nanoseconds(static_cast<std::int64_t>(
                                         lie * static_cast<double>(evidence.uncertainty.count())));
            evidence.good_until = evidence.at.before + hours(25);
            error.add(evidence);
        }

        const auto reading = world.read();
        const Bound bound = error.at(reading);
        ++tally.stamps;
        // What is kept with a token says the same to whoever reads it later.
        if (i % 50 == 0) {
            const auto kept = Basis::decode(error.basis()->encode());
            REQUIRE(kept);
            const Bound again = kept->at(reading);
            REQUIRE((again.state == bound.state && again.low == bound.low && again.high == bound.high));
        }
        tally.contradictions += bound.state == Bound::State::contradiction;
        if (bound.state != Bound::State::known) continue;
        ++tally.known;
        tally.tight += bound.high - bound.low < milliseconds(500);
        if (world.error_read() < bound.low || world.error_read() > bound.high) {
            INFO("seed " << seed << " stamp " << i << " error " << world.error_read().count() << " bound "
                         << bound.low.count() << " to " << bound.high.count() << " f " << error.rate().f
                         << " rho " << error.rate().rho << " true rate " << world.rate_m);
            FAIL("the true error is outside the bound");
        }
    }
    return tally;
}

}  // namespace

TEST_CASE("the true error never leaves the bound: a million stamps in two hundred lives") {
    Tally all;
    for (unsigned seed = 1; seed <= 200; ++seed) {
        const Tally one = live(seed, 5000);
        all.stamps += one.stamps;
        all.known += one.known;
        all.tight += one.tight;
        all.contradictions += one.contradictions;
    }
    CHECK(all.stamps == 1'000'000);
    // A bound that is never known, or as wide as a barn door, would pass as well.
    CHECK(all.known > all.stamps * 9 / 10);
    CHECK(all.tight > all.stamps * 8 / 10);
    CHECK(all.contradictions == 0);
    const auto percent = [&](int part) { return 100.0 * part / all.stamps; };
    WARN("available: " << percent(all.known) << " % of the stamps had a bound, " << percent(all.tight)
                       << " % one below 500 ms");
}
