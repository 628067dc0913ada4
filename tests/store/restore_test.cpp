// An archive that is gone comes back from a copy, as far as that goes, and says how far.
#include <sys/mount.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "store/archive.h"
#include "store/backup.h"
#include "store/restore.h"
#include "store/segment.h"
#include "tests/store/log_key.h"
#include "tests/store/support.h"

using namespace kokuin;
using namespace kokuin::store;
using namespace kokuin::store::test;
namespace fs = std::filesystem;

namespace {

struct Set {
    Folder folder;
    std::string dir = folder / "archive";
    std::string copy = folder / "copy";
    LogKey key;
    std::unique_ptr<Archive> archive = fresh_archive(dir);
    std::uint64_t seed = 0;
    tlog::Note witnessed;

    Set() { tell_key(); }
    void tell_key() {
        Event event;
        event.kind = "archive.key";
        event.subject = archive->origin();
        event.fields["verifier"] = key.verifier(archive->origin()).text();
        REQUIRE(archive->append(at(noon), event));
    }
    void stamp(int count, std::int64_t time = noon) {
        for (int i = 0; i < count; ++i, ++seed) {
            const Sample made = sample(seed, time);
            REQUIRE(archive->append(at(time), made.issuance, made.blobs));
        }
    }
    void sign() {
        const auto head = archive->head();
        witnessed = key.sign(archive->origin(), head);
        REQUIRE(archive->add_checkpoint(head, witnessed));
    }
    void back_up() { REQUIRE(backup(dir, copy)); }
    /// The archive's folder goes, or is moved away.
    void lose(const std::string& to = "") {
        archive.reset();
        if (to.empty())
            fs::remove_all(dir);
        else
            fs::rename(dir, to);
    }
    RestorePlan plan() {
        RestorePlan plan;
        plan.from = copy;
        plan.to = dir;
        plan.witnessed = witnessed;
        return plan;
    }
    void refused(const RestorePlan& plan, Error::Kind kind, const std::string& why) {
        const bool was_there = fs::exists(plan.to);
        const auto restore = Restore::begin(plan);
        REQUIRE_FALSE(restore);
        CHECK_THAT(restore.error().text, Catch::Contains(why));
        CHECK(restore.error().kind == kind);
        CHECK(fs::exists(plan.to) == was_there);
        CHECK_FALSE(fs::exists(plan.to + ".restoring"));
    }
    std::string restored(const RestorePlan& plan, std::int64_t time = noon) {
        auto restore = Restore::begin(plan);
        if (!restore) FAIL(restore.error().text);
        Event event;
        event.text = "restored by a test";
        Event other;
        other.kind = "custody.activated";
        other.blobs = {Blob(noise(1, 99)).id()};
        const auto origin = (*restore)->finish(at(time), event, {{other, {Blob(noise(1, 99))}}});
        if (!origin) FAIL(origin.error().text);
        return *origin;
    }
};

const Event& event_of(const Found& found) {
    return std::get<Event>(found.record.body);
}

}  // namespace

TEST_CASE("a whole copy brings everything back; a new log goes on over the same tree") {
    Set set;
    set.stamp(300);
    set.sign();
    const auto old_origin = set.archive->origin();
    const auto old_head = set.archive->head();
    const auto id = set.archive->id();
    set.back_up();
    set.lose();
    const auto origin = set.restored(set.plan());
    CHECK(origin != old_origin);
    CHECK(origin.starts_with("kokuin/"));
    CHECK_FALSE(fs::exists(set.dir + ".restoring"));
    CHECK(*list_segments(set.dir) == std::vector<std::string>{"2026-11", "2026-11.02"});

    auto opened = Archive::open(set.dir);
    REQUIRE(opened);
    Archive& archive = **opened;
    CHECK(archive.id() == id);
    CHECK(archive.origin() == origin);
    CHECK(archive.checkpoint().empty());  // nobody has signed anything of this log yet
    CHECK(archive.state().covered == 0);
    const auto records = all_records(set.dir);
    REQUIRE(records.size() == 303);
    const Event& told = event_of(records[301]);
    CHECK(told.kind == "archive.restored");
    CHECK(told.subject == origin);
    CHECK(std::get<std::string>(told.fields.at("from_origin")) == old_origin);
    CHECK(std::get<std::int64_t>(told.fields.at("size")) == 301);
    CHECK(std::get<Bytes>(told.fields.at("root")) == Bytes(old_head.root.begin(), old_head.root.end()));
    CHECK(std::get<std::int64_t>(told.fields.at("lost")) == 0);
    CHECK(told.blobs.empty());
    CHECK(event_of(records[302]).kind == "custody.activated");
    CHECK(*archive.blob(event_of(records[302]).blobs.front()) == noise(1, 99));

    // It goes on, month by month, and its copy with it: the one it came from, too.
    set.archive = std::move(*opened);
    set.tell_key();
    set.stamp(5);
    set.sign();
    set.stamp(5, december);
    set.sign();
    CHECK(*list_segments(set.dir) == std::vector<std::string>{"2026-11", "2026-11.02", "2026-12"});
    const auto again = backup(set.dir, set.copy);
    REQUIRE(again);
    CHECK(again->before == 301);
    CHECK(again->records == 314);
    CHECK(again->segments == *list_segments(set.dir));
    CHECK(all_records(set.copy).size() == 314);
    // Programs that know nothing of such archives must refuse all of it.
    for (const std::string& place : {set.dir, set.copy}) {
        const auto names = list_segments(place);
        for (const std::string& name : *names) {
            auto file = sqlite::Database::open(segment_path(place, name), sqlite::Database::Mode::read);
            REQUIRE(file);
            CHECK(*file->integer("PRAGMA user_version") == 5);
        }
    }

    // And once more in the same month.
    set.lose();
    const auto third = set.restored(set.plan(), december);
    CHECK(third != origin);
    CHECK(list_segments(set.dir)->back() == "2026-12.02");
    CHECK(Archive::open(set.dir));
}

TEST_CASE(
    "in a later month the new log begins with that month; without a witness nobody knows what is lost") {
    Set set;
    set.stamp(1);
    set.back_up();
    set.stamp(1);
    set.lose();
    auto plan = set.plan();
    plan.witnessed.reset();
    set.restored(plan, december);
    CHECK(*list_segments(set.dir) == std::vector<std::string>{"2026-11", "2026-12"});
    const auto records = all_records(set.dir);
    REQUIRE(records.size() == 4);
    const auto& fields = event_of(records[2]).fields;
    CHECK_FALSE(fields.contains("witnessed_size"));
    CHECK(std::get<std::int64_t>(fields.at("lost")) == 0);
    CHECK(std::get<std::int64_t>(fields.at("size")) == 2);
}

TEST_CASE("what an older copy lacks is lost, and listed") {
    Set set;
    set.stamp(20);
    set.sign();
    set.back_up();
    set.stamp(7);
    Event event;
    event.kind = "something.happened";
    REQUIRE(set.archive->append(at(noon), event));
    set.sign();
    set.stamp(2);  // that nobody outside has seen
    const std::string damaged = set.folder / "damaged";

    SECTION("by number, where nothing is left") {
        set.lose();
        const auto restore = Restore::begin(set.plan());
        REQUIRE(restore);
        const auto& found = (*restore)->found();
        CHECK(found.head.size == 21);
        CHECK(found.covered == 21);
        REQUIRE(found.witnessed);
        CHECK(found.witnessed->size == 29);
        REQUIRE(found.lost.size() == 8);
        CHECK(found.lost.front().number == 21);
        CHECK(found.lost.back().number == 28);
        CHECK(found.lost_unknown == 8);
    }
    SECTION("by serial number and time, out of what is left, also what nobody has seen") {
        set.lose(damaged);
        auto plan = set.plan();
        plan.damaged = damaged;
        set.restored(plan);
        const auto records = all_records(set.dir);
        const Event& told = event_of(records[21]);
        CHECK(std::get<std::int64_t>(told.fields.at("lost")) == 10);
        CHECK(std::get<std::int64_t>(told.fields.at("lost_tokens")) == 9);
        CHECK(std::get<std::int64_t>(told.fields.at("witnessed_size")) == 29);
        const auto reader = ArchiveReader::open(set.dir);
        const auto list = (*reader)->blob(told.blobs.front());
        REQUIRE(list);
        const std::string lines(list->begin(), list->end());
        for (std::uint64_t seed = 20; seed < 29; ++seed)
            CHECK_THAT(lines, Catch::Contains("\"serial\":\"" +
                                              to_hex(without_zeros(sample(seed, noon).issuance.serial)) +
                                              "\",\"gen_time\":\"2026-11-23T12:00:00.000Z\""));
        CHECK_THAT(lines, Catch::Contains("{\"number\":28,\"event\":\"something.happened\"}"));
        CHECK(std::count(lines.begin(), lines.end(), '\n') == 10);
    }
    SECTION("as far as damage lets it be read") {
        set.stamp(400);  // several pages
        set.lose(damaged);
        const auto path = segment_path(damaged, "2026-11");
        {
            auto file = sqlite::Database::open(path, sqlite::Database::Mode::write);
            REQUIRE(
                file->execute("UPDATE record SET der = x'00' WHERE number BETWEEN 24 AND 25; DELETE FROM "
                              "record WHERE number = 26"));
        }
        auto plan = set.plan();
        plan.damaged = damaged;
        auto restore = Restore::begin(plan);
        REQUIRE(restore);
        const auto found = (*restore)->found();
        CHECK(found.troubles.empty());
        REQUIRE(found.lost.size() == 410);
        // The index still knows their tokens.
        for (const std::size_t i : {3, 4, 5}) {
            CHECK_FALSE(found.lost[i].serial.empty());
            CHECK(found.lost[i].tsu.empty());
            CHECK(found.lost[i].gen_time_us == noon);
        }
        CHECK_FALSE(found.lost[6].tsu.empty());

        // A page of records is gone, and the rest is told all the same.
        std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
        const auto size = fs::file_size(path);
        const std::string nothing(4096, '\xff');
        for (std::uintmax_t page = 8; page < size / 4096; page += 5) {
            file.seekp(static_cast<std::streamoff>(page * 4096));
            file.write(nothing.data(), 4096);
        }
        file.close();
        (*restore).reset();
        const auto worse = Restore::begin(plan);
        REQUIRE(worse);
        const auto& left = (*worse)->found();
        CHECK_FALSE(left.troubles.empty());
        CHECK(left.lost.size() >= 8);  // all that were witnessed
        CHECK(left.lost_tokens > 0);
        CHECK(left.lost_tokens <= 409);
    }
}

TEST_CASE("what is refused leaves the place as it is") {
    Set set;
    set.stamp(20);
    set.sign();
    const auto older = set.witnessed;
    set.back_up();
    set.stamp(5);
    set.sign();
    const std::string origin = set.archive->origin();

    SECTION("a place that isn't empty") {
        set.refused(set.plan(), Error::Kind::usage, "isn't empty");
        set.lose();
        fs::create_directory(set.dir);
        std::ofstream(set.dir + "/note") << "mine";
        set.refused(set.plan(), Error::Kind::usage, "isn't empty");
        fs::remove(set.dir + "/note");
        CHECK_FALSE(set.restored(set.plan()).empty());
    }
    SECTION("a place that nothing can be moved into") {
        set.lose();
        fs::create_directory(set.dir);
        if (::mount("tmpfs", set.dir.c_str(), "tmpfs", 0, "size=1m") != 0) {
            WARN("no right to mount");
            return;
        }
        set.refused(set.plan(), Error::Kind::usage, "is a mount point");
        REQUIRE(::umount2(set.dir.c_str(), MNT_DETACH) == 0);
    }
    SECTION("a leftover of another restore") {
        set.lose();
        fs::create_directory(set.dir + ".restoring");
        const auto restore = Restore::begin(set.plan());
        REQUIRE_FALSE(restore);
        CHECK_THAT(restore.error().text, Catch::Contains("remove that folder"));
        CHECK(fs::exists(set.dir + ".restoring"));
    }
    SECTION("a checkpoint that nobody known has signed") {
        set.lose();
        auto plan = set.plan();
        LogKey other;
        plan.witnessed = other.sign(origin, {20, {}});
        set.refused(plan, Error::Kind::no, "no log key that is known has signed it");
        plan = set.plan();
        plan.log_key = other.verifier(origin);
        set.refused(plan, Error::Kind::no, "no log key that is known has signed it");
        plan.witnessed->text = tlog::Checkpoint{origin, {3, {}}}.text();
        plan.log_key.reset();
        set.refused(plan, Error::Kind::no, "is wrong");
        plan = set.plan();
        plan.log_key = set.key.verifier(origin);
        CHECK_FALSE(set.restored(plan).empty());
    }
    SECTION("a checkpoint over other records") {
        set.lose();
        auto plan = set.plan();
        plan.witnessed = set.key.sign(origin, {20, {}});
        set.refused(plan, Error::Kind::no, "another history");
    }
    SECTION("a copy of another history than what is left") {
        set.lose(set.folder / "damaged");
        auto plan = set.plan();
        plan.damaged = set.folder / "damaged";
        // The copy goes its own way.
        set.archive = std::move(*Archive::open(set.copy));
        set.stamp(2);
        set.archive.reset();
        set.refused(plan, Error::Kind::no, "another history");
    }
    SECTION("an old one, where the copy knows a newer one") {
        const auto copied = Archive::open(set.copy);
        REQUIRE((*copied)->add_cosignature(21, {"w1", {}, Bytes(72)}));
        set.lose();
        auto plan = set.plan();
        plan.witnessed = set.key.sign(origin, {5, {}});
        set.refused(plan, Error::Kind::no, "isn't the newest");
        plan.witnessed.reset();
        set.refused(plan, Error::Kind::no, "ask the witness");
        plan.witnessed = older;
        CHECK_FALSE(set.restored(plan).empty());
    }
    SECTION("a copy that was changed") {
        set.lose();
        const auto change = [&](const char* sql) {
            auto file =
                sqlite::Database::open(segment_path(set.copy, "2026-11"), sqlite::Database::Mode::write);
            REQUIRE(file->execute(sql));
        };
        // Another record in the place of one, tiles and all: only what was signed shows it.
        const auto other = encode(Record{3, noon, {}, sample(77, noon).issuance});
        change(("UPDATE record SET der = x'" + to_hex(*other) + "' WHERE number = 3").c_str());
        set.refused(set.plan(), Error::Kind::no, "was signed over other records");
        change("UPDATE record SET der = x'30' WHERE number = 3");
        set.refused(set.plan(), Error::Kind::environment, "record 3");
        change("DELETE FROM record WHERE number = 3");
        set.refused(set.plan(), Error::Kind::environment, "record 3 is missing");
    }
    SECTION("no copy") {
        set.lose();
        auto plan = set.plan();
        plan.from = set.folder / "nothing";
        set.refused(plan, Error::Kind::usage, "no archive here");
    }
    SECTION("what is left of another archive") {
        set.lose();
        const std::string other = set.folder / "other";
        { fresh_archive(other); }
        auto plan = set.plan();
        plan.damaged = other;
        set.refused(plan, Error::Kind::no, "another archive");
    }
}
