// Records that have passed their time are removed, and their leaf hashes stay (store/remover.h).
#include "store/removal.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <filesystem>
#include <map>
#include <set>

#include "base/file.h"
#include "base/sqlite/sqlite.h"
#include "store/backup.h"
#include "store/expiry.h"
#include "store/recover.h"
#include "store/remover.h"
#include "store/retention.h"
#include "store/segment.h"
#include "store/tree_reader.h"
#include "tests/store/failing_vfs.h"
#include "tests/store/log_key.h"
#include "tests/store/support.h"
#include "tests/support/moment.h"

using namespace kokuin;
using kokuin::testing::moment;
using namespace kokuin::store;
using namespace kokuin::store::test;

namespace {

Removal tokens(std::vector<Run> runs) {
    return {"2014-11", "token", std::move(runs), moment("2024-11-03"),
            std::pair<std::int64_t, std::int64_t>{5, 6}};
}

/// An archive of two old months and a new one: tokens and events of each, one blob each of its own.
struct OldArchive {
    const Folder folder;
    const std::string dir = folder / "archive";
    std::unique_ptr<Archive> archive;
    std::map<RecordNumber, Bytes> tokens;  // octets of their own
    mutable LogKey key;

    OldArchive() {
        REQUIRE(Archive::create(dir, moment("2014-11-02")));
        archive = opened();
        std::uint64_t seed = 1;
        for (const char* month : {"2014-11-02", "2014-12-02", "2026-11-02"})
            for (int i = 0; i < 40; ++i) {
                const auto time = moment(month) + seconds(i);
                Sample made = sample(seed++, to_unix_us(time));
                // A blob that no other token names.
                const Blob own(noise(seed + 1000, 64));
                made.issuance.token.emplace_back(BlobReference{own.id()});
                made.blobs.push_back(own);
                const auto number = archive->append(time, made.issuance, made.blobs);
                REQUIRE(number);
                tokens[*number] = Bytes(own.content().begin(), own.content().end());
                if (i % 10 == 0) tell("gate.closed", time);
                if (i % 20 == 0) tell("key.activated", time);
            }
        Event said;
        said.kind = "archive.key";
        said.fields["verifier"] = key.verifier(archive->origin()).text();
        REQUIRE(archive->append(moment("2026-11-02"), said));
    }
    std::unique_ptr<Archive> opened() const {
        auto open = Archive::open(dir);
        if (!open) FAIL(open.error().text);
        return std::move(*open);
    }
    void tell(const char* kind, WallTime time, std::vector<Blob> blobs = {}) const {
        Event event;
        event.kind = kind;
        for (const Blob& blob : blobs) event.blobs.push_back(blob.id());
        REQUIRE(archive->append(time, event, blobs, Archive::Month::stays));
    }
    [[nodiscard]] std::vector<Removal> past(const char* at, const std::string& kind = "") const {
        auto reader = ArchiveReader::open(dir);
        REQUIRE(reader);
        const auto segments = expiring(**reader, moment(at), [](View) { return moment("2016-01-01"); });
        if (!segments) FAIL(segments.error().text);
        auto all = removable(*segments, moment(at));
        std::erase_if(all, [&](const Removal& one) { return !kind.empty() && one.kind != kind; });
        return all;
    }
    void sign() const {
        const auto head = archive->head();
        REQUIRE(archive->add_checkpoint(head, key.sign(archive->origin(), head)));
    }
    void record(const std::vector<Removal>& removals, const char* at) const {
        tell_removed(removals, at);
        sign();
    }
    void tell_removed(const std::vector<Removal>& removals, const char* at) const {
        const std::string lines = removal_lines(removals);
        const Blob list(Bytes(lines.begin(), lines.end()));
        REQUIRE(archive->append(moment(at), expired_event(removals, list, {"why", "by", "account"}), {list}));
    }
    /// Number of records that were removed; or what kept some from being removed.
    [[nodiscard]] Result<std::int64_t> carry_out(
        const std::string& where, const char* now = "2026-11-03",
        const std::function<bool()>& stop = [] { return false; }) const {
        const auto carried = carry_out_removals(where, moment(now), stop);
        if (!carried) return carried.error();
        if (carried->trouble) return *carried->trouble;
        if (carried->waiting) return Error::no("under no checkpoint");
        return carried->removed;
    }
    /// Number of records of which only the hash is there.
    [[nodiscard]] std::int64_t gone(const std::string& where, const std::string& segment) const {
        auto database = sqlite::Database::open(segment_path(where, segment), sqlite::Database::Mode::read);
        REQUIRE(database);
        const auto count = database->integer("SELECT count(*) FROM record WHERE length(der) = 32");
        REQUIRE(count);
        return *count;
    }
    [[nodiscard]] tlog::TreeHead head(const std::string& where) const {
        auto tree = TreeReader::open(where);
        REQUIRE(tree);
        const auto found = (*tree)->head(138);
        if (!found) FAIL(found.error().text);
        return *found;
    }
};

bool holds(const std::string& file, const Bytes& octets) {
    const auto whole = read_file(file, std::size_t{1} << 30U);
    REQUIRE(whole);
    return std::search(whole->begin(), whole->end(), octets.begin(), octets.end()) != whole->end();
}

void execute(const std::string& file, const std::string& sql) {
    const Ran ran = run("sqlite3 '" + file + "' \"" + sql + "\"");
    if (ran.code != 0) FAIL(ran.output);
}

}  // namespace

TEST_CASE("a list of removed records is what was written, or none") {
    const std::vector<Removal> all{
        tokens({{3, 3}, {5, 9}}),
        {"2014-11.02", "gate.closed", {{0, 0}}, moment("2017-11-03"), std::nullopt}};
    const std::string lines = removal_lines(all);
    const auto read = read_removal_lines(lines);
    REQUIRE(read);
    CHECK(*read == all);
    CHECK(count(all.front().runs) == 6);
    const auto refused = [&](const std::string& from, const std::string& to) {
        auto other = lines;
        const auto at = other.find(from);
        REQUIRE(at != std::string::npos);
        other.replace(at, from.size(), to);
        CHECK_FALSE(read_removal_lines(other));
    };
    refused("[3,3],[5,9]", "[5,9],[3,3]");            // falls
    refused("[3,3],[5,9]", "[3,4],[5,9]");            // neighbours are one
    refused("[3,3],[5,9]", "[3,7],[5,9]");            // overlaps
    refused("[3,3]", "[3,2]");                        // empty
    refused("[3,3]", "[-3,3]");                       // no number
    refused("[3,3]", "[3]");                          // no pair
    refused("[5,9]", "[5,281474976710656]");          // none that an archive reaches
    refused("[5,9]", "[5,9223372036854775808]");      // nor any
    refused("\"records\":6", "\"records\":7");        // another sum
    refused("\"kind\":\"token\"", "\"kind\":\"t\"");  // times, and no token
    refused("\"kind\":\"token\"", "\"kind\":7");
    refused(",\"gen_times_us\":[5,6]", "");
    refused("[5,6]", "[6,5]");
    refused("\"segment\"", "\"segments\"");
    refused("{\"segment\"", "{ \"segment\"");
    refused("}\n", "}");
    refused("}\n", "}\n\n");
    CHECK_FALSE(read_removal_lines(""));
    CHECK_FALSE(read_removal_lines("[]\n"));
}

TEST_CASE("only what has passed its time may go, all of its kind in a finished month") {
    const OldArchive old;
    const auto kinds = [&](const char* at) {
        std::map<std::string, std::int64_t> found;
        for (const Removal& one : old.past(at)) found[one.segment + " " + one.kind] = count(one.runs);
        return found;
    };
    CHECK(kinds("2017-11-01").empty());
    CHECK(kinds("2017-11-02").empty());  // three more are still to be kept, for seconds
    CHECK(kinds("2017-11-03") == std::map<std::string, std::int64_t>{{"2014-11 gate.closed", 4}});
    CHECK(kinds("2024-11-03") == std::map<std::string, std::int64_t>{{"2014-11 gate.closed", 4},
                                                                     {"2014-11 token", 40},
                                                                     {"2014-12 gate.closed", 4}});
    // Nothing of the month that is being written, and what judges others stays.
    const auto all = kinds("2099-01-01");
    CHECK(all == std::map<std::string, std::int64_t>{{"2014-11 gate.closed", 4},
                                                     {"2014-11 token", 40},
                                                     {"2014-12 gate.closed", 4},
                                                     {"2014-12 token", 40}});
    // What is asked of old months alone is the same.
    auto reader = ArchiveReader::open(old.dir);
    REQUIRE(reader);
    for (const char* at : {"2017-11-03", "2024-11-03", "2024-12-03", "2099-01-01"}) {
        const auto fewer = expiring(
            **reader, moment(at), [](View) { return moment("2016-01-01"); },
            ExpiryExtent::what_may_have_passed);
        REQUIRE(fewer);
        CHECK(removable(*fewer, moment(at)) == old.past(at));
    }
}

TEST_CASE("a removed record leaves its hash, and nothing else") {
    OldArchive old;
    const auto head = old.head(old.dir);
    const auto removals = old.past("2026-11-02");
    REQUIRE(removals.size() == 4);
    old.record(removals, "2026-11-02T00:10:00Z");
    const std::string file = segment_path(old.dir, "2014-11");
    REQUIRE(holds(file, old.tokens.begin()->second));

    const auto carried = old.carry_out(old.dir);
    if (!carried) FAIL(carried.error().text);
    CHECK(*carried == 88);
    CHECK(old.gone(old.dir, "2014-11") == 44);
    CHECK(old.gone(old.dir, "2014-12") == 44);
    CHECK(old.gone(old.dir, "2026-11") == 0);
    CHECK(old.head(old.dir) == head);
    for (const auto& [number, octets] : old.tokens)
        for (const char* segment : {"2014-11", "2014-12"})
            CHECK_FALSE(holds(segment_path(old.dir, segment), octets));
    CHECK(run("sqlite3 '" + file + "' 'PRAGMA integrity_check; PRAGMA freelist_count'").output == "ok\n0\n");
    CHECK(run("sqlite3 '" + file +
              "' 'SELECT count(*) FROM by_serial; SELECT count(*) FROM by_time; "
              "SELECT count(*) FROM by_imprint; SELECT count(*) FROM event; SELECT count(*) FROM blob'")
              .output == "0\n0\n0\n2\n0\n");

    // Whoever reads comes past them.
    auto reader = ArchiveReader::open(old.dir);
    REQUIRE(reader);
    std::size_t found = 0;
    REQUIRE((*reader)->find({}, [&](const Found& one) { return one.segment == "2026-11" && ++found > 0; }));
    CHECK(found == 40);
    EventQuery query;
    found = 0;
    REQUIRE((*reader)->events(query, [&](const Found&) { return ++found > 0; }));
    CHECK(found == 12);
    CHECK((*reader)->record(0).error().kind == Error::Kind::no);
    const auto read = Removals::read(**reader);
    REQUIRE(read);
    CHECK(read->of(0) != nullptr);
    CHECK(read->of(1)->kind == "gate.closed");
    CHECK(read->of(2) == nullptr);  // key.activated
    CHECK(read->tokens_of("2014-12") != nullptr);
    CHECK(read->tokens_of("2026-11") == nullptr);
    CHECK(read->tokens_at(to_unix_us(moment("2014-11-02") + seconds(7)))->segment == "2014-11");
    CHECK(read->tokens_at(to_unix_us(moment("2014-11-04"))) == nullptr);

    // Again there is nothing to do; and writing goes on.
    const auto again = old.carry_out(old.dir);
    REQUIRE(again);
    CHECK(*again == 0);
    old.tell("gate.opened", moment("2026-11-03"));
    old.archive.reset();
    old.archive = old.opened();
    CHECK(old.archive->head().size == 141);
}

TEST_CASE("each record is asked itself, whoever wrote the list") {
    OldArchive old;
    auto removals = old.past("2026-11-02");
    const auto refused = [&](const std::vector<Removal>& list, const char* at, const char* now,
                             const std::string& why) {
        old.record(list, at);
        const auto carried = old.carry_out(old.dir, now);
        REQUIRE_FALSE(carried);
        INFO(carried.error().text);
        CHECK(carried.error().text.find(why) != std::string::npos);
        CHECK(old.gone(old.dir, "2014-11") == 0);
    };
    SECTION("at the time of the event") {
        refused(removals, "2024-10-01", "2026-11-03", "is to be kept until 2024-11-02T00:00:00Z");
    }
    SECTION("at the time of whoever removes") {
        refused(removals, "2026-11-02", "2024-10-01", "is to be kept until 2024-11-02T00:00:00Z");
    }
    SECTION("by its own kind") {
        // An operator calls tokens and keys what goes sooner.
        const Removal wrong{"2014-11", "gate.closed", {{0, 2}}, moment("2017-12-01"), std::nullopt};
        refused({wrong}, "2020-01-01", "2026-11-03",
                "record 0 is to be removed (archive.expired), and is to be kept");
    }
    SECTION("by its own kind, which has no end") {
        const Removal wrong{"2014-11", "gate.closed", {{2, 2}}, moment("2017-12-01"), std::nullopt};
        refused({wrong}, "2026-01-01", "2026-11-03",
                "record 2 is to be removed (archive.expired), and is to be kept as long");
    }
    SECTION("in a finished month") {
        Removal wrong{"2026-11", "gate.closed", {{93, 93}}, moment("2026-11-02"), std::nullopt};
        refused({wrong}, "2026-11-02", "2030-11-03", "and it is being written");
    }
    SECTION("that is there") {
        Removal wrong{"2013-11", "gate.closed", {{93, 93}}, moment("2026-11-02"), std::nullopt};
        refused({wrong}, "2026-11-02", "2030-11-03", "and it is not there");
    }
    SECTION("where nothing is damaged") {
        execute(segment_path(old.dir, "2014-11"),
                "UPDATE record SET der = substr(der, 1, 60) || x'01' || substr(der, 62) WHERE number = 7");
        refused(removals, "2026-11-02", "2026-11-03", "record 7 isn't the one that was signed");
        CHECK(holds(segment_path(old.dir, "2014-11"), old.tokens.begin()->second));
    }
}

TEST_CASE("a removal happens at once or not at all, whatever fails, and is finished later") {
    install_failing_vfs();
    OldArchive old;
    const auto head = old.head(old.dir);
    old.record(old.past("2026-11-02"), "2026-11-02T00:10:00Z");
    old.archive.reset();
    const std::string dir = old.folder / "one";
    bool all = false;
    for (int skip = 0; !all; skip += skip < 30 ? 1 : 9) {
        std::filesystem::remove_all(dir);
        std::filesystem::copy(old.dir, dir);
        const auto how = skip % 3 == 0   ? FailPlan::How::full
                         : skip % 3 == 1 ? FailPlan::How::before
                                         : FailPlan::How::after;
        plan_failure({how, skip, skip % 2 == 0, "2014-1"});
        const auto carried = old.carry_out(dir);
        const int failed = heal();
        all = failed == 0;
        CAPTURE(skip, failed);
        // (What can't be cleaned up behind a change isn't an error to SQLite.)
        if (all) CHECK(carried.ok());
        REQUIRE(roll_back_broken_off(dir));  // as at the next start
        for (const char* month : {"2014-11", "2014-12"}) {
            const auto gone = old.gone(dir, month);
            CHECK((gone == 0 || gone == 44));
            CHECK((gone == 44 || !carried));
        }
        CHECK(old.head(dir) == head);
        const auto again = old.carry_out(dir);
        if (!again) FAIL(again.error().text);
        CHECK(old.gone(dir, "2014-11") + old.gone(dir, "2014-12") == 88);
        CHECK(old.head(dir) == head);
        for (const char* month : {"2014-11", "2014-12"}) {
            CHECK(run("sqlite3 '" + segment_path(dir, month) +
                      "' 'PRAGMA integrity_check; PRAGMA freelist_count'")
                      .output == "ok\n0\n");
            CHECK_FALSE(std::filesystem::exists(segment_path(dir, month) + "-wal"));
        }
    }
}

TEST_CASE("a removal can be broken off, and waits for those who read") {
    OldArchive old;
    old.record(old.past("2026-11-02"), "2026-11-02T00:10:00Z");
    int asked = 0;
    const auto carried = old.carry_out(old.dir, "2026-11-03", [&] { return ++asked > 2; });
    REQUIRE_FALSE(carried);
    CHECK(carried.error().kind == Error::Kind::no);
    CHECK(old.gone(old.dir, "2014-11") == 0);
    {
        auto database =
            sqlite::Database::open(segment_path(old.dir, "2014-11"), sqlite::Database::Mode::read);
        REQUIRE(database);
        auto select = database->prepare("SELECT number FROM record");
        REQUIRE(select);
        REQUIRE(select->step());
        const auto busy = old.carry_out(old.dir);
        REQUIRE_FALSE(busy);
        CHECK(busy.error().kind == Error::Kind::no);
        CHECK(old.gone(old.dir, "2014-11") == 0);
    }
    CHECK(old.carry_out(old.dir));
    CHECK(old.gone(old.dir, "2014-11") == 44);
}

TEST_CASE("copies: what was removed before, what is removed since, and what nobody removed") {
    OldArchive old;
    const auto early = old.folder / "early";
    REQUIRE(backup(old.dir, early));
    const auto head = old.head(old.dir);
    old.record(old.past("2026-11-02"), "2026-11-02T00:10:00Z");
    REQUIRE(old.carry_out(old.dir));
    CHECK(old.gone(early, "2014-11") == 0);
    const auto later = backup(old.dir, early);
    if (!later) FAIL(later.error().text);
    CHECK(later->removed == 88);
    const auto late = old.folder / "late";
    const auto fresh = backup(old.dir, late);
    if (!fresh) FAIL(fresh.error().text);
    CHECK(fresh->removed == 0);
    for (const auto& copy : {early, late}) {
        CHECK(old.gone(copy, "2014-11") == 44);
        CHECK(old.head(copy) == head);
        auto reader = ArchiveReader::open(copy);
        REQUIRE(reader);
        CHECK(Removals::read(**reader)->all().size() == 1);
    }
    // A record that is lost isn't one that was removed.
    execute(segment_path(old.dir, "2014-11"), "UPDATE record SET der = zeroblob(32) WHERE number = 2");
    const auto none = backup(old.dir, old.folder / "none");
    REQUIRE_FALSE(none);
    CHECK(none.error().text.find("record 2 isn't there, and wasn't removed either") != std::string::npos);
}

TEST_CASE("only what the log's key has signed removes anything") {
    OldArchive old;
    old.tell_removed(old.past("2026-11-02"), "2026-11-02T00:10:00Z");
    const auto waits = old.carry_out(old.dir);
    REQUIRE_FALSE(waits);
    CHECK(waits.error().text == "under no checkpoint");
    const auto head = old.archive->head();
    LogKey other;
    REQUIRE(old.archive->add_checkpoint(head, other.sign(old.archive->origin(), head)));
    const auto forged = old.carry_out(old.dir);
    REQUIRE_FALSE(forged);
    CHECK(forged.error().text.find("its newest checkpoint (2026-11) can't be believed") != std::string::npos);
    CHECK(old.gone(old.dir, "2014-11") == 0);
    // A backup is one all the same, and says so.
    const auto made = backup(old.dir, old.folder / "backup");
    REQUIRE(made);
    CHECK(made->removed == 0);
    CHECK(made->not_removed.find("can't be believed") != std::string::npos);
}

TEST_CASE("one month that can't be done doesn't keep the others") {
    OldArchive old;
    old.record(old.past("2026-11-02"), "2026-11-02T00:10:00Z");
    execute(segment_path(old.dir, "2014-11"),
            "UPDATE record SET der = substr(der, 1, 60) || x'01' || substr(der, 62) WHERE number = 7");
    CHECK_FALSE(old.carry_out(old.dir));
    CHECK(old.gone(old.dir, "2014-11") == 0);
    CHECK(old.gone(old.dir, "2014-12") == 44);
}

TEST_CASE("what is in force stays, whatever a list says") {
    OldArchive old;
    const auto first = old.archive->head().size;
    for (const char* at : {"2026-11-02T00:01:00Z", "2026-11-02T00:02:00Z"})
        old.tell("custody.shared", moment(at));
    // Another month begins.
    const Sample made = sample(9999, to_unix_us(moment("2026-12-02")));
    REQUIRE(old.archive->append(moment("2026-12-02"), made.issuance, made.blobs));
    const auto number = static_cast<RecordNumber>(first);
    Removal shared{"2026-11", "custody.shared", {{number, number}}, moment("2036-11-03"), std::nullopt};
    old.record({shared}, "2036-11-04");
    const auto first_gone = old.carry_out(old.dir, "2036-11-05");
    if (!first_gone) FAIL(first_gone.error().text);
    CHECK(*first_gone == 1);
    shared.runs = {{number + 1, number + 1}};
    old.record({shared}, "2036-11-04");
    const auto refused = old.carry_out(old.dir, "2036-11-05");
    REQUIRE_FALSE(refused);
    CHECK(refused.error().text.find("is in force (custody.shared)") != std::string::npos);
}

TEST_CASE("lists that overlap are one") {
    OldArchive old;
    old.tell_removed({tokens({{51, 51}, {60, 61}})}, "2026-11-02");
    old.tell_removed({tokens({{50, 54}, {58, 70}})}, "2026-11-02");
    auto reader = ArchiveReader::open(old.dir);
    REQUIRE(reader);
    const auto read = Removals::read(**reader);
    REQUIRE(read);
    for (RecordNumber number = 45; number < 75; ++number) {
        const bool named = (number >= 50 && number <= 54) || (number >= 58 && number <= 70);
        CHECK((read->of(number) != nullptr) == named);
        CHECK(read->said_by(number).has_value() == named);
    }
    CHECK(*read->said_by(51) < *read->said_by(52));
    CHECK(read->name_any({{40, 49}, {55, 58}}));
    CHECK_FALSE(read->name_any({{40, 49}, {55, 57}, {71, 80}}));
}

TEST_CASE("seals stay while the tokens do that they prove, a TAC while those under it do") {
    const Folder folder;
    const std::string dir = folder / "archive";
    REQUIRE(Archive::create(dir, moment("2014-11-02")));
    auto archive = Archive::open(dir);
    REQUIRE(archive);
    const auto tell = [&](const char* kind, const char* subject, const char* at) {
        Event event;
        event.kind = kind;
        event.subject = subject;
        REQUIRE((*archive)->append(moment(at), event));
    };
    tell("tac.accepted", "tsu-1", "2014-11-02");
    // Of another year, by a clock that was wrong: it is of this month all the same.
    tell("hsm.lost", "", "2001-01-01");
    const Sample made = sample(1, to_unix_us(moment("2014-11-03")));
    REQUIRE((*archive)->append(moment("2014-11-03"), made.issuance, made.blobs));
    tell("seal.made", "2014-11", "2014-12-01");
    tell("seal.made", "2013-10", "2014-12-01");  // of a month that has no tokens
    tell("seal.stamped", "2014-11", "2015-01-01");
    tell("gate.closed", "", "2026-01-01");
    auto reader = ArchiveReader::open(dir);
    REQUIRE(reader);
    const auto plan = [&](const char* at, const std::set<std::string>& kinds) {
        const auto segments = expiring(**reader, moment(at), [](View) { return moment("2016-01-01"); });
        REQUIRE(segments);
        auto all = removable(*segments, moment(at));
        if (!kinds.empty()) std::erase_if(all, [&](const Removal& one) { return !kinds.contains(one.kind); });
        keep_what_tokens_need(all, *segments, Removals());
        std::set<std::string> kept;
        for (const Removal& one : all) kept.insert(one.segment + " " + one.kind);
        return kept;
    };
    using Set = std::set<std::string>;
    CHECK(plan("2017-10-31", {}) == Set{});
    CHECK(plan("2017-11-01", {}) == Set{"2014-11 hsm.lost"});
    CHECK(plan("2025-06-01", {}) ==
          Set{"2014-11 hsm.lost", "2014-11 tac.accepted", "2014-11 token", "2015-01 seal.stamped"});
    CHECK(plan("2025-06-01", {"seal.made", "seal.stamped", "tac.accepted"}) == Set{});
    CHECK(plan("2025-06-01", {"seal.made", "seal.stamped", "tac.accepted", "token"}) ==
          Set{"2014-11 tac.accepted", "2014-11 token", "2015-01 seal.stamped"});
}
