// A leap second, inserted and deleted, through the real protocol on simulated time (TSA-15, TAC-8, TAA-9):
// the TAA measures, signs a TAC that announces it, the TSU validates that and stamps by its gate, minute by
// minute and around midnight every ten milliseconds.
#include <catch2/catch.hpp>

#include "tac/gate.h"
#include "tac/validate.h"
#include "tests/clock/world.h"
#include "tests/taa/town.h"

using namespace kokuin;
using namespace std::chrono_literals;

namespace {

// Any midnight at which the certificates of this test are valid.
const WallTime midnight{std::chrono::ceil<std::chrono::days>(SystemWallClock().now().time_since_epoch()) +
                        std::chrono::days(1)};

struct Play {
    explicit Play(std::vector<tac::clock::LeapSecond> announced)
        : world(midnight - 7h), leaps(std::move(announced)), issuer(make_issuer()) {
        world.rate_m = 3e-6;
        world.rate_c = 2e-6;
        rules.anchors = {town::folder().certificate("root")};
    }
    static taa::Issuer make_issuer() {
        auto made = taa::Issuer::make({town::folder().certificate("taa")}, pki::Hash::sha256,
                                      town::software_key("taa"));
        REQUIRE(made);
        return std::move(*made);
    }

    /// One audit over a network that takes 4 ms there and back.
    void audit() {
        tac::Exchange exchange;
        exchange.nonce = random_octets(32);
        exchange.tsu = "tsu-1";
        exchange.boot_id = world.clock().boot_id();
        const auto t1 = world.utc();
        world.advance(2ms);
        exchange.received = world.read();
        exchange.sent = world.read();
        world.advance(2ms);
        const auto measurement = tac::measure(t1, exchange.received.wall, exchange.sent.wall, world.utc());
        auto issued = issuer.issue(tsu, measurement, taa::AuditRules{}, leaps);
        INFO((issued ? "" : issued.error().text));
        REQUIRE(issued);
        tac::Delivered delivered;
        delivered.tac = issued->der;
        const auto& authority = issuer.certificate();
        delivered.chain = {Bytes(authority.der().begin(), authority.der().end())};
        delivered.exchange = exchange;
        const auto verdict =
            tac::validate(delivered, rules, {tsu, gate.last(), world.read(), world.clock().boot_id()});
        const auto* refusal = std::get_if<tac::Refusal>(&verdict);
        INFO((refusal ? refusal->text : ""));
        const auto* accepted = std::get_if<std::shared_ptr<const tac::AcceptedTac>>(&verdict);
        REQUIRE(accepted);
        CHECK((*accepted)->value.tac.leap_events == leaps);
        gate.accept(*accepted);
    }
    /// A request for a token now; true if one goes out. The promise is checked, whatever happens.
    bool stamp() {
        const auto reading = world.read();
        const auto decision = gate.decide(reading, tac::Demand{});
        const auto* open = std::get_if<tac::Open>(&decision);
        if (!open) {
            last_cause = std::get<tac::Closed>(decision).cause;
            return false;
        }
        const auto error = std::chrono::abs(world.error_read());
        INFO("UTC " << to_rfc3339(world.utc(), 3) << ", C " << to_rfc3339(reading.wall, 3));
        if (error > microseconds(open->bound_us)) FAIL("a token whose bound is smaller than its error");
        if (error > 1s) FAIL("a token with a wrong time");
        const auto from_midnight = world.utc() - midnight;
        if (from_midnight >= -1s && from_midnight <= 1s && !past) FAIL("a token at the leap second");
        ++tokens;
        return true;
    }
    void live(nanoseconds time, nanoseconds step) {
        for (nanoseconds passed{0}; passed < time; passed += step) {
            world.advance(step);
            stamp();
        }
    }

    world::World world;
    std::vector<tac::clock::LeapSecond> leaps;
    taa::Issuer issuer;
    tac::Rules rules;
    pki::Certificate tsu = town::folder().certificate("tsu");
    tac::Gate gate{tac::KeyPeriod{midnight - 24h * 365, midnight + 24h * 365}};
    tac::Cause last_cause{};
    int tokens = 0;
    bool past = false;  // the second after the leap is over
};

}  // namespace

TEST_CASE("a leap second passes: no token near it, none with a wrong time, and service right after") {
    const int direction = GENERATE(1, -1);
    Play play({{midnight, direction}});
    CAPTURE(direction);
    for (int hour = 0; hour < 6; ++hour) {
        play.audit();
        play.live(1h, 1min);
    }
    play.audit();
    CHECK(play.tokens > 300);
    CHECK(play.stamp());

    // Up to the last minute, and then every 10 ms over the leap. A deleted second makes midnight come after
    // 23:59:58.
    play.world.advance(midnight - 10s - play.world.utc());
    play.live(8500ms, 10ms);
    const auto before = play.tokens;
    CHECK(before > 800);
    const auto left = midnight + (direction > 0 ? 1s : -1s) - play.world.utc();
    play.live(left - 20ms, 10ms);
    CHECK(play.last_cause == tac::Cause::leap_second);
    play.world.advance(midnight + (direction > 0 ? 1s : -1s) - play.world.utc());
    play.world.leap(direction);
    SECTION("the kernel takes it over") {
        play.world.step_c(-seconds(direction));
        CHECK_FALSE(play.stamp());
        play.world.advance(midnight + 1100ms - play.world.utc());
        play.past = true;
        CHECK(play.stamp());
        // The bound isn't larger than a clock without a leap would have had.
        const auto decision = play.gate.decide(play.world.read(), tac::Demand{});
        CHECK(std::get<tac::Open>(decision).bound_us < 700'000);
    }
    SECTION("nobody told the kernel: the clock is off by a second, and that is known at once") {
        play.world.advance(3s);
        play.past = true;
        CHECK_FALSE(play.stamp());
        CHECK(play.last_cause == tac::Cause::bound);
        // Put right by hand, it serves again, without a new audit.
        play.world.step_c(-seconds(direction));
        CHECK(play.stamp());
    }
    play.live(1h, 1min);
    play.audit();
    CHECK(play.stamp());
    CHECK(play.tokens > before + 50);
}

TEST_CASE("a leap second that nobody announced closes the gate instead of stamping a second off") {
    const int direction = GENERATE(1, -1);
    Play play({});
    CAPTURE(direction);
    play.audit();
    play.world.advance(midnight + (direction > 0 ? 1s : -1s) - play.world.utc());
    play.past = true;
    play.world.leap(direction);
    play.world.step_c(-seconds(direction));
    play.world.advance(5s);
    // The clock is right, but by all that is known it was moved by a second.
    CHECK_FALSE(play.stamp());
    CHECK(play.last_cause == tac::Cause::bound);
}
