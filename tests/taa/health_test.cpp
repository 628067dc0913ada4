#include "taa/health.h"

#include <catch2/catch.hpp>

#include "tests/pki/workshop.h"

using namespace kokuin;
using namespace kokuin::taa;
using namespace std::chrono_literals;

namespace {

Report unreachable() {
    Report report;
    report.tsu = "tsu-1";
    report.outcome = Outcome::unreachable;
    report.text = "connection refused";
    return report;
}

Report issued(Outcome outcome, tac::DeliveryVerdict::Kind kind) {
    Report report;
    report.tsu = "tsu-1";
    report.outcome = outcome;
    report.text = outcome == Outcome::stop ? "the clock is 600ms ahead" : "";
    report.sample.emplace();
    report.sample->measurement.offset = outcome == Outcome::stop ? 600ms : 1ms;
    report.issued.emplace();
    report.issued->serial = "0a";
    report.record = 7;
    report.verdict.emplace();
    report.verdict->kind = kind;
    return report;
}

constexpr nanoseconds patience = 30s;
const Report good = issued(Outcome::good, tac::DeliveryVerdict::Kind::accepted);
const Report stop = issued(Outcome::stop, tac::DeliveryVerdict::Kind::stop_accepted);

}  // namespace

TEST_CASE("a TSU that can't be reached for long is told once, and once that it is back", "[health]") {
    Health health(patience);
    MonoTime now{1000s};
    CHECK_FALSE(health.take(good, now));
    CHECK_FALSE(health.take(unreachable(), now += 1h));
    CHECK_FALSE(health.take(unreachable(), now += 1s));
    CHECK_FALSE(health.take(unreachable(), now += patience - 2s));
    const auto lost = health.take(unreachable(), now += 1s);
    REQUIRE(lost);
    CHECK(lost->kind == "tsu.unreachable");
    CHECK(lost->subject == "tsu-1");
    CHECK(lost->text == "can't be reached for 30 s: connection refused");
    CHECK(std::get<std::int64_t>(lost->fields.at("tries")) == 4);
    CHECK_FALSE(health.take(unreachable(), now += 1h));
    const auto back = health.take(good, now += 1s);
    REQUIRE(back);
    CHECK(back->kind == "tsu.fine");
    CHECK(back->text == "has taken a TAC again");
    CHECK_FALSE(health.take(good, now += 1h));
}

TEST_CASE("a TSU that only starts again is no news", "[health]") {
    Health health(patience);
    MonoTime now{1000s};
    for (int i = 0; i < 3; ++i) {
        CHECK_FALSE(health.take(unreachable(), now += 20s));
        CHECK_FALSE(health.take(good, now += 20s));
    }
    // The TAA's own clock, and that it isn't admitted, is nothing about the TSU.
    auto own = unreachable();
    own.outcome = Outcome::own_clock;
    for (int i = 0; i < 9; ++i) CHECK_FALSE(health.take(own, now += 20s));
    CHECK_FALSE(health.take(unreachable(), now += 1s));
    own.outcome = Outcome::not_admitted;
    for (int i = 0; i < 9; ++i) CHECK_FALSE(health.take(own, now += 20s));
}

TEST_CASE("what was before a suspension isn't counted after it", "[health]") {
    Health health(patience);
    MonoTime now{1000s};
    auto suspended = unreachable();
    suspended.outcome = Outcome::not_admitted;
    CHECK_FALSE(health.take(unreachable(), now));
    CHECK_FALSE(health.take(suspended, now += 1h));
    CHECK_FALSE(health.take(unreachable(), now += 1h));
}

TEST_CASE("whatever else keeps a TSU without TACs for long is told once, too", "[health]") {
    Health health(patience);
    MonoTime now{1000s};
    auto refused = issued(Outcome::good, tac::DeliveryVerdict::Kind::refused);
    refused.verdict->reason = "chain";
    refused.verdict->text = "no path";
    CHECK_FALSE(health.take(refused, now));
    CHECK_FALSE(health.take(unreachable(), now += 20s));
    const auto lost = health.take(refused, now += 20s);
    REQUIRE(lost);
    CHECK(lost->kind == "tsu.failing");
    CHECK(lost->text == "no audit led to a TAC for 40 s: it refuses its TAC (chain): no path");
    CHECK(std::get<std::string>(lost->fields.at("outcome")) == "good");
    CHECK_FALSE(health.take(unreachable(), now += 1h));
    CHECK(health.take(good, now += 1s)->kind == "tsu.fine");
}

TEST_CASE("what was said before a restart isn't said again, and is taken back", "[health]") {
    workshop::Folder folder;
    SystemWallClock wall;
    REQUIRE(store::Archive::create(folder.at("archive"), wall.now()));
    auto archive = store::Archive::open(folder.at("archive"));
    REQUIRE(archive);
    MonoTime now{1000s};
    const auto record = [&](const std::optional<store::Event>& event) {
        REQUIRE(event);
        REQUIRE((*archive)->append(wall.now(), *event));
    };
    {
        Health health(patience);
        REQUIRE(health.restore(**archive, "tsu-1"));
        CHECK_FALSE(health.take(unreachable(), now));
        record(health.take(unreachable(), now += 1h));
    }
    {
        Health health(patience);
        REQUIRE(health.restore(**archive, "tsu-1"));
        CHECK_FALSE(health.take(unreachable(), now += 1h));
        CHECK_FALSE(health.take(unreachable(), now += 1h));
        record(health.take(good, now += 1h));
        record(health.take(stop, now += 1h));
    }
    Health health(patience);
    REQUIRE(health.restore(**archive, "tsu-1"));
    CHECK_FALSE(health.take(stop, now += 1h));
    CHECK(health.take(good, now += 1h)->text == "is within its limit again");
}

TEST_CASE("an order to stop is told once, and once that the clock is right again", "[health]") {
    Health health(patience);
    MonoTime now{1000s};
    const auto ordered = health.take(stop, now);
    REQUIRE(ordered);
    CHECK(ordered->kind == "tsu.stopped");
    CHECK(ordered->text == "the clock is 600ms ahead");
    CHECK(std::get<std::int64_t>(ordered->fields.at("offset_us")) == 600'000);
    CHECK_FALSE(health.take(stop, now += 1min));
    // A good TAC that it refuses changes nothing.
    CHECK_FALSE(health.take(issued(Outcome::good, tac::DeliveryVerdict::Kind::refused), now += 1min));
    CHECK_FALSE(health.take(stop, now += 1min));
    const auto fine = health.take(good, now += 1min);
    REQUIRE(fine);
    CHECK(fine->kind == "tsu.fine");
    CHECK(fine->text == "is within its limit again");
}
