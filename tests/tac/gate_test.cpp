#include "tac/gate.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <chrono>
#include <cstdlib>
#include <new>
#include <thread>

#include "tests/clock/world.h"
#include "tests/tac/town.h"

using namespace kokuin;
using namespace kokuin::tac;
using kokuin::tac::clock::Evidence;
using std::chrono::hours;
using std::chrono::minutes;
using town::Audit;
using world::World;

// Counts allocations, so that "doesn't allocate" can be tested. The sanitizers bring their own operator new.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define KOKUIN_COUNTS_ALLOCATIONS 0
#elif defined(__has_feature)
#define KOKUIN_COUNTS_ALLOCATIONS !(__has_feature(address_sanitizer) || __has_feature(thread_sanitizer))
#else
#define KOKUIN_COUNTS_ALLOCATIONS 1
#endif
namespace {
std::atomic<long> allocations{0};
}
#if KOKUIN_COUNTS_ALLOCATIONS
void* operator new(std::size_t size) {
    ++allocations;
    if (void* memory = std::malloc(size ? size : 1)) return memory;
    throw std::bad_alloc();
}
void operator delete(void* memory) noexcept {
    std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
    std::free(memory);
}
#endif

namespace {

const Demand one_second{};

/// A TAA that audits the clock of a world, and a gate that believes it.
struct Town {
    World world{town::in_an_hour()};
    KeyPeriod key{from_unix_us(0), from_unix_us(4'000'000'000'000'000)};
    Gate gate{key};
    std::uint8_t serial = 0;

    /// Everything between POST /audit/clock and PUT /audit/tac.
    Audit audit() {
        Audit made(world.utc());
        made.exchange->received = world.read();
        const nanoseconds error = world.error_read();
        world.advance(microseconds(200));
        made.exchange->sent = world.read();
        made.exchange->boot_id = made.situation.boot_id = world.clock().boot_id();
        made.tac.serial = {1, ++serial};
        made.measured(std::chrono::duration_cast<microseconds>(error));
        world.advance(milliseconds(20));
        made.situation.now = world.read();
        made.situation.last = gate.last();
        return made;
    }
    Gate::Taken deliver(const Audit& made) { return gate.accept(made.accepted()); }
    Gate::Taken deliver() { return deliver(audit()); }

    [[nodiscard]] Decision decide(const Demand& demand = one_second) const {
        return gate.decide(world.read(), demand);
    }
    /// "open", or the word of the cause.
    [[nodiscard]] std::string state(const Demand& demand = one_second) const {
        const Decision decision = decide(demand);
        if (const auto* no = std::get_if<Closed>(&decision)) {
            CHECK(!no->text.empty());
            return std::string(name(no->cause));
        }
        return "open";
    }
};

}  // namespace

TEST_CASE("without a TAC the gate is closed, with one it opens and says how well it knows") {
    Town town;
    CHECK(town.state() == "no-tac");
    town.world.step_c(milliseconds(10));
    CHECK(town.deliver() == Gate::Taken::installed);
    const Decision decision = town.decide();
    REQUIRE(std::holds_alternative<Open>(decision));
    const Open& open = std::get<Open>(decision);
    // 10 ms + delay/2 + 30 ms + 1 ms of truncation
    CHECK(open.bound_us >= 43'000);
    CHECK(open.bound_us <= 43'100);
    REQUIRE(open.tac);
    CHECK(open.tac->serial == "101");
}

TEST_CASE("a step of C closes the gate at the very next stamp; its way back opens it") {
    const auto by = GENERATE(as<nanoseconds>(), seconds(2), -seconds(2), hours(26), -hours(26));
    Town town;
    town.deliver();
    town.world.advance(minutes(5));
    REQUIRE(town.state() == "open");
    town.world.step_c(by);
    const std::string closed = town.state();
    CHECK((closed == "bound" || closed == "tac-ended" || closed == "tac-not-yet"));
    const Decision decision = town.decide();
    CHECK(std::get<Closed>(decision).time_not_available);
    town.world.step_c(-by);
    CHECK(town.state() == "open");
}

TEST_CASE("the bound may reach the accuracy, not pass it") {
    Town town;
    town.deliver();
    const auto reading = town.world.read();
    const auto first = town.gate.decide(reading, one_second);
    const std::int64_t bound = std::get<Open>(first).bound_us;
    Demand demand;
    demand.accuracy = microseconds(bound);
    CHECK(std::holds_alternative<Open>(town.gate.decide(reading, demand)));
    demand.accuracy = microseconds(bound - 1);
    const auto second = town.gate.decide(reading, demand);
    REQUIRE(std::holds_alternative<Closed>(second));
    CHECK(std::get<Closed>(second).cause == Cause::bound);
    // Fewer digits cost accuracy.
    demand.accuracy = milliseconds(200);
    demand.gentime_digits = 1;
    CHECK(std::get<Open>(town.gate.decide(reading, demand)).bound_us == bound + 99'000);
    demand.gentime_digits = 0;
    CHECK(std::holds_alternative<Closed>(town.gate.decide(reading, demand)));
}

TEST_CASE("drift closes the gate after hours, a new audit opens it") {
    Town town;
    town.deliver();
    town.world.advance(hours(5));
    CHECK(town.state() == "open");
    town.world.advance(hours(1));
    CHECK(town.state() == "bound");
    CHECK(town.deliver() == Gate::Taken::installed);
    CHECK(town.state() == "open");
}

TEST_CASE("turning C back doesn't lengthen a TAC") {
    Town town;
    Audit audit = town.audit();
    audit.measured(microseconds(0), minutes(10));
    town.deliver(audit);
    town.world.advance(minutes(9));
    CHECK(town.state() == "open");
    town.world.advance(minutes(1) + seconds(1));
    CHECK(town.state() == "tac-ended");
    town.world.step_c(-milliseconds(900) - seconds(1));
    CHECK(town.state() == "tac-ended");
    town.world.step_c(-minutes(5));
    CHECK(town.state() == "tac-ended");
}

TEST_CASE("suspend and pause") {
    Town town;
    town.deliver();
    town.world.advance(minutes(1));
    SECTION("a suspend is noticed at once") {
        town.world.suspend(seconds(1));
        CHECK(town.state() == "slept");
        // The TAC that was made before can't come back either.
        CHECK(town.deliver() == Gate::Taken::installed);
        CHECK(town.state() == "open");
    }
    SECTION("a pause of the virtual machine contradicts the next audit, the one after settles it") {
        town.world.pause(seconds(30));
        town.deliver();
        CHECK(town.state() == "contradiction");
        town.deliver();
        CHECK(town.state() == "open");
    }
}

TEST_CASE("an order to stop holds from the next stamp on, until a newer good TAC") {
    Town town;
    town.deliver();
    REQUIRE(town.state() == "open");
    const Audit before = town.audit();
    town.world.advance(minutes(1));
    Audit audit = town.audit();
    audit.measured(microseconds(0), nanoseconds(0));
    const StopOrder order = audit.stops();
    CHECK(town.gate.stop(order) == Gate::Taken::installed);
    CHECK(town.state() == "order-to-stop");
    CHECK(std::get<Closed>(town.decide()).time_not_available);
    CHECK_FALSE(town.gate.closes_at(town.world.read(), one_second));
    // Nothing older lifts it.
    CHECK(town.gate.accept(before.accepted()) == Gate::Taken::older);
    CHECK(town.state() == "order-to-stop");
    CHECK(town.gate.last()->serial == order.serial);
    CHECK(town.gate.last()->ntp_time == std::min(order.ntp_time, order.received.wall));
    town.world.advance(minutes(1));
    CHECK(town.deliver() == Gate::Taken::resumed);
    CHECK(town.state() == "open");
    CHECK(town.gate.stop(order) == Gate::Taken::older);
    CHECK(town.state() == "open");
}

TEST_CASE("an order to stop is taken without any TAC, as after a restart") {
    Town town;
    Audit audit = town.audit();
    audit.measured(seconds(3));
    const auto kept = StopOrder::from_fields(audit.stops().to_fields());
    REQUIRE(kept.ok());
    CHECK(town.gate.stop(*kept) == Gate::Taken::installed);
    CHECK(town.state() == "order-to-stop");
}

TEST_CASE("an order to stop from a TAA whose clock is ahead is lifted by the next right TAC") {
    const auto ahead = GENERATE(as<nanoseconds>(), seconds(2), hours(26), hours(24 * 200));
    Town town;
    town.deliver();
    town.world.advance(minutes(1));
    // The TAA believes that we are behind.
    Audit wrong = town.audit();
    wrong.measured(-std::chrono::duration_cast<microseconds>(ahead));
    // A good TAC of an exchange before the order, held back.
    StopOrder order = wrong.stops();
    if (GENERATE(false, true)) {
        const auto kept = StopOrder::from_fields(order.to_fields());  // over a restart
        REQUIRE(kept.ok());
        order = *kept;
    }
    const Audit held_back = town.audit();
    town.world.advance(seconds(1));
    const Audit wrong_again = [&] {
        Audit made = town.audit();
        made.measured(-std::chrono::duration_cast<microseconds>(ahead));
        return made;
    }();
    CHECK(town.gate.stop(order) == Gate::Taken::installed);
    const StopOrder again = wrong_again.stops();
    CHECK(town.gate.stop(again) == Gate::Taken::installed);
    CHECK(town.state() == "order-to-stop");
    // What was measured before the order doesn't lift it, whatever the TAA says of the time.
    Audit late = held_back;
    late.situation.last = town.gate.last();
    CHECK(late.outcome() == "replay");
    CHECK(town.gate.accept(held_back.accepted()) == Gate::Taken::older);
    CHECK(town.state() == "order-to-stop");
    town.world.advance(seconds(10));
    CHECK(town.deliver() == Gate::Taken::resumed);
    CHECK(town.state() == "open");
}

namespace {

/// What an independent reference would say of the clock of this world now, wrong by `wrong`.
Evidence reference(World& world, nanoseconds wrong = nanoseconds(0),
                   nanoseconds uncertainty = milliseconds(5)) {
    Evidence evidence;
    evidence.source = clock::Source::reference;
    evidence.at = world.read();
    evidence.error = world.error_read() + wrong;
    evidence.uncertainty = uncertainty;
    evidence.good_until = evidence.at.before + seconds(64);
    return evidence;
}

}  // namespace

TEST_CASE("the reference: wanted, it must apply; its evidence narrows the bound and is told") {
    Town town;
    Demand both = one_second;
    both.require_reference = true;
    town.deliver();
    CHECK(town.state() == "open");
    CHECK(town.state(both) == "no-reference");
    town.gate.add(reference(town.world));
    REQUIRE(town.state(both) == "open");
    const auto open = std::get<Open>(town.decide(both));
    const auto* told = open.basis->newest(clock::Source::reference, town.world.read());
    REQUIRE(told);
    CHECK(told->evidence.uncertainty == milliseconds(5));
    CHECK(open.bound_us < 8'000);
    CHECK(open.tac);
    // It is foretold that the reference will have said nothing for too long, and when a TAC is due.
    const auto status = town.gate.status(town.world.read(), both);
    REQUIRE(status.closes_at);
    CHECK(*status.closes_at - town.world.utc() <= seconds(65));
    REQUIRE(status.tac_needed_at);
    CHECK(*status.tac_needed_at - town.world.utc() > hours(4));
    town.world.advance(seconds(65));
    CHECK(town.state(both) == "no-reference");
    CHECK(town.state() == "open");
    CHECK_FALSE(std::get<Open>(town.decide()).basis->newest(clock::Source::reference, town.world.read()));
}

TEST_CASE("without a TAC the reference alone opens the gate, where the policy says so") {
    Town town;
    Demand alone = one_second;
    alone.require_tac = false;
    CHECK(town.state(alone) == "no-reference");
    town.gate.add(reference(town.world));
    CHECK(town.state(alone) == "open");
    CHECK_FALSE(std::get<Open>(town.decide(alone)).tac);
    CHECK(town.state() == "no-tac");
    town.world.step_c(seconds(1));
    CHECK(town.state(alone) == "bound");
}

TEST_CASE("a reference and a TAA that exclude each other close the gate, whoever lies") {
    const auto lie = GENERATE(as<nanoseconds>(), milliseconds(200), -milliseconds(200), seconds(3));
    Town town;
    town.deliver();
    town.gate.add(reference(town.world, lie));
    CHECK(town.state() == "contradiction");
    town.world.advance(seconds(16));
    town.gate.add(reference(town.world, lie));
    CHECK(town.state() == "contradiction");
    // Right again: two of its measurements replace the two that lied.
    town.world.advance(seconds(16));
    town.gate.add(reference(town.world));
    town.world.advance(seconds(16));
    town.gate.add(reference(town.world));
    CHECK(town.state() == "open");
}

TEST_CASE("a reference that drags its time along slowly comes to contradict the TAA") {
    Town town;
    town.deliver();
    // 45 ppm: no measurement misses what a rate of up to 50 ppm predicts, until the next audit.
    nanoseconds drag{0};
    bool open = true;
    for (int i = 1; i <= 225 && open; ++i) {
        town.world.advance(seconds(16));
        if (i == 225) town.deliver();
        drag += microseconds(720);
        town.gate.add(reference(town.world, drag, milliseconds(1)));
        open = town.state() == "open";
        if (open) {
            const auto reading = town.world.read();
            const auto decision = town.gate.decide(reading, one_second);
            const auto bound = std::get<Open>(decision).bound_us;
            REQUIRE(std::chrono::abs(town.world.error_read()) <= microseconds(bound));
        }
    }
    CHECK_FALSE(open);
    CHECK(town.state() == "contradiction");
}

TEST_CASE("a token in flight survives that better evidence gives way to newer one") {
    Town town;
    town.deliver();
    town.gate.add(reference(town.world, nanoseconds(0), milliseconds(1)));
    town.world.advance(seconds(16));
    town.gate.add(reference(town.world, nanoseconds(0), milliseconds(9)));
    const auto reading = town.world.read();
    const auto granted = std::get<Open>(town.gate.decide(reading, one_second));
    town.world.advance(milliseconds(5));
    town.gate.add(reference(town.world, nanoseconds(0), milliseconds(9)));
    const auto again = town.gate.recheck(granted, reading, town.world.read(), one_second);
    REQUIRE(std::holds_alternative<Open>(again));
    CHECK(std::get<Open>(again).bound_us > granted.bound_us);
}

TEST_CASE("two deliveries that race: the newer one stays") {
    Town town;
    const Audit first = town.audit();
    town.world.advance(seconds(1));
    const Audit second = town.audit();
    CHECK(town.gate.accept(second.accepted()) == Gate::Taken::installed);
    CHECK(town.gate.accept(first.accepted()) == Gate::Taken::older);
    CHECK(town.gate.accept(second.accepted()) == Gate::Taken::older);
    CHECK(town.gate.last()->serial == "102");
}

TEST_CASE("the key: inside its certificate, with the accuracy") {
    Town town;
    const WallTime now = std::chrono::ceil<seconds>(town.world.utc());
    SECTION("not yet") {
        Gate gate({now + seconds(10), now + hours(1)});
        gate.accept(town.audit().accepted());
        const auto decision = gate.decide(town.world.read(), one_second);
        CHECK(std::get<Closed>(decision).cause == Cause::key_not_yet);
        CHECK_FALSE(std::get<Closed>(decision).time_not_available);
    }
    SECTION("an unproved clock can't tell the key's time, so that is the cause to name") {
        const Gate gate({now + seconds(10), now + hours(1)});
        const auto decision = gate.decide(town.world.read(), one_second);
        CHECK(std::get<Closed>(decision).cause == Cause::no_tac);
        CHECK(std::get<Closed>(decision).time_not_available);
    }
    SECTION("genTime + accuracy ends it, inclusive") {
        const auto accepted = town.audit().accepted();
        clock::Reading reading = town.world.read();
        Gate gate({from_unix_us(0),
                   WallTime(std::chrono::floor<milliseconds>(reading.wall.time_since_epoch())) + seconds(1)});
        gate.accept(accepted);
        CHECK(std::holds_alternative<Open>(gate.decide(reading, one_second)));
        reading.wall += milliseconds(1);
        const auto decision = gate.decide(reading, one_second);
        CHECK(std::get<Closed>(decision).cause == Cause::key_ended);
        CHECK_FALSE(std::get<Closed>(decision).time_not_available);
    }
}

TEST_CASE("suspended by its operators") {
    Town town;
    town.deliver();
    town.gate.suspend("key ceremony");
    CHECK(town.state() == "suspended");
    CHECK_FALSE(std::get<Closed>(town.decide()).time_not_available);
    CHECK(std::get<Closed>(town.decide()).text.find("key ceremony") != std::string::npos);
    town.gate.resume();
    CHECK(town.state() == "open");
}

TEST_CASE("not within a second of the leap second that a TAC announces") {
    Town town;
    // UTC has its leap seconds before a midnight; anything else in a TAC announces none.
    const WallTime midnight(std::chrono::ceil<std::chrono::days>(town.world.utc().time_since_epoch()) +
                            std::chrono::days(1));
    town.world.advance(midnight - minutes(10) - town.world.utc());
    Audit audit = town.audit();
    audit.tac.leap_events = {{midnight, 1}};
    town.deliver(audit);
    const auto closes = town.gate.closes_at(town.world.read(), one_second);
    REQUIRE(closes);
    CHECK(std::chrono::abs(*closes - (midnight - seconds(1))) < milliseconds(10));
    town.world.advance(midnight - seconds(1) - milliseconds(100) - town.world.utc());
    CHECK(town.state() == "open");
    town.world.advance(milliseconds(100));
    CHECK(town.state() == "leap-second");
    town.world.advance(seconds(2) - milliseconds(1));
    town.world.leap(1);
    town.world.step_c(-seconds(1));
    CHECK(town.state() == "leap-second");
    town.world.advance(milliseconds(1100));
    CHECK(town.state() == "open");
    // An audit after it, by a TAA that says no more about it, agrees.
    town.deliver();
    CHECK(town.state() == "open");
}

TEST_CASE("a policy without a TAC needs a reference") {
    Town town;
    Demand demand;
    demand.require_tac = false;
    CHECK(town.state(demand) == "no-reference");
    town.deliver();
    CHECK(town.state(demand) == "no-reference");
    clock::Evidence evidence;
    evidence.source = clock::Source::reference;
    evidence.at = town.world.read();
    evidence.error = town.world.error_read();
    evidence.uncertainty = milliseconds(5);
    evidence.good_until = evidence.at.before + minutes(5);
    town.gate.add(evidence);
    CHECK(town.state(demand) == "open");
    CHECK(std::get<Open>(town.decide(demand)).bound_us < 7'000);
    // A reference alone doesn't do where a TAC is required.
    Town other;
    other.gate.add(evidence);
    CHECK(other.state(demand) == "open");
    CHECK_FALSE(std::get<Open>(other.decide(demand)).tac);
    CHECK(other.state() == "no-tac");
}

TEST_CASE("what happens while a token is made is seen before it is released") {
    Town town;
    Audit short_lived = town.audit();
    short_lived.measured(microseconds(0), minutes(10));
    town.deliver(short_lived);
    const auto stamped = town.world.read();
    const auto granted = std::get<Open>(town.gate.decide(stamped, one_second));
    const auto outcome = [&] {
        const auto decision = town.gate.recheck(granted, stamped, town.world.read(), one_second);
        const auto* no = std::get_if<Closed>(&decision);
        return no ? std::string(name(no->cause)) : "open";
    };
    town.world.advance(milliseconds(15));
    CHECK(outcome() == "open");
    SECTION("a step") {
        town.world.step_c(seconds(2));
        CHECK(outcome() == "bound");
    }
    SECTION("an order to stop") {
        Audit audit = town.audit();
        audit.measured(microseconds(0), nanoseconds(0));
        town.gate.stop(audit.stops());
        CHECK(outcome() == "order-to-stop");
    }
    SECTION("a new TAC") {
        town.deliver();
        CHECK(outcome() == "open");
    }
    SECTION("the TAC it names ends, although a newer one is here") {
        town.deliver();
        town.world.advance(minutes(10));
        CHECK(town.state() == "open");
        CHECK(outcome() == "tac-ended");
    }
    SECTION("a suspend") {
        town.world.suspend(milliseconds(2));
        CHECK(outcome() == "slept");
    }
}

TEST_CASE("a bound that grew while a token was made keeps it: the record would say too little") {
    Town town;
    town.deliver();
    town.world.advance(hours(10));
    town.deliver();
    REQUIRE(town.gate.status(town.world.read(), one_second).rate.learnt);
    town.world.advance(hours(4));
    const auto stamped = town.world.read();
    const auto granted = std::get<Open>(town.gate.decide(stamped, one_second));
    CHECK(granted.bound_us < 120'000);
    // The next audit finds what nobody foretold: the rate that was learnt doesn't hold, and what was said of
    // the time since the last audit was too little, although it is still inside the accuracy.
    Audit audit = town.audit();
    audit.measured(microseconds(200'000));
    REQUIRE(town.deliver(audit) == Gate::Taken::installed);
    CHECK(town.state() == "open");
    const auto judged_anew = std::get<Open>(town.gate.decide(stamped, one_second));
    CHECK(judged_anew.bound_us > granted.bound_us);
    const auto outcome = town.gate.recheck(granted, stamped, town.world.read(), one_second);
    REQUIRE(std::holds_alternative<Closed>(outcome));
    CHECK(std::get<Closed>(outcome).cause == Cause::bound);
    CHECK(std::get<Closed>(outcome).time_not_available);
    // A stamp made since then rests on what is known now.
    const auto next = town.world.read();
    const auto open = std::get<Open>(town.gate.decide(next, one_second));
    CHECK(std::holds_alternative<Open>(town.gate.recheck(open, next, town.world.read(), one_second)));
}

TEST_CASE("an order to stop between signing and release keeps the token, until a newer good TAC lifts it") {
    Town town;
    town.deliver();
    const auto stamped = town.world.read();
    const auto granted = std::get<Open>(town.gate.decide(stamped, one_second));
    Audit stop = town.audit();
    stop.measured(microseconds(0), nanoseconds(0));
    REQUIRE(town.gate.stop(stop.stops()) == Gate::Taken::installed);
    const auto outcome = [&] { return town.gate.recheck(granted, stamped, town.world.read(), one_second); };
    REQUIRE(std::holds_alternative<Closed>(outcome()));
    CHECK(std::get<Closed>(outcome()).cause == Cause::stopped);
    CHECK(std::get<Closed>(outcome()).time_not_available);
    // The clock wasn't stopped for nothing; but a newer good TAC proves this very reading too.
    town.world.advance(seconds(1));
    REQUIRE(town.deliver() == Gate::Taken::resumed);
    CHECK(std::holds_alternative<Open>(outcome()));
}

TEST_CASE("when the gate will close is foretold, and comes true") {
    Town town;
    CHECK_FALSE(town.gate.closes_at(town.world.read(), one_second));
    SECTION("by the bound") {
        town.deliver();
    }
    SECTION("by the TAC") {
        Audit audit = town.audit();
        audit.measured(microseconds(0), minutes(30));
        town.deliver(audit);
    }
    const auto closes = town.gate.closes_at(town.world.read(), one_second);
    REQUIRE(closes);
    town.world.advance(*closes - town.world.utc() - seconds(2));
    CHECK(town.state() == "open");
    town.world.advance(seconds(4));
    CHECK(town.state() != "open");
    const GateStatus status = town.gate.status(town.world.read(), one_second);
    CHECK(status.tac);
    CHECK_FALSE(status.stop);
    CHECK_FALSE(status.closes_at);
    CHECK(std::holds_alternative<Closed>(status.decision));
}

TEST_CASE("an open gate costs no allocation") {
    Town town;
    town.deliver();
    const long before = allocations;
    int open = 0;
    constexpr int times = 20'000;
    for (int i = 0; i < times; ++i) {
        const auto reading = town.world.read();
        const auto decision = town.gate.decide(reading, one_second);
        open += std::holds_alternative<Open>(decision);
        if (i == 0) continue;
        const auto again =
            town.gate.recheck(std::get<Open>(decision), reading, town.world.read(), one_second);
        open += std::holds_alternative<Open>(again);
    }
    CHECK(allocations == before);
    CHECK(open == 2 * times - 1);
}

TEST_CASE("many stampers and a TAA at once") {
    Town town;
    std::vector<std::shared_ptr<const AcceptedTac>> tacs;
    std::vector<StopOrder> orders;
    for (int i = 0; i < 20; ++i) {
        Audit audit = town.audit();
        tacs.push_back(audit.accepted());
        town.world.advance(seconds(1));
        Audit stop = town.audit();
        stop.measured(microseconds(0), nanoseconds(0));
        orders.push_back(stop.stops());
        town.world.advance(seconds(1));
    }
    const auto reading = town.world.read();
    std::atomic<bool> done{false};
    std::atomic<long> judged{0};
    std::vector<std::thread> stampers;
    for (int i = 0; i < 3; ++i)
        stampers.emplace_back([&] {
            while (!done || judged < 100) {
                const auto decision = town.gate.decide(reading, one_second);
                if (const auto* open = std::get_if<Open>(&decision)) {
                    if (!open->tac || open->bound_us <= 0) std::abort();
                }
                ++judged;
            }
        });
    for (std::size_t i = 0; i < tacs.size(); ++i) {
        town.gate.accept(tacs[i]);
        town.gate.suspend("x");
        town.gate.resume();
        town.gate.stop(orders[i]);
        (void)town.gate.status(reading, one_second);
    }
    done = true;
    for (auto& stamper : stampers) stamper.join();
    CHECK(town.state() == "order-to-stop");
    CHECK(judged >= 100);
}

TEST_CASE("a TAC whose TAA is revoked is taken back, with all that TACs said about the clock") {
    Town town;
    Demand alone = one_second;
    alone.require_tac = false;
    town.deliver();
    town.world.advance(minutes(1));
    town.gate.add(reference(town.world));
    const auto tac = town.gate.tac();
    REQUIRE(town.state() == "open");
    const auto stamped = town.world.read();
    const auto granted = std::get<Open>(town.gate.decide(stamped, one_second));
    const auto kept = town.audit();  // made before, delivered after

    CHECK(town.gate.withdraw(*tac, "CN=taa is revoked since then"));
    CHECK(town.state() == "taa-revoked");
    CHECK(std::get<Closed>(town.decide()).text.find("CN=taa is revoked since then") != std::string::npos);
    CHECK_FALSE(town.gate.tac());
    // A token that was being made doesn't leave.
    CHECK(std::holds_alternative<Closed>(town.gate.recheck(granted, stamped, town.world.read(), one_second)));
    // What needs no TAC goes on by the reference alone, and names none.
    CHECK(town.state(alone) == "open");
    CHECK_FALSE(std::get<Open>(town.decide(alone)).tac);
    CHECK_FALSE(std::get<Open>(town.decide(alone)).basis->newest(clock::Source::tac, town.world.read()));
    // It isn't revived, here or by a second hand.
    CHECK_FALSE(town.gate.withdraw(*tac, "again"));
    CHECK(town.gate.accept(tac) == Gate::Taken::older);
    CHECK(town.state() == "taa-revoked");
    CHECK(town.deliver(kept) == Gate::Taken::installed);
    CHECK(town.state() == "open");
    CHECK_FALSE(town.gate.withdraw(*tac, "another one is in force"));
    // Nor does that token leave because another TAC has come meanwhile.
    CHECK(std::holds_alternative<Closed>(town.gate.recheck(granted, stamped, town.world.read(), one_second)));
}

TEST_CASE(
    "a token whose bound rested on a TAC that was taken back doesn't leave, whatever its policy wants") {
    Town town;
    Demand alone = one_second;
    alone.require_tac = false;
    town.gate.add(reference(town.world));
    town.world.advance(minutes(30));
    town.deliver();
    town.gate.add(reference(town.world));
    const auto stamped = town.world.read();
    const auto granted = std::get<Open>(town.gate.decide(stamped, alone));
    REQUIRE(granted.tac);
    REQUIRE(town.gate.withdraw(*town.gate.tac(), "revoked"));
    REQUIRE(town.state(alone) == "open");
    const auto again = town.gate.recheck(granted, stamped, town.world.read(), alone);
    REQUIRE(std::holds_alternative<Closed>(again));
    CHECK(std::get<Closed>(again).cause == Cause::taa_revoked);
}

TEST_CASE("a TAC that was taken back in an earlier run stays so until another one comes") {
    Town town;
    const auto old = town.audit();
    town.gate.remember({old.tac.ntp_time, serial_hex(old.tac.serial), {}, {}});
    town.gate.restore_withdrawn("revoked");
    CHECK(town.state() == "taa-revoked");
    town.world.advance(minutes(1));
    town.deliver();
    CHECK(town.state() == "open");
}

TEST_CASE("an order to stop outlives the TAC that is taken back") {
    Town town;
    town.deliver();
    const auto tac = town.gate.tac();
    auto order = town.audit();
    order.tac.not_after = order.tac.not_before;
    order.tac.expiration = order.tac.ntp_time;
    const auto verdict = order.judge();
    REQUIRE(std::holds_alternative<StopOrder>(verdict));
    town.gate.stop(std::get<StopOrder>(verdict));
    CHECK(town.gate.withdraw(*tac, "revoked"));
    CHECK(town.state() == "order-to-stop");
}

TEST_CASE("a revoked TSU's gate is closed, and time isn't the cause") {
    Town town;
    town.deliver();
    const auto stamped = town.world.read();
    const auto granted = std::get<Open>(town.gate.decide(stamped, one_second));
    CHECK(town.gate.set_revoked("CN=tsu is revoked since then"));
    CHECK_FALSE(town.gate.set_revoked("CN=tsu is revoked since then"));
    CHECK_FALSE(town.gate.set_revoked("for another reason"));  // no news
    CHECK(town.state() == "key-revoked");
    const auto decision = town.decide();
    CHECK_FALSE(std::get<Closed>(decision).time_not_available);
    CHECK(std::get<Closed>(decision).text == "for another reason");
    CHECK(std::holds_alternative<Closed>(town.gate.recheck(granted, stamped, town.world.read(), one_second)));
    CHECK(town.gate.set_revoked(std::nullopt));
    CHECK_FALSE(town.gate.set_revoked(std::nullopt));
    CHECK(town.state() == "open");
}
