// What has passed its time, in a real archive of several months. Tokens are in
// tests/integration/imports_test.py.
#include "audit/expire.h"

#include <catch2/catch.hpp>
#include <sstream>

#include "store/archive.h"
#include "tests/support/folder.h"
#include "tests/support/moment.h"

using namespace kokuin;
using kokuin::testing::moment;

namespace {

struct Years {
    const testing::Folder folder;
    const std::string dir = folder.path + "/archive";
    std::unique_ptr<store::Archive> archive;

    Years() {
        REQUIRE(store::Archive::create(dir, moment("2026-01-05")));
        archive = std::move(store::Archive::open(dir)).value();
    }
    void add(const char* at, const char* kind, const char* subject = "") {
        store::Event event;
        event.kind = kind;
        event.subject = subject;
        REQUIRE(archive->append(moment(at), event));
    }
    [[nodiscard]] std::vector<audit::ExpiringSegment> as_of(const char* at) const {
        auto reader = store::ArchiveReader::open(dir);
        REQUIRE(reader);
        auto found = audit::expiring(**reader, moment(at));
        if (!found) FAIL(found.error().text);
        return std::move(*found);
    }
};

}  // namespace

TEST_CASE("each kind has its years, and a month goes with its last record") {
    Years years;
    years.add("2026-01-10", "gate.closed");
    years.add("2026-01-11", "gate.opened");
    years.add("2026-01-12", "tac.accepted");
    years.add("2026-01-13", "import.room-entry", "room");
    years.add("2026-01-14", "never.heard-of");
    years.add("2026-02-01", "gate.closed");
    years.archive.reset();

    auto found = years.as_of("2026-12-31");
    REQUIRE(found.size() == 2);
    CHECK(found[0].segment == "2026-01");
    CHECK(found[0].records() == 5);
    CHECK(found[0].past() == 0);
    CHECK(found[0].ends() == moment("2036-01-14"));
    CHECK(found[1].ends() == moment("2029-02-01"));

    found = years.as_of("2027-01-13");
    CHECK(found[0].past() == 1);
    CHECK(found[0].kinds["import.room-entry"].first_past == 3);
    found = years.as_of("2029-01-10");
    CHECK(found[0].past() == 2);
    CHECK(found[0].kinds["gate.closed"].first_past == 0);
    CHECK(found[0].kinds["gate.closed"].last_past == 0);
    CHECK(found[0].kinds["gate.opened"].past == 0);
    found = years.as_of("2036-01-13");
    CHECK(found[0].past() == 4);
    CHECK(found[1].past() == 1);
    CHECK(years.as_of("2036-01-14")[0].past() == 5);
}

TEST_CASE("what is in force, or judges others, has no end") {
    Years years;
    years.add("2026-01-10", "archive.key", "log");
    years.add("2026-01-11", "custody.shared", "token");
    years.add("2026-01-12", "custody.shared", "another token");
    years.add("2026-02-10", "custody.shared", "token");
    years.add("2026-03-10", "seal.made", "2026-01");
    years.archive.reset();
    auto found = years.as_of("2090-01-01");
    REQUIRE(found.size() == 3);
    CHECK(found[0].kinds["archive.key"].stay == 1);
    CHECK(found[0].kinds["archive.key"].past == 0);
    // The one before the newest about the same token isn't in force any more.
    CHECK(found[0].kinds["custody.shared"].records == 2);
    CHECK(found[0].kinds["custody.shared"].stay == 1);
    CHECK(found[0].kinds["custody.shared"].past == 1);
    CHECK(found[0].kinds["custody.shared"].first_past == 1);
    CHECK_FALSE(found[0].ends());
    CHECK(found[1].kinds["custody.shared"].stay == 1);
    CHECK_FALSE(found[1].ends());
    // Of a month without tokens.
    CHECK(found[2].ends() == moment("2036-03-10"));
}

TEST_CASE("expire says it in words, and what is wrong in a line") {
    Years years;
    years.add("2026-01-10", "gate.closed");
    years.archive.reset();
    const auto said = [&](const std::string& at) {
        std::ostringstream out;
        audit::ExpireArguments arguments;
        arguments.archive = years.dir;
        arguments.at = at;
        const auto done = audit::list_expired(arguments, out);
        return done ? out.str() : done.error().text;
    };
    CHECK(said("2026-12-31") == "nothing has passed its time at 2026-12-31T00:00:00Z\n");
    CHECK(said("2030-01-01") ==
          "2026-01: 1 of 1 records have passed their time; the whole month may go, since "
          "2029-01-10T00:00:00Z\n  gate.closed: 1 of 1, numbers 0 to 0, kept for 3 years\n");
    CHECK(said("tomorrow").find("--at: \"tomorrow\" is no date") != std::string::npos);
}
