#include "tac/clock/reference.h"

#include <catch2/catch.hpp>

#include "tests/clock/world.h"

using namespace kokuin;
using namespace kokuin::tac::clock;
using State = Reference::State;
using world::World;

namespace {

// What chronyc 4.3 printed.
const std::string good =
    "7F00000C,127.0.0.12,3,1795603644.035379412,-0.000003014,0.000000434,0.000000751,0.094,0.051,2.118,"
    "0.000007765,0.000003118,1.0,Normal\n"
    "+,127.0.0.11,N,-,-,-,-,-,-,-,-,-,-,0,1.0,-0.000002258,0.000022106,Normal\n"
    "*,127.0.0.12,N,-,-,-,-,-,-,-,-,-,-,0,1.0,-0.000017632,0.000016413,Normal\n"
    "x,127.0.0.13,N,-,-,-,-,-,-,-,-,-,-,0,1.0,0.299978793,0.300020456,Normal\n"
    "^,+,127.0.0.11,2,0,377,0,0.000005409,0.000005409,0.000009992\n"
    "^,*,127.0.0.12,2,0,377,0,-0.000000944,-0.000000510,0.000003918\n"
    "^,x,127.0.0.13,2,0,377,1,0.300004233,0.300004627,0.000008859\n"
    "7F00000C,127.0.0.12,3,1795603644.035379412,-0.000003014,0.000000434,0.000000751,0.094,0.051,2.118,"
    "0.000007765,0.000003118,1.0,Normal\n";
const std::string unsynchronised =
    "00000000,,0,0.000000000,0.000000000,0.000000000,0.000000000,0.000,0.000,0.000,1.000000000,1.000000000,0."
    "0,"
    "Not synchronised\n"
    "s,127.0.0.11,N,-,-,-,-,-,-,-,-,-,-,0,1.0,0.000000000,0.000000000,Not synchronised\n"
    "^,?,127.0.0.11,0,4,0,4294967295,0.000000000,0.000000000,0.000000000\n"
    "00000000,,0,0.000000000,0.000000000,0.000000000,0.000000000,0.000,0.000,0.000,1.000000000,1.000000000,0."
    "0,"
    "Not synchronised\n";

std::string with_last_column(const std::string& leap) {
    return good.substr(0, good.rfind(',') + 1) + leap + "\n";
}

/// chrony on a machine: measures at once when told to, and goes on telling its last offset otherwise.
struct Chrony {
    World& world;
    int measurements = 0;
    nanoseconds offset{0};
    nanoseconds wrong{0};
    std::size_t agreeing = 3;
    nanoseconds reach{0};
    double skew_ppm = 2;
    bool torn = false;
    bool answers = true;
    bool synchronised = true;

    void measure() {
        ++measurements;
        offset = world.error() + wrong;
    }
    [[nodiscard]] Result<chrony::Report> report() const {
        if (!answers) return Error::environment("no answer");
        chrony::Report report;
        report.tracking.synchronised = synchronised && measurements > 0;
        report.tracking.measured = std::to_string(measurements);
        report.tracking.offset = offset;
        report.tracking.root_delay = milliseconds(4);
        report.tracking.root_dispersion = milliseconds(1);
        report.tracking.skew_ppm = skew_ppm;
        report.torn = torn;
        report.sources = {3, agreeing, 0, 3 - agreeing, reach};
        return report;
    }
};

struct Place {
    World world;
    Chrony chrony{world};
    Reference reference{ReferenceRules{}};
    ErrorBound error;

    Place() { reference.started(); }
    /// `time` passes, with a look every second; chrony measures every `poll`.
    Reference::Seen live(nanoseconds time, nanoseconds poll = seconds(16)) {
        Reference::Seen seen;
        for (nanoseconds passed{0}; passed < time; passed += seconds(1)) {
            world.advance(seconds(1));
            since_ += seconds(1);
            if (since_ >= poll) {
                chrony.measure();
                since_ = nanoseconds(0);
            }
            seen = look();
        }
        return seen;
    }
    Reference::Seen look() {
        const auto report = chrony.report();
        const auto now = world.read();
        auto seen = reference.look(report, now, now);
        if (seen.evidence) error.add(*seen.evidence);
        return seen;
    }
    [[nodiscard]] bool holds() const {
        const Bound bound = error.at(world.read());
        return bound.state == Bound::State::known && bound.low <= world.error_read() &&
               world.error_read() <= bound.high;
    }

  private:
    nanoseconds since_{0};
};

}  // namespace

TEST_CASE("chrony: what chronyc prints") {
    const auto report = chrony::parse(good);
    REQUIRE(report);
    CHECK(report->sources.configured == 3);
    CHECK(report->sources.agreeing == 2);
    CHECK(report->sources.falsetickers == 1);
    CHECK(report->sources.text() == "2 of 3 sources agree, 1 is a falseticker");
    const auto& tracking = report->tracking;
    CHECK(tracking.synchronised);
    CHECK(tracking.leap == 0);
    CHECK(tracking.source == "127.0.0.12");
    CHECK(tracking.stratum == 3);
    CHECK(tracking.measured == "1795603644.035379412");
    // "System time: 0.000003017 seconds fast of NTP time": our clock is ahead.
    CHECK(tracking.offset == nanoseconds(3014));
    CHECK(tracking.root_delay == nanoseconds(7765));
    CHECK(tracking.root_dispersion == nanoseconds(3118));
    CHECK(tracking.interval == seconds(1));
    CHECK(tracking.last_offset == nanoseconds(434));
    CHECK(tracking.rate_ppm == 0.094);
    CHECK(tracking.skew_ppm == 2.118);
    CHECK_FALSE(report->torn);
    // A measurement that came between the answers.
    auto torn = good;
    torn.replace(torn.find("1795603644.03"), 13, "1795603643.03");
    CHECK(chrony::parse(torn)->torn);
    // From chrony's own time the narrower of the two that agree reaches 22.106 us, the other one 17.632 us.
    CHECK(chrony::parse(good, seconds(64), 1)->sources.reach == nanoseconds(22'106));
    CHECK(chrony::parse(good, seconds(64), 2)->sources.reach == nanoseconds(22'106));
    // A wider one is only asked for if two must agree; a falseticker never.
    auto wide = good;
    wide.replace(wide.find("-0.000002258"), 12, "-0.100000000");
    CHECK(chrony::parse(wide, seconds(64), 1)->sources.reach == nanoseconds(17'632));
    CHECK(chrony::parse(wide, seconds(64), 2)->sources.reach == milliseconds(100));
    CHECK(chrony::parse(wide, seconds(64), 3)->sources.reach == milliseconds(100));
    CHECK(chrony::parse(with_last_column("Insert second"))->tracking.leap == 1);
    CHECK(chrony::parse(with_last_column("Delete second"))->tracking.leap == -1);

    const auto none = chrony::parse(unsynchronised);
    REQUIRE(none);
    CHECK_FALSE(none->tracking.synchronised);
    CHECK(none->sources.text() == "0 of 1 source agrees, 1 can't be reached");
}

TEST_CASE("chrony: sources agree whether it averages over them or not") {
    // What chronyc 4.3 printed of three good servers on one machine: which are 'D' changes with each
    // measurement.
    for (const char state : {'D', 'P', 'U', 'W'}) {
        auto text = good;
        text[text.find('\n') + 1] = state;
        CHECK(chrony::parse(text)->sources.agreeing == 2);
    }
    for (const char state : {'N', 's', 'M', 'd', '~', 'w', 'S', 'O', 'x', '?'}) {
        auto text = good;
        text[text.find('\n') + 1] = state;
        INFO(state);
        CHECK(chrony::parse(text)->sources.agreeing == 1);
    }
}

TEST_CASE("chrony's first words, before it knows how fast the clock runs, are no measurement yet") {
    Place place;
    place.chrony.measure();
    place.chrony.skew_ppm = 1'000'000;
    CHECK(place.look().state == State::starting);
    place.live(seconds(2), std::chrono::hours(1));
    place.chrony.measure();
    CHECK_FALSE(place.look().evidence);
    CHECK(place.look().state == State::starting);
    place.chrony.measure();
    place.chrony.skew_ppm = 87;
    const auto seen = place.look();
    CHECK(seen.evidence);
    CHECK(seen.state == State::good);
}

TEST_CASE("chrony: beside an authenticated source others agree if they overlap it") {
    // 'T': doesn't contain the interval of a source that is trusted more.
    auto text = good;
    text[text.find('\n') + 1] = 'T';
    CHECK(chrony::parse(text)->sources.agreeing == 2);
    // A liar doesn't overlap.
    text.replace(text.find("-0.000002258"), 12, " 0.299000000");
    text.replace(text.find(" 0.299000000"), 1, "");
    text.replace(text.find("0.000022106"), 11, "0.301000000");
    const auto report = chrony::parse(text);
    REQUIRE(report);
    CHECK(report->sources.agreeing == 1);
}

TEST_CASE("chrony: a server that is decades off is outvoted as any other one") {
    auto text = good;
    text.replace(text.find("0.299978793"), 11, "-619315200.5");
    text.replace(text.find("0.300020456"), 11, "-619315199.5");
    const auto report = chrony::parse(text, seconds(64), 2);
    REQUIRE(report);
    CHECK(report->sources.falsetickers == 1);
    CHECK(report->sources.reach == nanoseconds(22'106));
}

TEST_CASE("what is told between two measurements is looked at again") {
    Place place;
    place.chrony.measure();
    (void)place.look();
    place.live(seconds(2), std::chrono::hours(1));
    place.chrony.measure();
    place.chrony.torn = true;
    CHECK_FALSE(place.look().evidence);
    place.chrony.torn = false;
    CHECK(place.look().evidence);
}

TEST_CASE("chrony: a liar with a narrow interval doesn't make the error narrow") {
    // Its 10 us are inside the +/- 50 ms of two honest ones; chrony follows it and tells its root distance.
    Place place;
    place.chrony.measure();
    (void)place.look();
    place.live(seconds(2), std::chrono::hours(1));
    place.chrony.reach = milliseconds(63);
    place.chrony.measure();
    const auto wide = place.look().evidence;
    REQUIRE(wide);
    CHECK(wide->uncertainty >= milliseconds(63));
    CHECK(wide->uncertainty < milliseconds(65));
}

TEST_CASE("chrony: anything else is named as another version's") {
    for (const std::string& text :
         {std::string(), std::string("506 Cannot talk to daemon\n"), good + "one more\n",
          good.substr(good.find('\n') + 1),
          good.substr(0, good.find('\n') + 1) + "*" + good.substr(good.find('\n') + 1),
          good.substr(0, good.size() - 8), with_last_column("Confused"),
          std::string("7F00000C,x,3,1.0,zero,0,0,0,0,0,0,0,0,Normal\n"),
          std::string("7F00000C,x,3,1.0,1e300,0,0,0,0,0,0,0,0,Normal\n"),
          std::string("7F00000C,x,3,1.0,nan,0,0,0,0,0,0,0,0,Normal\n"),
          std::string("7F00000C,x,3,1.0,0,0,0,0,0,0,0,-1,0,Normal\n")}) {
        INFO(text);
        const auto report = chrony::parse(text);
        REQUIRE_FALSE(report);
        CHECK(report.error().kind == Error::Kind::environment);
        CHECK(report.error().text.find("another version") != std::string::npos);
    }
}

TEST_CASE("reference: evidence comes with each new measurement, and only then") {
    Place place;
    place.world.step_c(milliseconds(250));
    CHECK(place.live(seconds(15)).state == State::starting);
    int taken = 0;
    for (int i = 0; i < 160; ++i) taken += place.live(seconds(1)).evidence.has_value();
    CHECK(taken == 10);
    CHECK(place.holds());
    const Bound bound = place.error.at(place.world.read());
    CHECK(bound.by_reference);
    // Half the root delay and the dispersion, and 50 ppm of 16 s.
    CHECK(bound.high - bound.low < milliseconds(8));
    CHECK(place.look().state == State::good);
}

TEST_CASE("reference: the first word of a chrony that has run before is not believed") {
    // Its measurement may be old: only the next one has a date.
    Place place;
    place.chrony.measure();
    CHECK_FALSE(place.look().evidence);
    CHECK_FALSE(place.live(seconds(14)).evidence);
    CHECK(place.live(seconds(2)).evidence.has_value());
}

TEST_CASE("reference: a source that has died makes it stale, though chrony says as before") {
    Place place;
    CHECK(place.live(seconds(64)).state == State::good);
    const auto never = std::chrono::hours(1);
    CHECK(place.live(seconds(50), never).state == State::good);
    const auto seen = place.live(seconds(16), never);
    CHECK(seen.state == State::stale);
    CHECK(seen.text.find("older than 64 s") != std::string::npos);
    CHECK(place.error.at(place.world.read()).state == Bound::State::no_evidence);
    CHECK(place.live(seconds(16)).state == State::good);
}

TEST_CASE("reference: silence, no time, too few sources") {
    Place place;
    CHECK(place.live(seconds(33)).state == State::good);
    place.chrony.answers = false;
    CHECK(place.live(seconds(1)).state == State::silent);
    CHECK(place.holds());  // what was measured still counts
    place.chrony.answers = true;
    place.chrony.synchronised = false;
    CHECK(place.live(seconds(1)).state == State::unsynchronised);
    place.chrony.synchronised = true;
    place.reference = Reference({seconds(64), 2, milliseconds(5), seconds(1024)});
    place.reference.started();
    CHECK(place.live(seconds(33)).state == State::good);
    place.chrony.agreeing = 1;
    const auto seen = place.live(seconds(17));
    CHECK(seen.state == State::unsynchronised);
    CHECK(seen.text == "has no time to tell: 1 of 3 sources agree, 2 can't be reached, 2 must");
    CHECK_FALSE(seen.evidence);
}

TEST_CASE("reference: a step of C that chrony doesn't know of yet moves the bound at once") {
    const auto by = GENERATE(as<nanoseconds>(), milliseconds(900), -milliseconds(900), seconds(-30));
    Place place;
    REQUIRE(place.live(seconds(65)).state == State::good);
    place.world.step_c(by);
    // It goes on saying what it said before.
    const auto seen = place.live(seconds(3), std::chrono::hours(1));
    CHECK_FALSE(seen.evidence);
    CHECK(seen.wants_reset);
    CHECK(place.holds());
    CHECK(place.error.at(place.world.read()).largest() > std::chrono::abs(by) - milliseconds(5));
}

TEST_CASE("reference: what chrony says after a step is a mixture, and taken for no more than that") {
    Place place;
    REQUIRE(place.live(seconds(65)).state == State::good);
    place.world.step_c(milliseconds(900));
    // As seen of chrony 4.3, which says 0.041 and then 1.698 after a step of 0.9: with dispersions of 0.1,
    // 0.6.
    for (const auto wrong : {milliseconds(-859), milliseconds(798)}) {
        place.chrony.wrong = wrong;
        const auto seen = place.live(seconds(17));
        CHECK(seen.wants_reset);
        if (seen.evidence) CHECK(seen.evidence->uncertainty >= milliseconds(859));
        CHECK(place.holds());
    }
    // Started anew it is right, and as narrow as before.
    place.chrony.wrong = {};
    place.reference.started();
    CHECK(place.live(seconds(1)).state == State::good);
    CHECK_FALSE(place.live(seconds(33)).wants_reset);
    CHECK(place.holds());
}

TEST_CASE("reference: a step between a measurement and the look that finds it costs its size") {
    Place place;
    REQUIRE(place.live(seconds(64)).state == State::good);
    place.world.advance(milliseconds(300));
    place.chrony.measure();
    place.world.advance(milliseconds(300));
    place.world.step_c(milliseconds(900));
    place.world.advance(milliseconds(400));
    const auto seen = place.look();
    REQUIRE(seen.evidence);
    CHECK(seen.evidence->uncertainty >= milliseconds(900));
    CHECK(place.holds());
}

TEST_CASE("reference: a clock that is slewed at a steady rate is followed, its bends cost") {
    Place place;
    REQUIRE(place.live(seconds(64)).state == State::good);
    place.world.rate_c = 500e-6;
    bool reset = false;
    for (int i = 0; i < 60 && !reset; ++i) {
        reset = place.live(seconds(1)).wants_reset;
        CHECK(place.holds());
    }
    CHECK(reset);
    place.reference.started();
    CHECK(place.live(seconds(128)).state == State::good);
    CHECK_FALSE(place.look().wants_reset);
    CHECK(place.holds());
}

TEST_CASE("reference: a suspend voids what was measured before it") {
    Place place;
    REQUIRE(place.live(seconds(64)).state == State::good);
    place.world.suspend(std::chrono::hours(2));
    CHECK(place.error.at(place.world.read()).state == Bound::State::slept);
    CHECK(place.look().wants_reset);
    place.reference.started();
    CHECK(place.live(seconds(33)).state == State::good);
    CHECK(place.holds());
}

TEST_CASE("a measurement heard of after a silence is as old as it can be") {
    Place place;
    place.live(seconds(40));
    REQUIRE(place.look().state == State::good);
    // chrony measures once more, can't be asked for a long time, and measures nothing more meanwhile.
    place.chrony.answers = false;
    place.live(seconds(2));
    place.chrony.measure();
    place.live(seconds(50), std::chrono::hours(1));
    place.chrony.answers = true;
    const auto seen = place.look();
    REQUIRE(seen.evidence);
    CHECK(seen.evidence->good_until - seen.evidence->at.after < seconds(15));
    place.live(seconds(15), std::chrono::hours(1));
    CHECK(place.look().state == State::stale);
}

TEST_CASE("a measurement made while too few agreed isn't new when enough do again") {
    Place place;
    place.live(seconds(40));
    place.chrony.agreeing = 0;
    place.live(seconds(2), std::chrono::hours(1));
    place.chrony.measure();
    place.live(seconds(40), std::chrono::hours(1));
    place.chrony.agreeing = 3;
    CHECK_FALSE(place.look().evidence);
    place.live(seconds(10), std::chrono::hours(1));
    CHECK_FALSE(place.look().evidence);
    place.chrony.measure();
    CHECK(place.look().evidence);
}

TEST_CASE("a source that has died doesn't count, whatever chrony thinks of it") {
    // What chronyc 4.3 printed three minutes after two of three servers had been killed.
    const std::string two_dead =
        "7F00000C,127.0.1.1,3,1795603644.035379412,-0.000003014,0.000000434,0.000000751,0.094,0.051,2.118,"
        "0.000007765,0.000003118,1.0,Normal\n"
        "+,127.0.1.1,N,-,-,-,-,-,-,-,-,-,-,0,1.0,-0.000002258,0.000022106,Normal\n"
        "+,127.0.1.2,N,-,-,-,-,-,-,-,-,-,-,0,1.0,-0.000017632,0.000016413,Normal\n"
        "*,127.0.1.3,N,-,-,-,-,-,-,-,-,-,-,0,1.0,-0.000017632,0.000016413,Normal\n"
        "^,+,127.0.1.1,2,4,377,3,0.000005409,0.000005409,0.000009992\n"
        "^,+,127.0.1.2,1,4,0,195,-0.000000944,-0.000000510,0.000003918\n"
        "^,*,127.0.1.3,1,4,1,65,0.000004233,0.000004627,0.000008859\n"
        "7F00000C,127.0.1.1,3,1795603644.035379412,-0.000003014,0.000000434,0.000000751,0.094,0.051,2.118,"
        "0.000007765,0.000003118,1.0,Normal\n";
    const auto report = chrony::parse(two_dead);
    REQUIRE(report);
    CHECK(report->sources.agreeing == 1);
    CHECK(report->sources.unreachable == 2);
    CHECK(chrony::parse(two_dead, seconds(65))->sources.agreeing == 2);
}

TEST_CASE("chrony's times are compared as times") {
    Place place;
    place.live(seconds(40));
    auto report = place.chrony.report();
    REQUIRE(report);
    const auto look = [&](const std::string& measured) {
        report->tracking.measured = measured;
        const auto now = place.world.read();
        return place.reference.look(report, now, now).evidence.has_value();
    };
    look("1795603644.035379412");
    CHECK(look("1795603660.000000001"));
    CHECK_FALSE(look("1795603660.000000001"));
    // An older one, read back from a dump or after a clock that was turned back, is no measurement.
    CHECK_FALSE(look("1795603659.999999999"));
    CHECK(look("1795603675.1"));
    CHECK_FALSE(look("999999999.000000000"));
}
