#include "taa/timetable.h"

#include <catch2/catch.hpp>

using namespace kokuin;
using namespace kokuin::taa;
using namespace std::chrono_literals;

namespace {

const MonoTime start{1000s};
const Pace pace{1h, 1min, 10s};

}  // namespace

TEST_CASE("the first audit is due at once") {
    const Timetable table(pace, start);
    CHECK(table.due() == start);
    CHECK_FALSE(table.running());
}

TEST_CASE("a settled audit is followed by one an interval after it began, never later") {
    Timetable table(pace, start);
    table.begin(start);
    CHECK(table.running());
    table.end(start + 3s, Ending::settled, 0.0);
    CHECK_FALSE(table.running());
    CHECK(table.due() == start + 1h);

    table.begin(start + 1h);
    table.end(start + 1h + 3s, Ending::settled, 0.5);  // spread: up to a tenth earlier
    CHECK(table.due() == start + 2h - 3min);
}

TEST_CASE("an audit that took longer than the interval is followed at once, not in the past") {
    Timetable table({10s, 1s, 0s}, start);
    table.begin(start);
    table.end(start + 25s, Ending::settled, 0.0);
    CHECK(table.due() == start + 25s);
}

TEST_CASE("what leads to nothing is tried again after 1 s, 2 s, 4 s … up to retry") {
    Timetable table(pace, start);
    MonoTime now = start;
    for (const auto wait : {1s, 2s, 4s, 8s, 16s, 32s, 60s, 60s, 60s}) {
        table.begin(now);
        table.end(now, Ending::open, 0.0);
        CHECK(table.due() == now + wait);
        now = table.due();
    }
    SECTION("and quickly again after a success in between") {
        table.begin(now);
        table.end(now, Ending::settled, 0.0);
        now = table.due();
        table.begin(now);
        table.end(now, Ending::open, 0.0);
        CHECK(table.due() == now + 1s);
    }
}

TEST_CASE("a refused TAC is tried again ever more slowly, up to the interval") {
    Timetable table(pace, start);
    MonoTime now = start;
    for (int i = 0; i < 12; ++i) {
        table.begin(now);
        table.end(now, Ending::refused, 0.0);
        CHECK(table.due() == now + std::min<nanoseconds>(1h, 1s * (1 << i)));
        now = table.due();
    }
    table.begin(now);
    table.end(now, Ending::refused, 0.0);
    CHECK(table.due() == now + 1h);
}

TEST_CASE("retry never outlasts the interval") {
    Timetable table({2s, 1h, 0s}, start);
    MonoTime now = start;
    for (int i = 0; i < 5; ++i) {
        table.begin(now);
        table.end(now, Ending::open, 0.0);
        CHECK(table.due() - now <= 2s);
        now = table.due();
    }
}

TEST_CASE("a request brings the next audit forward, but keeps the spacing") {
    Timetable table(pace, start);
    CHECK_FALSE(table.begin(start));
    table.end(start + 1s, Ending::settled, 0.0);

    SECTION("soon after an audit: when the spacing is over") {
        const auto answer = table.request(start + 4s);
        CHECK_FALSE(answer.running);
        CHECK(answer.in == 6s);
        CHECK(table.due() == start + 10s);
        CHECK(table.request(start + 9s).in == 1s);  // asking again changes nothing
        CHECK(table.begin(start + 10s));            // it knows that it was asked for
        table.end(start + 10s, Ending::settled, 0.0);
        CHECK_FALSE(table.begin(start + 1h));
    }
    SECTION("later: at once") {
        const auto answer = table.request(start + 20min);
        CHECK(answer.in == 0s);
        CHECK(table.due() == start + 20min);
    }
    SECTION("never postpones one that is due earlier") {
        table.begin(start + 1h);
        table.end(start + 1h, Ending::open, 0.0);
        CHECK(table.request(start + 1h).in == 1s);
        CHECK(table.due() == start + 1h + 1s);
    }
    SECTION("a running one serves the request") {
        table.begin(start + 1h);
        CHECK(table.request(start + 1h + 1s).running);
        table.end(start + 1h + 2s, Ending::settled, 0.0);
        CHECK(table.due() == start + 2h);
    }
}

TEST_CASE("before the first audit a request waits for no spacing") {
    Timetable table(pace, start);
    CHECK(table.request(start).in == 0s);
}

TEST_CASE("an operator's step brings the next audit forward, also past the one that runs") {
    Timetable table(pace, start);
    CHECK_FALSE(table.begin(start));
    table.end(start + 1s, Ending::settled, 0);
    REQUIRE(table.due() > start + 30min);
    table.bring_forward(start + 2s);
    CHECK(table.due() == start + 2s);
    CHECK_FALSE(table.begin(start + 2s));  // no TSU asked for it
    table.bring_forward(start + 3s);
    CHECK(table.running());
    table.end(start + 4s, Ending::settled, 0);
    CHECK(table.due() == start + 4s);
    CHECK_FALSE(table.begin(start + 4s));
    table.end(start + 5s, Ending::settled, 0);
    CHECK(table.due() > start + 30min);
}
