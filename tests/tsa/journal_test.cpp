#include "tsa/journal.h"

#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>

#include "store/reader.h"

using namespace kokuin;

namespace {

struct SetWall final : WallClock {
    WallTime time = *from_rfc3339("2026-11-23T12:00:00Z");
    [[nodiscard]] WallTime now() const override { return time; }
};

struct Folder {
    std::string path = "/tmp/kokuin-test-XXXXXX";
    Folder() { REQUIRE(mkdtemp(path.data())); }
    ~Folder() { std::filesystem::remove_all(path); }
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;
};

/// An empty archive, and a clock that the test sets.
struct Place {
    const Folder folder;
    const std::string dir = folder.path + "/archive";
    SetWall wall;
    const SystemMonoClock mono;
    const tac::clock::SystemBootClock boot;
    const tac::clock::StampingClock clock{wall, mono, boot};
    Place() { REQUIRE(store::Archive::create(dir, wall.time)); }
};

store::Event event(const char* kind) {
    store::Event made;
    made.kind = kind;
    return made;
}

}  // namespace

TEST_CASE("events keep their order, and a clock that is years ahead begins no segment") {
    Place place;
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
    Place place;
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
