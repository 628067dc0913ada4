#include "tsa/journal.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/hook.h"
#include "store/event_line.h"
#include "store/reader.h"
#include "tests/store/failing_vfs.h"
#include "tests/support/folder.h"

using namespace kokuin;
using testing::Folder;

namespace {

struct SetWall final : WallClock {
    WallTime time = *from_rfc3339("2026-11-23T12:00:00Z");
    [[nodiscard]] WallTime now() const override { return time; }
};

/// An empty archive, and a clock that the test sets.
struct JournalPlace {
    const Folder folder;
    const std::string dir = folder.path + "/archive";
    SetWall wall;
    const SystemMonoClock mono;
    const tac::clock::SystemBootClock boot;
    const tac::clock::StampingClock clock{wall, mono, boot};
    JournalPlace() { REQUIRE(store::Archive::create(dir, wall.time)); }
};

store::Event event(const char* kind) {
    store::Event made;
    made.kind = kind;
    return made;
}

}  // namespace

TEST_CASE("events keep their order, and a clock that is years ahead begins no segment") {
    JournalPlace place;
    {
        auto archive = store::Archive::open(place.dir);
        REQUIRE(archive);
        tsa::Journal journal(**archive, place.clock);
        journal.later(event("hsm.lost"));
        CHECK((*archive)->state().next == 0);
        REQUIRE(journal.write(event("tac.accepted")));
        place.wall.time = *from_rfc3339("2035-06-01");
        REQUIRE(journal.keep(event("gate.closed")));
        place.wall.time = *from_rfc3339("2026-11-23T12:00:01Z");
        auto wordy = event("gate.opened");
        for (int i = 0; i < 2000; ++i) wordy.text += "時刻";
        REQUIRE(journal.keep(wordy));
        CHECK((*archive)->state().segment == "2026-11.sqlite");
    }
    auto reader = store::ArchiveReader::open(place.dir);
    REQUIRE(reader);
    std::vector<std::string> kinds;
    REQUIRE((*reader)->events({}, [&](const store::Found& found) {
        kinds.push_back(found.event().kind);
        return true;
    }));
    CHECK(kinds == std::vector<std::string>{"hsm.lost", "tac.accepted", "gate.closed", "gate.opened"});
    CHECK(*(*reader)->segments() == std::vector<std::string>{"2026-11"});
}

TEST_CASE("what the archive refuses is the environment's error, whoever caused it") {
    JournalPlace place;
    auto archive = store::Archive::open(place.dir);
    REQUIRE(archive);
    tsa::Journal journal(**archive, place.clock);
    const auto done = journal.write(event("No Such Kind"));
    REQUIRE_FALSE(done);
    CHECK(done.error().kind == Error::Kind::environment);
    CHECK((*archive)->state().next == 0);
    // It doesn't stand in the way of what comes after, and a text that isn't UTF-8 is kept as well as can be.
    CHECK_FALSE(journal.keep(event("No Such Kind")));
    auto foreign = event("tac.stop");
    foreign.text = "order of \xff\xfe";
    CHECK(journal.keep(foreign));
    CHECK((*archive)->state().next == 1);
}

TEST_CASE("keep() says what became of its own event, whoever took it to the archive") {
    JournalPlace place;
    auto archive = store::Archive::open(place.dir);
    REQUIRE(archive);
    tsa::Journal journal(**archive, place.clock);
    journal.later(event("No Such Kind"));
    CHECK(journal.keep(event("tac.stop")));
    CHECK((*archive)->state().next == 1);
    journal.later(event("No Such Kind"));
    CHECK(journal.write(event("tac.accepted")));

    // Each thread takes whatever waits to the archive; no one may be told of another's success.
    std::atomic<int> wrong{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t)
        threads.emplace_back([&, t] {
            for (int i = 0; i < 50; ++i)
                if (t % 2 == 0 ? journal.keep(event("No Such Kind")).ok()
                               : !journal.keep(event("tac.stop")).ok())
                    ++wrong;
        });
    for (auto& thread : threads) thread.join();
    CHECK(wrong == 0);
    CHECK((*archive)->state().next == 102);
    CHECK(journal.waiting() == 0);
}

TEST_CASE("what a failing archive doesn't take waits, in order, and goes in when it can") {
    using store::test::FailPlan;
    store::test::install_failing_vfs();
    JournalPlace place;
    {
        auto archive = store::Archive::open(place.dir);
        REQUIRE(archive);
        tsa::Journal journal(**archive, place.clock);
        store::test::plan_failure({FailPlan::How::full, 0, true});
        const auto kept = journal.keep(event("tac.stop"));
        REQUIRE_FALSE(kept);
        CHECK(kept.error().kind == Error::Kind::environment);
        CHECK(kept.error().text.find("make room") != std::string::npos);
        CHECK_FALSE(journal.keep(event("gate.closed")));
        CHECK_FALSE(journal.write(event("tac.accepted")));  // not before what waits, and not later either
        CHECK(journal.waiting() == 2);
        CHECK(store::test::heal() > 0);
        place.wall.time += std::chrono::minutes(5);
        REQUIRE(journal.flush());
        CHECK(journal.waiting() == 0);
    }
    auto reader = store::ArchiveReader::open(place.dir);
    REQUIRE(reader);
    std::vector<std::string> kinds;
    REQUIRE((*reader)->events({}, [&](const store::Found& found) {
        kinds.push_back(found.event().kind);
        CHECK(to_rfc3339(from_unix_us(found.record.at_us), 0) == "2026-11-23T12:00:00Z");  // when it happened
        return true;
    }));
    CHECK(kinds == std::vector<std::string>{"tac.stop", "gate.closed"});
}

TEST_CASE("the operators' hook gets each change once, in order, as JSON; what only sums up it doesn't get") {
    JournalPlace place;
    const auto file = place.folder.path + "/told";
    auto archive = store::Archive::open(place.dir);
    REQUIRE(archive);
    {
        Hook hook({{"sh", "-c", "cat >> \"$1\"", "sh", file}, seconds(10)});
        // As in tsad.cpp.
        tsa::Journal journal(**archive, place.clock, [&hook](WallTime at, const store::Event& event) {
            if (tsa::is_change(event)) hook.tell(store::event_line(at, event));
        });
        place.wall.time = from_unix_us(1'795'000'000'123'456);
        auto closed = event("gate.closed");
        closed.subject = "tsu-1";
        closed.text = "the clock \"moved\"\x1b";
        closed.fields = {
            {"cause", std::string("bound")}, {"us", std::int64_t{-7}}, {"nonce", Bytes{0xab, 1}}};
        journal.later(closed);
        hook.start();
        journal.later(event("refusals"));
        journal.later(event("reference.compared"));
        auto opened = event("gate.opened");
        for (int i = 0; i < 20; ++i) {
            opened.text = std::to_string(i);
            journal.later(opened);
        }
        hook.stop();  // what waits is still told
    }
    std::vector<nlohmann::json> told;
    std::ifstream in(file);
    for (std::string line; std::getline(in, line);) told.push_back(nlohmann::json::parse(line));
    REQUIRE(told.size() == 21);
    CHECK(told[0] == nlohmann::json({{"kind", "gate.closed"},
                                     {"at", "2026-11-18T11:06:40.123456Z"},
                                     {"subject", "tsu-1"},
                                     {"text", "the clock \"moved\"\x1b"},
                                     {"fields", {{"cause", "bound"}, {"us", -7}, {"nonce", "ab01"}}}}));
    for (int i = 0; i < 20; ++i) CHECK(told[static_cast<std::size_t>(i) + 1]["text"] == std::to_string(i));
}
