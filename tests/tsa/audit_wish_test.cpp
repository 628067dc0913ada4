#include "tsa/audit_wish.h"

#include <catch2/catch.hpp>

#include "tests/clock/world.h"
#include "tests/tac/town.h"

using namespace kokuin;
using namespace kokuin::tac;
using namespace kokuin::tsa;
using namespace std::chrono_literals;

namespace {

/// A TSU's gate in a world whose clocks run well.
struct Desk {
    world::World world{town::in_an_hour()};
    Gate gate{KeyPeriod{town::certificate("tsu").not_before(), town::certificate("tsu").not_after()}};
    Demand demand;

    void deliver() {
        const auto at = world.read();
        town::Audit audit(at.wall, at.before);
        audit.exchange->received = world.read();
        world.advance(200us);
        audit.exchange->sent = world.read();
        audit.exchange->boot_id = audit.situation.boot_id = world.clock().boot_id();
        audit.tac.serial = {1, ++serial_};
        audit.measured(0us);
        world.advance(20ms);
        audit.situation.now = world.read();
        audit.situation.last = gate.last();
        gate.accept(audit.accepted());
    }
    void measure() {
        clock::Evidence evidence;
        evidence.source = clock::Source::reference;
        evidence.uncertainty = 1ms;
        evidence.at = world.read();
        evidence.good_until = evidence.at.after + 64s;
        gate.add(evidence);
    }
    [[nodiscard]] std::string wish() const {
        return audit_wish(gate, demand, world.read(), 20min).value_or("none");
    }

  private:
    std::uint8_t serial_ = 0;
};

}  // namespace

TEST_CASE("an audit is asked for when there is no TAC, and before the bound runs out") {
    Desk desk;
    CHECK(desk.wish() == "the gate is closed");
    desk.deliver();
    CHECK(desk.wish() == "none");
    desk.world.advance(4h);
    CHECK(desk.wish() == "none");
    desk.world.advance(75min);  // 19,360 s at 50 ppm are its end
    CHECK(desk.wish() == "the gate closes soon");
    desk.deliver();
    CHECK(desk.wish() == "none");
}

TEST_CASE("what no TAC can prove isn't asked for again and again") {
    Desk desk;
    desk.demand.accuracy = 20ms;  // a TAC is good to 30 ms
    desk.deliver();
    CHECK(desk.wish() == "none");  // closed: the bound
    desk.measure();
    REQUIRE(std::holds_alternative<Open>(desk.gate.decide(desk.world.read(), desk.demand)));
    CHECK(desk.wish() == "none");
    // But its TAC's life has to go on.
    desk.world.advance(24h + 50min);
    desk.measure();
    CHECK(desk.wish() == "the gate closes soon");
    desk.deliver();
    CHECK(desk.wish() == "none");
}

TEST_CASE("who needs no TAC asks for none, except after an order to stop") {
    Desk desk;
    desk.demand.require_tac = false;
    CHECK(desk.wish() == "none");
    desk.measure();
    CHECK(desk.wish() == "none");
    StopOrder order;
    order.ntp_time = desk.world.read().wall;
    order.received = desk.world.read();
    order.text = "an order";
    desk.gate.stop(order);
    CHECK(desk.wish() == "the gate is closed");
}

TEST_CASE("a revoked TAA isn't asked, nor for a revoked TSU") {
    Desk desk;
    desk.deliver();
    desk.gate.withdraw(*desk.gate.tac(), "revoked");
    CHECK(desk.wish() == "none");
    desk.deliver();
    desk.gate.set_revoked("revoked");
    CHECK(desk.wish() == "none");
}
