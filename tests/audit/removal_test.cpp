// What an archive says was removed after its time, judged (audit/removal_check.h). That it is judged at all
// is in tests/integration/expiry_test.py.
#include <algorithm>
#include <catch2/catch.hpp>

#include "audit/removal_check.h"
#include "audit/seal_check.h"
#include "base/sqlite/sqlite.h"
#include "evidence/seal.h"
#include "store/archive.h"
#include "store/tree_reader.h"
#include "tests/support/folder.h"
#include "tests/support/moment.h"

using namespace kokuin;
using audit::Problem;
using kokuin::testing::moment;
using store::Removal;

namespace {

/// Records 0 to 3 are of 2014-11, 4 and 5 of 2014-12; what follows is of 2026-11, a token first.
struct Removing {
    const testing::Folder folder;
    const std::string dir = folder.path + "/archive";
    std::unique_ptr<store::Archive> archive;
    std::uint64_t covered = 1000;  // records under a checkpoint

    Removing() {
        REQUIRE(store::Archive::create(dir, moment("2014-11-01")));
        archive = std::move(store::Archive::open(dir)).value();
        for (const char* at :
             {"2014-11-02", "2014-11-03", "2014-11-04", "2014-11-05", "2014-12-01", "2014-12-02"})
            event("gate.closed", at);
        token("2026-11-02");
    }
    void event(const char* kind, const char* at) const {
        store::Event event;
        event.kind = kind;
        REQUIRE(archive->append(moment(at), event));
    }
    void token(const char* at) const {
        const store::Blob certificate(Bytes(50, 1));
        store::Issuance issuance;
        issuance.serial = {7};
        issuance.gen_time_us = to_unix_us(moment(at));
        issuance.policy = "1.2.3";
        issuance.imprint_algorithm = "2.16.840.1.101.3.4.2.1";
        issuance.imprint = Bytes(32, 9);
        issuance.tsu = "tsu-1";
        issuance.certificate = certificate.id();
        issuance.token = {store::Literal{Bytes(100, 2)}};
        REQUIRE(archive->append(moment(at), issuance, {certificate}));
    }
    void change_index(const std::string& segment, const char* sql) const {
        auto database =
            sqlite::Database::open(dir + "/" + segment + ".sqlite", sqlite::Database::Mode::write);
        REQUIRE(database);
        REQUIRE(database->execute(sql));
    }
    void removed(const Removal& removal, const char* at) const {
        const std::string lines = store::removal_lines({removal});
        const store::Blob list(Bytes(lines.begin(), lines.end()));
        REQUIRE(archive->append(moment(at), store::expired_event({removal}, list, {"why", "by", "account"}),
                                {list}, store::Archive::Month::stays));
    }
    [[nodiscard]] std::vector<Problem> problems(const std::vector<store::Run>& gone = {},
                                                audit::Removed* removed = nullptr) const {
        std::vector<Problem> found;
        const auto next = archive->state().next;
        const auto seen = audit::check_removals({dir,
                                                 {{"2014-11", 0, 4}, {"2014-12", 4, 6}, {"2026-11", 6, next}},
                                                 covered,
                                                 moment("2050-01-01")},
                                                gone, found);
        if (removed) *removed = seen;
        return found;
    }
    [[nodiscard]] std::string objection() const {
        const auto found = problems();
        REQUIRE(found.size() == 1);
        CHECK(found.front().kind == "removal");
        CHECK(found.front().segment == "2026-11");
        CHECK(found.front().number == 7);
        return found.front().detail;
    }
};

Removal gates(std::vector<store::Run> runs = {{0, 3}}, const char* segment = "2014-11") {
    return {segment, "gate.closed", std::move(runs), moment("2017-11-05"), std::nullopt};
}

/// `text`, if it doesn't say so.
std::string unless(const std::string& text, const char* what) {
    return text.find(what) != std::string::npos ? "" : text;
}

}  // namespace

TEST_CASE("what had passed its time may have been removed") {
    const Removing one;
    one.removed(gates(), "2026-11-02");
    audit::Removed removed;
    CHECK(one.problems({{0, 3}}, &removed).empty());
    CHECK(removed.records == 4);
    CHECK(removed.tokens == 0);
    CHECK(removed.last == moment("2026-11-02"));
    CHECK(removed.still_there == 0);
    CHECK(removed.time_unproved);
    // Nor need it be gone yet.
    CHECK(one.problems({{1, 1}}, &removed).empty());
    CHECK(removed.records == 1);
    CHECK(removed.still_there == 3);
    CHECK(one.problems({}, &removed).empty());
    CHECK(removed.records == 0);
    CHECK_FALSE(removed.last);
    one.token("2026-11-03");
    CHECK(one.problems({}, &removed).empty());
    CHECK_FALSE(removed.time_unproved);
}

TEST_CASE("what nothing speaks of is missing") {
    const Removing one;
    one.removed(gates({{0, 1}, {3, 3}}), "2026-11-02");
    const auto found = one.problems({{0, 4}});
    REQUIRE(found.size() == 2);
    for (const Problem& problem : found) {
        CHECK(problem.kind == "missing");
        CHECK(unless(problem.detail, "no record under a checkpoint says that it was removed") == "");
    }
    CHECK((found[0].number == 2 && found[0].segment == "2014-11"));
    CHECK((found[1].number == 4 && found[1].segment == "2014-12"));
}

TEST_CASE("a list that may not be is objected to") {
    const Removing one;
    SECTION("before the years of its kind") {
        one.removed(gates(), "2017-10-01");
        CHECK(unless(one.objection(),
                     "gate.closed of 2014-11 was removed on 2017-10-01T00:00:00Z, before the 3 years") == "");
    }
    SECTION("before the years of tokens") {
        auto tokens = gates();
        tokens.kind = "token";
        tokens.gen_times_us = {to_unix_us(moment("2014-11-02")), to_unix_us(moment("2014-11-03"))};
        tokens.ends = moment("2023-11-05");
        one.removed(tokens, "2024-01-01");
        CHECK(unless(one.objection(), "before the 10 years") == "");
    }
    SECTION("before it says itself") {
        auto later = gates();
        later.ends = moment("2026-11-05");
        one.removed(later, "2026-11-02");
        CHECK(unless(one.objection(), "before the 3 years") == "");
    }
    SECTION("of what has no end") {
        auto keys = gates();
        keys.kind = "key.activated";
        one.removed(keys, "2026-11-02");
        CHECK(unless(one.objection(), "kept as long as the archive") == "");
    }
    SECTION("of another month") {
        one.removed(gates({{0, 4}}), "2026-11-02");
        CHECK(unless(one.objection(), "not all of these records are of that month") == "");
    }
    SECTION("of no month") {
        one.removed(gates({{0, 3}}, "2013-11"), "2026-11-02");
        CHECK(unless(one.objection(), "that month isn't there") == "");
    }
    SECTION("of the month that is being written") {
        one.removed(gates({{6, 6}}, "2026-11"), "2026-11-02");
        CHECK(unless(one.objection(), "while that month was being written") == "");
    }
    SECTION("at a time that wasn't") {
        one.removed(gates(), "2036-11-02");
        CHECK(one.problems().empty());  // no token has come since
        one.token("2026-11-03");
        CHECK(unless(one.objection(), "a token whose record comes later is of 2026-11-03T00:00:00.000Z") ==
              "");
    }
}

TEST_CASE("a list that can't be read excuses nothing") {
    const Removing one;
    store::Event event;
    event.kind = store::archive_expired;
    REQUIRE(one.archive->append(moment("2026-11-02"), event));
    const auto found = one.problems({{0, 0}});
    REQUIRE(found.size() == 2);
    CHECK(found[0].kind == "removal");
    CHECK(unless(found[0].detail, "record 7 (archive.expired): it can't be read what it says is removed") ==
          "");
    CHECK(found[1].kind == "missing");
}

TEST_CASE("an event that nobody has signed excuses nothing, and removes nothing") {
    Removing one;
    one.removed(gates(), "2026-11-02");
    one.covered = 7;  // the event is record 7
    const auto found = one.problems({{0, 1}});
    REQUIRE(found.size() == 1);
    CHECK(found.front().kind == "missing");
    CHECK(found.front().number == 0);
    CHECK(unless(found.front().detail, "and of those up to record 1") == "");
    CHECK(one.problems().empty());
}

TEST_CASE("a time that is yet to come proves itself") {
    const Removing one;
    one.removed(gates(), "2051-11-02");
    CHECK(unless(one.objection(), "that is yet to come") == "");
}

TEST_CASE("all tokens of a month go, or none; by times of that month") {
    const Removing one;
    auto some = gates({{0, 0}});
    some.kind = "token";
    some.ends = moment("2024-11-05");
    some.gen_times_us = {to_unix_us(moment("2014-11-01")), to_unix_us(moment("2014-11-30"))};
    SECTION("of another month") {
        some.gen_times_us->second = to_unix_us(moment("2015-02-01"));
        one.removed(some, "2026-11-02");
        CHECK(unless(one.objection(), "their times, as it says, aren't of that month") == "");
    }
    SECTION("not all") {
        some.segment = "2026-11";
        some.gen_times_us = {to_unix_us(moment("2026-11-01")), to_unix_us(moment("2026-11-30"))};
        one.removed(some, "2026-11-02");
        const auto found = one.problems();
        CHECK(std::any_of(found.begin(), found.end(), [](const Problem& problem) {
            return unless(problem.detail, "some tokens of 2026-11 were removed, and 1 are still there")
                .empty();
        }));
    }
}

TEST_CASE("custodians who hold the PIN have agreed to this list") {
    const Removing one;
    one.event("custody.shared", "2026-11-02");
    const std::string lines = store::removal_lines({gates()});
    const store::Blob list(Bytes(lines.begin(), lines.end()));
    const auto agree = [&](const std::string& what) {
        store::Event event;
        event.kind = "custody.agreed";
        event.fields = {
            {"act", std::string("archive-expire")}, {"proposal", std::string("ab12")}, {"content", what}};
        REQUIRE(one.archive->append(moment("2026-11-02"), event, {}, store::Archive::Month::stays));
    };
    const auto objected = [&] {
        const auto found = one.problems();
        return std::any_of(found.begin(), found.end(), [](const Problem& problem) {
            return unless(problem.detail, "without custodians' agreement to this list").empty();
        });
    };
    agree("remove 4 records; list sha256 " + std::string(64, '0'));
    const auto remove = [&](const std::string& agreed_in) {
        REQUIRE(one.archive->append(
            moment("2026-11-02"),
            store::expired_event({gates()}, list, {"why", "by", "account", agreed_in, "a, b"}), {list},
            store::Archive::Month::stays));
    };
    SECTION("not to another one") {
        remove("ab12");
        CHECK(objected());
    }
    SECTION("nor to none") {
        remove("");
        CHECK(objected());
    }
    SECTION("to this one, and the records of custodians can't be read") {
        const auto number = one.archive->state().next;
        agree("remove 4 records; list sha256 " + to_hex(list.id()));
        remove("ab12");
        one.change_index(
            "2026-11", ("UPDATE record SET der = x'3003' WHERE number = " + std::to_string(number)).c_str());
        audit::Removed removed;
        const auto found = one.problems({{0, 3}}, &removed);
        CHECK(std::any_of(found.begin(), found.end(), [](const Problem& problem) {
            return unless(problem.detail, "whether custodians had agreed can't be told").empty();
        }));
        // All else is judged as ever.
        CHECK(removed.records == 4);
        CHECK(removed.still_there == 0);
    }
    SECTION("to this one, and the record of that has passed its time, too") {
        const auto number = one.archive->state().next;
        REQUIRE(one.archive->append(moment("2026-11-02"), store::Event{"any", "", "", {}, {}}, {},
                                    store::Archive::Month::stays));
        remove("ab12");
        CHECK(objected());
        const store::Removal gone{
            "2026-11", "custody.agreed", {{number, number}}, moment("2036-12-01"), std::nullopt};
        const std::string more = store::removal_lines({gone});
        const store::Blob named(Bytes(more.begin(), more.end()));
        REQUIRE(
            one.archive->append(moment("2037-01-02"),
                                store::expired_event({gone}, named, {"why", "by", "account", "cd34", "a, b"}),
                                {named}, store::Archive::Month::stays));
        const auto found = one.problems();
        CHECK(std::count_if(found.begin(), found.end(), [](const Problem& problem) {
                  return unless(problem.detail, "without custodians' agreement to this list").empty();
              }) == 1);  // the removal of that record itself, for which nobody has asked them
    }
    SECTION("to this one") {
        agree("remove 4 records; list sha256 " + to_hex(list.id()));
        remove("ab12");
        CHECK_FALSE(objected());
    }
}

// The seal of a month says what its records were, as long as they were there.
TEST_CASE("what was removed was of the kind that the month was sealed with") {
    Removing one;
    const auto now = [&] {
        auto scan = std::move(store::SegmentScan::open(one.dir, "2014-11")).value();
        auto reader = std::move(store::ArchiveReader::open(one.dir)).value();
        return std::move(evidence::kinds_of(scan, store::Removals::read(*reader).value())).value();
    };
    const auto sealed = now();
    REQUIRE(sealed.size() == 1);
    CHECK(sealed.at("gate.closed").count == 4);
    CHECK(std::move(evidence::decode_kinds(evidence::encode_kinds(sealed))).value() == sealed);

    const auto head = std::move(store::TreeReader::open(one.dir)).value()->head(4).value();
    const auto key =
        tlog::VerifierKey::make(one.archive->origin(), tlog::VerifierKey::Type::ed25519, Bytes(32, 1));
    REQUIRE(key);
    const tlog::Note note{tlog::Checkpoint{one.archive->origin(), head}.text(),
                          {tlog::signature_line(*key, Bytes(64, 2))}};
    const auto entry =
        evidence::make_seal("2014-11", evidence::Grouping::of(0, 4), head, note.write(), sealed);
    REQUIRE(
        one.archive->append(moment("2026-11-02"), entry.event, entry.blobs, store::Archive::Month::stays));
    const auto objections = [&] {
        std::vector<Problem> found;
        const std::vector<tlog::VerifierKey> keys;
        audit::check_seals({one.dir,
                            nullptr,
                            keys,
                            {{"2014-11", 0, 4}, {"2014-12", 4, 6}, {"2026-11", 6, 100}},
                            [](const std::string&) { return false; }},
                           found);
        for (const Problem& problem : found) CHECK(problem.kind == "seal");
        return found;
    };
    CHECK(objections().empty());
    SECTION("by that name") {
        one.removed(gates(), "2026-11-02");
        CHECK(objections().empty());
        CHECK(now() == sealed);
    }
    SECTION("by another") {
        auto another = gates({{1, 1}});
        another.kind = "import.room-entry";
        one.removed(another, "2026-11-02");
        // It is there still, too; once it is gone the other kind lacks it.
        const auto found = objections();
        REQUIRE(found.size() == 1);
        CHECK(found.front().segment == "2014-11");
        CHECK(unless(found.front().detail,
                     "of the kind import.room-entry aren't those of then: 0 when it was sealed, 1 now")
                  .empty());
    }
    SECTION("by none") {
        one.change_index("2014-11", "DELETE FROM event WHERE number = 2");
        const auto found = objections();
        REQUIRE(found.size() == 1);
        CHECK(unless(found.front().detail,
                     "of the kind gate.closed aren't those of then: 4 when it was sealed, 3 now")
                  .empty());
    }
    SECTION("as many others") {
        one.change_index("2014-11", "UPDATE event SET number = 6 WHERE number = 2");
        const auto found = objections();
        REQUIRE(found.size() == 1);
        CHECK(unless(found.front().detail, "4 now, with those that were removed by that name, and others")
                  .empty());
    }
}
