// What is kept of a bound: written down exactly, read strictly, computed again by anybody.
#include "tac/clock/basis.h"

#include <catch2/catch.hpp>

#include "tac/clock/bound.h"
#include "tests/clock/world.h"

using namespace kokuin;
using namespace kokuin::tac::clock;
using std::chrono::hours;
using std::chrono::minutes;

namespace {

Evidence evidence(const world::World& world, Source source, nanoseconds uncertainty, std::string note) {
    Evidence made;
    made.source = source;
    made.at = world.read();
    made.error = world.error_read();
    made.uncertainty = uncertainty;
    made.good_until = made.at.before + hours(25);
    made.note = std::move(note);
    return made;
}

/// Two of each source, a rate learnt, a leap second announced.
ErrorBound rich(world::World& world) {
    ErrorBound error;
    world.rate_m = 12.345e-6;
    for (int i = 0; i < 4; ++i) {
        error.add(evidence(world, Source::tac, milliseconds(31), "TAC 1f"));
        error.add(evidence(world, Source::reference, milliseconds(2), "3 of 3 sources agree, 刻印"));
        world.advance(hours(2));
    }
    error.announce(
        {WallTime(std::chrono::floor<std::chrono::days>(world.utc().time_since_epoch()) + hours(24)), -1});
    return error;
}

bool same(const Bound& a, const Bound& b) {
    return a.state == b.state && a.low == b.low && a.high == b.high && a.by_tac == b.by_tac &&
           a.by_reference == b.by_reference;
}

}  // namespace

TEST_CASE("a basis that was written down gives the same bound to the nanosecond") {
    world::World world;
    const auto error = rich(world);
    REQUIRE(error.rate(Source::reference).learnt);
    const auto der = error.basis()->encode();
    const auto read = Basis::decode(der);
    REQUIRE(read);
    CHECK(read->pieces.size() == 4);
    CHECK(read->pieces.back().evidence.note == "3 of 3 sources agree, 刻印");
    CHECK(read->pieces.back().rate.learnt);
    CHECK(read->leaps == error.basis()->leaps);
    CHECK(read->encode() == der);
    for (int i = 0; i < 400; ++i) {
        world.advance(minutes(7));
        if (i == 100) world.step_c(seconds(-3));
        if (i == 300) world.suspend(seconds(5));
        const auto reading = world.read();
        REQUIRE(same(read->at(reading), error.at(reading)));
        const auto* newest = read->newest(Source::reference, reading);
        REQUIRE((newest != nullptr) == (error.basis()->newest(Source::reference, reading) != nullptr));
    }
    CHECK(read->at(world.read()).state == Bound::State::slept);
}

TEST_CASE("a basis stays as it was when more becomes known") {
    world::World world;
    auto error = rich(world);
    const auto before = error.basis();
    const auto reading = world.read();
    const auto then = before->at(reading);
    error.add(evidence(world, Source::reference, milliseconds(1), ""));
    CHECK(error.basis() != before);
    CHECK(same(before->at(reading), then));
}

TEST_CASE("no other octets are taken for a basis") {
    world::World world;
    const auto der = rich(world).basis()->encode();
    for (std::size_t length = 0; length < der.size(); ++length)
        REQUIRE_FALSE(Basis::decode(View(der).first(length)));
    for (std::size_t i = 0; i < der.size(); ++i)
        for (unsigned change = 1; change < 256; ++change) {
            Bytes changed = der;
            changed[i] = static_cast<std::uint8_t>(changed[i] ^ change);
            const auto read = Basis::decode(changed);
            if (read) REQUIRE(read->encode() == changed);
        }
    Bytes longer = der;
    longer.push_back(0);
    CHECK_FALSE(Basis::decode(longer));
    Bytes later = Basis().encode();
    CHECK(Basis::decode(later));
    later[4] = 2;
    const auto refused = Basis::decode(later);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().text.find("version 2") != std::string::npos);
}
