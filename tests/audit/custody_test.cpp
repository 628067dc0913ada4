// What an archive says of custodians, judged (audit/custody_check.h).
#include <algorithm>
#include <catch2/catch.hpp>

#include "audit/custody_check.h"
#include "hsm/custody/papers/statement.h"
#include "store/archive.h"
#include "store/removal.h"
#include "tests/support/folder.h"
#include "tests/support/moment.h"

using namespace kokuin;
using audit::Custody;
using audit::Problem;
using hsm::custody::Approval;
using hsm::custody::Roster;
using hsm::custody::Statement;
using kokuin::testing::moment;

namespace {

Bytes seed_of(const std::string& name, unsigned generation = 1) {
    Bytes seed(hsm::custody::seed_octets, static_cast<std::uint8_t>(generation));
    std::copy(name.begin(), name.end(), seed.begin());
    return seed;
}

Roster roster_of(std::vector<std::string> names, unsigned generation = 1) {
    Roster roster{std::string(32, 'a'), generation, "token", 2, {}};
    for (const std::string& name : names)
        roster.custodians.push_back(
            {name, hsm::custody::public_keys(seed_of(name)), Bytes(32, 1), Bytes(32, 2)});
    return roster;
}

struct Held {
    const testing::Folder folder;
    const std::string dir = folder.path + "/archive";
    std::unique_ptr<store::Archive> archive;
    const Roster first = roster_of({"a", "b", "c"});
    std::uint64_t covered = 1000;  // records under a checkpoint

    Held() {
        REQUIRE(store::Archive::create(dir, moment("2026-11-01")));
        archive = std::move(store::Archive::open(dir)).value();
    }
    void event(store::Event event, const std::string& paper) const {
        const store::Blob blob(Bytes(paper.begin(), paper.end()));
        event.blobs = {blob.id()};
        event.subject = "token";
        REQUIRE(archive->append(moment("2026-11-02"), event, {blob}));
    }
    void roster(const char* kind, const Roster& roster) const {
        store::Event one;
        one.kind = kind;
        event(one, roster.to_json());
    }
    [[nodiscard]] static Statement statement(const Roster& roster, const std::string& act,
                                             const std::string& content = "") {
        return {act, "tsad", roster.ceremony, roster.generation, roster.token, "5e77", content, "0123"};
    }
    /// `signers`: custodians who sign, each with the seed of that name.
    static std::string signed_by(const Statement& statement, const std::vector<std::string>& signers) {
        std::vector<Approval> approvals;
        for (const std::string& name : signers)
            approvals.push_back(hsm::custody::approve(statement, name, seed_of(name)));
        return hsm::custody::approvals_json(statement, approvals);
    }
    void agreed(const Statement& said, const std::string& paper) const {
        store::Event one;
        one.kind = "custody.agreed";
        one.fields = {{"act", said.act}, {"content", said.content}, {"proposal", said.nonce}};
        event(one, paper);
    }
    void activated(const Statement& said, const std::string& paper) const {
        store::Event one;
        one.kind = "custody.activated";
        one.fields = {{"settings", said.settings}, {"generation", std::int64_t{said.generation}}};
        event(one, paper);
    }
    /// One that names what it was agreed in.
    void act(const std::string& kind, std::map<std::string, store::FieldValue> fields) const {
        store::Event one;
        one.kind = kind;
        one.fields = std::move(fields);
        REQUIRE(archive->append(moment("2026-11-02"), one));
    }
    /// As if all custodians' agreements up to this record had passed their time.
    void agreements_removed(store::RecordNumber from, store::RecordNumber to) const {
        const store::Removal removal{
            "2026-11", "custody.agreed", {{from, to}}, moment("2036-11-05"), std::nullopt};
        const std::string lines = store::removal_lines({removal});
        const store::Blob list(Bytes(lines.begin(), lines.end()));
        REQUIRE(archive->append(moment("2036-12-01"),
                                store::expired_event({removal}, list, {"why", "by", "account"}), {list},
                                store::Archive::Month::stays));
    }
    static std::string handing_over_to(const Roster& next) {
        return std::to_string(next.threshold) + " of " + next.keys_text();
    }
    [[nodiscard]] std::vector<Problem> problems(std::vector<Custody>* custody = nullptr,
                                                store::RecordNumber end = 1000) const {
        std::vector<Problem> found;
        auto reader = std::move(store::ArchiveReader::open(dir)).value();
        auto all = audit::check_custody(*reader, end, covered, found);
        if (custody) *custody = std::move(all.tokens);
        return found;
    }
    [[nodiscard]] std::vector<audit::Alone> alone() const {
        std::vector<Problem> found;
        auto reader = std::move(store::ArchiveReader::open(dir)).value();
        return audit::check_custody(*reader, 1000, covered, found).alone;
    }
    /// The one objection there is, and to which record.
    [[nodiscard]] std::string objection(store::RecordNumber number) const {
        const auto found = problems();
        REQUIRE(found.size() == 1);
        CHECK(found.front().kind == "custody");
        CHECK(found.front().number == number);
        return found.front().detail;
    }
};

bool says(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("custodians who signed what they agreed to, and handed over by agreement, are not objected to") {
    const Held one;
    one.roster("custody.shared", one.first);
    const auto opened = Held::statement(one.first, "activate");
    one.activated(opened, Held::signed_by(opened, {"a", "c"}));
    const auto programs = Held::statement(one.first, "programs-accept", "tsad 1.2");
    one.agreed(programs, Held::signed_by(programs, {"c", "b"}));
    const Roster next = roster_of({"b", "d"}, 2);
    const auto over = Held::statement(one.first, "reshare", Held::handing_over_to(next));
    one.agreed(over, Held::signed_by(over, {"a", "b", "c"}));
    one.roster("custody.resharing", next);
    // A re-sharing that broke off is gone on with by custodians of both.
    const auto both = Held::statement(next, "activate");
    one.activated(opened, Held::signed_by(opened, {"a", "b"}));
    one.activated(both, Held::signed_by(both, {"b", "d"}));
    one.roster("custody.shared", next);
    one.activated(both, Held::signed_by(both, {"d", "b"}));

    std::vector<Custody> custody;
    const auto found = one.problems(&custody);
    INFO((found.empty() ? "" : found.front().detail));
    CHECK(found.empty());
    REQUIRE(custody.size() == 1);
    CHECK(custody.front().token == "token");
    CHECK(custody.front().custodians == "2 of 2 custodians (b, d)");
    CHECK(custody.front().generation == 2);
    CHECK(custody.front().begun == 0);
    CHECK_FALSE(custody.front().anew);
    // As it was before the last activation but one, while the rest was being written.
    CHECK(one.problems(&custody, 5).empty());
    CHECK(custody.front().generation == 1);
}

TEST_CASE("what custodians haven't signed, or not so, is objected to") {
    const Held one;
    one.roster("custody.shared", one.first);
    const auto said = Held::statement(one.first, "archive-expire", "remove 4 records");
    const std::string good = Held::signed_by(said, {"a", "b"});
    SECTION("too few") {
        one.agreed(said, Held::signed_by(said, {"a"}));
        CHECK(says(one.objection(1), "it takes 2 of 3 custodians (a, b, c), and 1 approved"));
    }
    SECTION("one of them twice") {
        one.agreed(said, Held::signed_by(said, {"a", "a"}));
        CHECK(says(one.objection(1), "and 1 approved"));
    }
    SECTION("a stranger") {
        one.agreed(said, Held::signed_by(said, {"a", "x"}));
        CHECK(says(one.objection(1), "'x' is none of the custodians"));
    }
    SECTION("by another key") {
        const auto forged =
            hsm::custody::approvals_json(said, {hsm::custody::approve(said, "a", seed_of("a")),
                                                hsm::custody::approve(said, "b", seed_of("b", 9))});
        one.agreed(said, forged);
        CHECK(says(one.objection(1), "the signature of b isn't over what is to be done"));
    }
    SECTION("another thing than its record says") {
        auto other = said;
        SECTION("act") {
            other.act = "import-erase";
        }
        SECTION("content") {
            other.content = "remove 5 records";
        }
        SECTION("proposal") {
            other.nonce = "4567";
        }
        one.agreed(said, Held::signed_by(other, {"a", "b"}));
        CHECK(says(one.objection(1), "something else than its record says"));
    }
    SECTION("each another thing") {
        auto other = said;
        other.content = "remove 5 records";
        auto mixed = hsm::custody::approvals_json(said, {hsm::custody::approve(said, "a", seed_of("a"))});
        const auto second =
            hsm::custody::approvals_json(other, {hsm::custody::approve(other, "b", seed_of("b"))});
        const auto from = second.find("[") + 1;
        mixed.insert(mixed.find("[") + 1, second.substr(from, second.find("]") - from) + ",");
        one.agreed(said, mixed);
        CHECK(says(one.objection(1), "aren't of one thing"));
    }
    SECTION("under other settings") {
        auto opened = Held::statement(one.first, "activate");
        const auto paper = Held::signed_by(opened, {"a", "b"});
        opened.settings = "0bad";
        one.activated(opened, paper);
        CHECK(says(one.objection(1), "something else than its record says"));
    }
    SECTION("as those of another ceremony") {
        auto other = said;
        other.ceremony = std::string(32, 'b');
        one.agreed(said, Held::signed_by(other, {"a", "b"}));
        CHECK(says(one.objection(1), "another ceremony or generation"));
    }
    SECTION("nothing that can be read") {
        for (const auto& paper : {std::string("{}"), good.substr(0, good.size() / 2), std::string("[]"),
                                  std::string(R"({"kokuin":"approvals","version":1,"approvals":[1]})")})
            one.agreed(said, paper);
        const auto found = one.problems();
        CHECK(found.size() == 4);
    }
}

TEST_CASE("custodians are replaced only as those before have agreed") {
    const Held one;
    one.roster("custody.shared", one.first);
    const Roster next = roster_of({"x", "y"}, 2);
    SECTION("nobody did") {
        one.roster("custody.resharing", next);
        CHECK(says(one.objection(1), "whom those before haven't agreed to"));
    }
    SECTION("to others") {
        const auto over =
            Held::statement(one.first, "reshare", Held::handing_over_to(roster_of({"x", "z"}, 2)));
        one.agreed(over, Held::signed_by(over, {"a", "b"}));
        one.roster("custody.resharing", next);
        CHECK(says(one.objection(2), "whom those before haven't agreed to"));
    }
    SECTION("by those who come") {
        const auto over = Held::statement(one.first, "reshare", Held::handing_over_to(next));
        one.agreed(over, Held::signed_by(over, {"x", "y"}));
        one.roster("custody.resharing", next);
        CHECK(one.problems().size() == 2);
    }
    SECTION("without a word") {
        one.roster("custody.shared", next);
        CHECK(says(one.objection(1), "no record says how those before agreed"));
    }
    SECTION("in a ceremony of their own, which is told") {
        Roster anew = next;
        anew.ceremony = std::string(32, 'b');
        one.roster("custody.shared", anew);
        std::vector<Custody> custody;
        CHECK(one.problems(&custody).empty());
        REQUIRE(custody.size() == 1);
        CHECK(custody.front().anew);
        CHECK(custody.front().begun == 1);
    }
}

TEST_CASE("what was agreed to before a ceremony doesn't hold after it") {
    const Held one;
    one.roster("custody.shared", one.first);
    Roster anew = roster_of({"x", "y"});
    anew.ceremony = std::string(32, 'b');
    Roster next = roster_of({"k", "l"}, 2);
    next.ceremony = anew.ceremony;
    const auto over = Held::statement(one.first, "reshare", Held::handing_over_to(next));
    one.agreed(over, Held::signed_by(over, {"a", "b"}));
    one.roster("custody.shared", anew);
    one.roster("custody.resharing", next);
    CHECK(says(one.objection(3), "whom those before haven't agreed to"));
}

TEST_CASE("nobody opens a token before a ceremony, and nobody is two custodians") {
    const Held one;
    const auto opened = Held::statement(one.first, "activate");
    one.activated(opened, "{}");
    CHECK(says(one.objection(0), "nobody was ever one"));
    Roster twice = roster_of({"a", "b"});
    twice.custodians[1].keys.signing = twice.custodians[0].keys.signing;
    CHECK_FALSE(Roster::from_json(twice.to_json()));
}

TEST_CASE("what was on its way while custodians were replaced counts") {
    const Held one;
    one.roster("custody.shared", one.first);
    const Roster next = roster_of({"b", "d"}, 2);
    const auto over = Held::statement(one.first, "reshare", Held::handing_over_to(next));
    one.agreed(over, Held::signed_by(over, {"a", "b"}));
    // Of a shared token's late record nothing comes in between.
    one.roster("custody.shared", one.first);
    one.roster("custody.resharing", next);
    one.roster("custody.shared", next);
    const auto said = Held::statement(one.first, "programs-accept", "tsad 1.2");
    one.agreed(said, Held::signed_by(said, {"a", "c"}));
    CHECK(one.problems().empty());
}

TEST_CASE("of what may have been removed since the custodians were known nothing is said") {
    const Held one;
    one.roster("custody.shared", one.first);
    const Roster next = roster_of({"x", "y"}, 2);
    const auto said = Held::statement(next, "programs-accept", "tsad 1.3");
    // Records 1 and 2 told how the custodians were replaced.
    one.roster("custody.proposed", one.first);
    one.roster("custody.proposed", one.first);
    one.agreed(said, Held::signed_by(said, {"x", "y"}));
    CHECK(one.problems().size() == 1);
    const store::Removal removal{"2026-11", "custody.shared", {{1, 2}}, moment("2036-11-05"), std::nullopt};
    const std::string lines = store::removal_lines({removal});
    const store::Blob list(Bytes(lines.begin(), lines.end()));
    REQUIRE(one.archive->append(moment("2036-12-01"),
                                store::expired_event({removal}, list, {"why", "by", "account"}), {list},
                                store::Archive::Month::stays));
    CHECK(one.problems().empty());
    // From the next record on that tells who they are they are known again.
    one.roster("custody.shared", next);
    one.agreed(said, Held::signed_by(said, {"x"}));
    CHECK(one.problems().size() == 1);
}

TEST_CASE("that agreements were removed excuses no signature") {
    const Held one;
    one.roster("custody.shared", one.first);
    const auto said = Held::statement(one.first, "programs-accept", "tsad 1.3");
    one.agreed(said, Held::signed_by(said, {"a", "b"}));
    const store::Removal removal{"2026-11", "custody.agreed", {{1, 1}}, moment("2036-11-05"), std::nullopt};
    const std::string lines = store::removal_lines({removal});
    const store::Blob list(Bytes(lines.begin(), lines.end()));
    REQUIRE(one.archive->append(moment("2036-12-01"),
                                store::expired_event({removal}, list, {"why", "by", "account"}), {list},
                                store::Archive::Month::stays));
    one.agreed(said, Held::signed_by(said, {"a"}));
    CHECK(says(one.objection(3), "and 1 approved"));
    one.roster("custody.resharing", roster_of({"x", "y"}, 2));
    CHECK(one.problems().size() == 1);
}

TEST_CASE("what several people must agree to isn't done without them") {
    Held one;
    struct Case {
        std::string act;
        std::string content;
        std::string kind;
        std::map<std::string, store::FieldValue> fields;
        std::string proposal;  // name of the field
    };
    const auto c = GENERATE(Case{"key-destroy",
                                 "key tsu-1, spki_sha256 0a0b",
                                 "key.destroyed",
                                 {{"key", "tsu-1"}, {"spki_sha256", "0a0b"}, {"token", "token"}},
                                 "proposal"},
                            Case{"programs-accept",
                                 "programs, list sha256 77aa",
                                 "programs.accepted",
                                 {{"list", "77aa"}},
                                 "agreed_in"},
                            Case{"import-erase",
                                 "import 12ab, room-entry, hmac sha256 00",
                                 "import.erased",
                                 {{"id", "12ab"}},
                                 "agreed_in"});
    CAPTURE(c.kind);
    const auto with = [&c](const std::string& proposal) {
        auto fields = c.fields;
        fields[c.proposal] = proposal;
        return fields;
    };
    // Before anybody shared the PIN.
    one.act(c.kind, c.fields);
    one.roster("custody.shared", one.first);
    const auto agree = [&one](const Statement& said) { one.agreed(said, Held::signed_by(said, {"a", "b"})); };
    const auto said = Held::statement(one.first, c.act, c.content);
    SECTION("agreed to") {
        agree(said);
        one.act(c.kind, with(said.nonce));
        CHECK(one.problems().empty());
    }
    SECTION("nobody was asked") {
        one.act(c.kind, c.fields);
        CHECK(one.problems().empty());
        const auto alone = one.alone();
        REQUIRE(alone.size() == 1);
        CHECK(alone.front().number == 2);
        CHECK(alone.front().kind == c.kind);
        CHECK(alone.front().since == 1);
    }
    SECTION("they are only named") {
        auto fields = c.fields;
        fields["custodians"] = "a, b";
        one.act(c.kind, fields);
        CHECK(says(one.objection(2), "they hold the PIN since record 1"));
    }
    SECTION("they agreed afterwards") {
        one.act(c.kind, with(said.nonce));
        agree(said);
        CHECK(says(one.objection(2), "no record before it says"));
    }
    SECTION("to something else") {
        auto other = said;
        SECTION("another thing") {
            other.content = "key tsu-2, list sha256 00, import 00,";
        }
        SECTION("another act") {
            other.act = "archive-expire";
        }
        agree(other);
        one.act(c.kind, with(said.nonce));
        CHECK(says(one.objection(3), "no record before it says"));
    }
    SECTION("in another proposal") {
        agree(said);
        one.act(c.kind, with("4567"));
        CHECK(says(one.objection(3), "no record before it says"));
    }
    SECTION("for the second time") {
        agree(said);
        one.act(c.kind, with(said.nonce));
        one.act(c.kind, with(said.nonce));
        CHECK(says(one.objection(4), "was done already, by record 3"));
    }
    SECTION("that they did may have been removed, ten years on") {
        one.act("any", {});
        one.act(c.kind, with(said.nonce));
        one.agreements_removed(2, 2);
        CHECK(one.problems().empty());
        // Nobody has signed that, if it is under no checkpoint.
        one.covered = 4;
        CHECK(says(one.objection(3), "no record before it says"));
    }
    SECTION("that others were removed excuses nothing") {
        // Years later; what was removed is of the first month alone.
        REQUIRE(one.archive->append(moment("2033-05-01"), store::Event{"any", "", "", {}, {}}));
        REQUIRE(one.archive->append(moment("2033-06-01"), store::Event{"any", "", "", {}, {}}));
        store::Event late;
        late.kind = c.kind;
        late.fields = with(said.nonce);
        REQUIRE(one.archive->append(moment("2033-06-02"), late));
        one.agreements_removed(0, 1);
        CHECK(says(one.objection(4), "no record before it says"));
    }
}

TEST_CASE("custodians of another token agree to nothing about this one's keys") {
    const Held one;
    one.roster("custody.shared", one.first);
    const auto said = Held::statement(one.first, "key-destroy", "key tsu-1, spki_sha256 0a0b");
    one.agreed(said, Held::signed_by(said, {"a", "b"}));
    std::map<std::string, store::FieldValue> fields{
        {"key", "tsu-1"}, {"spki_sha256", "0a0b"}, {"token", "second"}, {"proposal", said.nonce}};
    one.act("key.destroyed", fields);
    // Who has shared that one's PIN nobody says, and yet custodians are named.
    CHECK(says(one.objection(2), "no record before it says who shared a PIN"));
    auto other = one.first;
    other.token = "second";
    store::Event shared;
    shared.kind = "custody.shared";
    const std::string paper = other.to_json();
    const store::Blob blob(Bytes(paper.begin(), paper.end()));
    shared.blobs = {blob.id()};
    shared.subject = "second";
    REQUIRE(one.archive->append(moment("2026-11-02"), shared, {blob}));
    fields["proposal"] = "4567";
    one.act("key.destroyed", fields);
    const auto found = one.problems();
    REQUIRE(found.size() == 2);
    CHECK(found.back().number == 4);
    CHECK(says(found.back().detail, "they hold the PIN since record 3"));
}

TEST_CASE("custodians who are said to have restored an archive opened a token for that") {
    const Held one;
    one.roster("custody.shared", one.first);
    const auto restored = [&one](const std::string& custodians) {
        one.act("archive.restored", {{"root", Bytes(32, 7)}, {"custodians", custodians}});
    };
    const auto opened = [&one](std::uint8_t root) {
        auto said = Held::statement(one.first, "activate",
                                    "restore the archive x into y from z: 1 record, root " +
                                        to_hex(Bytes(32, root)) + "; witnessed: none");
        store::Event event;
        event.kind = "custody.activated";
        event.fields = {{"settings", said.settings},
                        {"generation", std::int64_t{said.generation}},
                        {"content", said.content}};
        one.event(event, Held::signed_by(said, {"a", "b"}));
    };
    SECTION("they did") {
        restored("a, b");
        opened(7);
        CHECK(one.problems().empty());
    }
    SECTION("for another one") {
        restored("a, b");
        opened(8);
        CHECK(says(one.objection(1), "no record behind it says"));
    }
    SECTION("one person alone, which is told elsewhere") {
        restored("");
        CHECK(one.problems().empty());
    }
}
