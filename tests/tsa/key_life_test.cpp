// The life of keys as the archive tells it.
#include "tsa/key_life.h"

#include "tests/pki/workshop.h"
#include "tests/support/must.h"
#include "tests/tac/town.h"
#include "tsa/key_watch.h"

using namespace kokuin;
using testing::must;
using tsa::KeyLife;
using tsa::KeyState;

namespace {

WallTime at(std::string_view text) {
    return from_rfc3339(text).value();
}

/// Two certificates for two keys, made once.
const workshop::Folder& folder() {
    static const workshop::Folder made;
    static const bool done = [] {
        for (const auto* name : {"one", "two"})
            made.must(std::string("openssl req -x509 -newkey rsa:2048 -nodes -keyout ") + name +
                      ".key -out " + name + ".pem -days 4000 -subj /CN=" + name + " 2>/dev/null");
        return true;
    }();
    REQUIRE(done);
    return made;
}
pki::Certificate certificate(const std::string& name) {
    return must(pki::load_certificates(folder().at(name + ".pem"))).front();
}

struct Settable final : WallClock {
    WallTime time = at("2026-01-31T12:00:00Z");
    [[nodiscard]] WallTime now() const override { return time; }
};

/// An archive whose clock is set by hand. Not copyable: its parts name each other.
struct KeyLifeHouse {
    workshop::Folder place;
    Settable wall;
    SystemMonoClock mono;
    tac::clock::SystemBootClock boot;
    tac::clock::StampingClock clock{wall, mono, boot};
    std::unique_ptr<store::Archive> archive;
    std::optional<tsa::Journal> journal;
    std::unique_ptr<KeyLife> life;
    const tsa::KeyStep step{"why", "operator 1", "root", {}, {}};

    KeyLifeHouse() {
        must(store::Archive::create(place.at("archive"), wall.now()));
        open();
    }
    void open() {
        life.reset();
        journal.reset();
        archive.reset();
        archive = must(store::Archive::open(place.at("archive")));
        journal.emplace(*archive, clock);
        life = must(KeyLife::open(*archive, *journal));
    }
    Done generate(const std::string& label, const std::string& name, const std::string& tsu = "tsu-1") {
        return life->generated(label, tsu, "0a0b", certificate(name).spki(), step);
    }
    Done certify(const std::string& label, const std::string& name) {
        return life->certified(label, certificate(name), {}, step);
    }
    [[nodiscard]] std::string state(const std::string& label) const {
        const auto entry = life->find(label);
        return entry ? std::string(name(entry->state)) : "-";
    }
};

}  // namespace

TEST_CASE("A key signs for a year and a month, or until its certificate ends") {
    const auto far = at("2060-01-01");
    CHECK(tsa::signs_until(at("2026-11-26T10:11:12Z"), far) == at("2027-12-26T10:11:12Z"));
    CHECK(tsa::signs_until(at("2026-12-31T23:59:59Z"), far) == at("2028-01-31T23:59:59Z"));
    // To the last day of a shorter month.
    CHECK(tsa::signs_until(at("2026-01-31T12:00:00Z"), far) == at("2027-02-28T12:00:00Z"));
    CHECK(tsa::signs_until(at("2027-01-29T12:00:00Z"), far) == at("2028-02-29T12:00:00Z"));
    CHECK(tsa::signs_until(at("2026-11-26T10:11:12Z"), at("2027-01-01")) == at("2027-01-01"));
    CHECK(tsa::destroy_by(at("2026-01-31T12:00:00Z")) == at("2026-02-28T12:00:00Z"));
}

TEST_CASE("From the HSM to its end, each step known again after a restart") {
    KeyLifeHouse house;
    must(house.generate("k1", "one"));
    CHECK(house.state("k1") == "generated");
    must(house.life->requested("k1", "PEM", house.step));
    must(house.life->requested("k1", "PEM again", house.step));
    must(house.certify("k1", "one"));
    house.wall.time = at("2026-03-01T00:00:00Z");
    must(house.life->activated("k1", house.wall.now(), house.step));
    house.wall.time = at("2026-04-01T00:00:00Z");
    const auto check = [&] {
        const auto entry = house.life->active("tsu-1").value();
        CHECK(entry.label == "k1");
        CHECK(entry.id == "0a0b");
        CHECK(entry.activated == at("2026-03-01T00:00:00Z"));
        CHECK(entry.certificate_sha256 == to_hex(certificate("one").sha256()));
        CHECK(must(house.life->certificates(entry)).first == certificate("one"));
    };
    check();
    house.open();
    check();
    must(house.life->retired("k1", house.step));
    CHECK_FALSE(house.life->active("tsu-1"));
    house.open();
    CHECK(house.life->find("k1")->retired == at("2026-04-01T00:00:00Z"));
    must(house.life->destroyed("k1", house.step));
    house.open();
    CHECK(house.state("k1") == "destroyed");
    // Its label may be given to another key.
    must(house.generate("k1", "two"));
    CHECK(house.state("k1") == "generated");
    CHECK_FALSE(house.life->find("k1")->activated);
    house.open();
    CHECK_FALSE(house.life->find("k1")->activated);
}

TEST_CASE("Steps that aren't legal are refused with what would be, and leave no record") {
    KeyLifeHouse house;
    const auto refused = [&](const Done& done) {
        REQUIRE_FALSE(done);
        CHECK(done.error().kind == Error::Kind::no);
        return done.error().text;
    };
    CHECK(refused(house.life->activated("none", house.wall.now(), house.step))
              .find("no record of a key 'none'") != std::string::npos);
    must(house.generate("k1", "one"));
    const auto records = house.archive->state().next;
    CHECK(refused(house.generate("k1", "two")).find("already") != std::string::npos);
    CHECK(refused(house.life->activated("k1", house.wall.now(), house.step))
              .find("can become requested or certified or destroyed") != std::string::npos);
    CHECK(refused(house.life->retired("k1", house.step)).find("can't become retired") != std::string::npos);
    CHECK(house.archive->state().next == records);
    must(house.certify("k1", "one"));
    must(house.life->activated("k1", house.wall.now(), house.step));
    CHECK(refused(house.life->destroyed("k1", house.step)).find("it can become retired") !=
          std::string::npos);
    CHECK(refused(house.certify("k1", "one")).find("is active") != std::string::npos);
    must(house.life->retired("k1", house.step));
    CHECK(
        refused(house.life->activated("k1", house.wall.now(), house.step)).find("it can become destroyed") !=
        std::string::npos);
    must(house.life->destroyed("k1", house.step));
    CHECK(refused(house.life->retired("k1", house.step)).find("can't become anything any more") !=
          std::string::npos);
}

TEST_CASE("An Ed25519 key is on record, and never a TSU's") {
    KeyLifeHouse house;
    const auto spki = from_hex("302a300506032b6570032100" + std::string(64, 'a')).value();
    must(house.life->generated("archive", "tsu-1", "0a0b", spki, house.step));
    must(house.life->requested("archive", "PEM", house.step));
    must(house.generate("k1", "one"));
    for (int i = 0; i < 2; ++i) {
        CHECK(house.life->find("archive")->type == "Ed25519");
        CHECK(house.life->find("k1")->type == "RSA");
        for (const auto next : {KeyState::certified, KeyState::active}) {
            const auto refused = house.life->legal("archive", next);
            REQUIRE_FALSE(refused);
            CHECK(refused.error().kind == Error::Kind::no);
            CHECK(refused.error().text.find("is an Ed25519 key") != std::string::npos);
        }
        house.open();
    }
    must(house.life->destroyed("archive", house.step));
    // Its label is free again, for whatever comes.
    must(house.generate("archive", "two"));
    CHECK(house.life->find("archive")->type == "RSA");
    must(house.certify("archive", "two"));
}

TEST_CASE("One key of a TSU is active: its successor retires it, and another TSU's is left alone") {
    KeyLifeHouse house;
    must(house.generate("k1", "one"));
    must(house.certify("k1", "one"));
    must(house.life->activated("k1", house.wall.now(), house.step));
    must(house.generate("other", "two", "tsu-2"));
    must(house.certify("other", "two"));
    must(house.life->activated("other", house.wall.now(), house.step));
    CHECK(house.state("k1") == "active");
    must(house.generate("k2", "two"));
    must(house.certify("k2", "two"));
    must(house.life->activated("k2", house.wall.now(), house.step));
    // Both, for a moment: what the first one has signed is still on its way. The later one is meant.
    CHECK(house.state("k1") == "active");
    CHECK(house.life->active("tsu-1")->label == "k2");
    must(house.life->retire_older("tsu-1"));
    for (int i = 0; i < 2; ++i) {
        CHECK(house.state("k1") == "retired");
        CHECK(house.state("k2") == "active");
        CHECK(house.life->active("tsu-1")->label == "k2");
        CHECK(house.life->active("tsu-2")->label == "other");
        house.open();
    }
}

TEST_CASE("A compromised key stops, is never active again, and can be destroyed") {
    KeyLifeHouse house;
    must(house.generate("k1", "one"));
    must(house.certify("k1", "one"));
    must(house.life->activated("k1", house.wall.now(), house.step));
    must(house.life->compromised("k1", house.step));
    house.open();
    CHECK(house.state("k1") == "retired");
    CHECK(house.life->find("k1")->compromised);
    CHECK_FALSE(house.life->adopt("k1", "tsu-1", certificate("one"), {}));
    must(house.life->destroyed("k1", house.step));
    CHECK_FALSE(house.life->compromised("k1", house.step));
    // One that was still to be used.
    must(house.generate("k2", "two"));
    must(house.life->compromised("k2", house.step));
    CHECK_FALSE(house.certify("k2", "two"));
    must(house.life->destroyed("k2", house.step));
}

TEST_CASE(
    "A compromise that is recorded ends a key, also if a crash came before the record of its retirement") {
    KeyLifeHouse house;
    must(house.generate("k1", "one"));
    must(house.certify("k1", "one"));
    must(house.life->activated("k1", house.wall.now(), house.step));
    store::Event event;
    event.kind = "key.compromised";
    event.subject = "tsu-1";
    event.text = "why";
    event.fields["key"] = "k1";
    must(house.journal->write(event));
    house.open();
    CHECK(house.state("k1") == "retired");
    CHECK_FALSE(house.life->active("tsu-1"));
    REQUIRE(house.life->compromises().size() == 1);
    CHECK(house.life->compromises().front().key.activated);
    // The TAA has to be told once, whatever comes between.
    CHECK_FALSE(house.life->compromises().front().told);
    must(house.life->told(house.life->compromises().front().key.certificate_sha256));
    house.open();
    CHECK(house.life->compromises().front().told);
    // Its label may be another key's later; the notice stays.
    must(house.life->destroyed("k1", house.step));
    must(house.generate("k1", "two"));
    house.open();
    CHECK_FALSE(house.life->find("k1")->compromised);
    CHECK(house.life->compromises().size() == 1);
}

TEST_CASE("A key that was here before its records counts from its certificate; one under records from now") {
    KeyLifeHouse house;
    house.wall.time = at("2040-01-01");
    must(house.life->adopt("old", "tsu-1", certificate("one"), {certificate("two")}));
    auto entry = house.life->active("tsu-1").value();
    CHECK(entry.activated == certificate("one").not_before());
    CHECK(must(house.life->certificates(entry)).second.size() == 1);
    // The same again changes nothing; another certificate of another key is refused.
    const auto records = house.archive->state().next;
    must(house.life->adopt("old", "tsu-1", certificate("one"), {}));
    CHECK(house.archive->state().next == records);
    CHECK_FALSE(house.life->adopt("old", "tsu-1", certificate("two"), {}));
    CHECK_FALSE(house.life->adopt("old", "tsu-2", certificate("one"), {}));
    // One that was never used may be another TSU's after all.
    must(house.generate("new", "two", "tsu-9"));
    must(house.life->adopt("new", "tsu-1", certificate("two"), {}));
    CHECK(house.life->find("new")->tsu == "tsu-1");
    must(house.life->retire_older("tsu-1"));
    for (int i = 0; i < 2; ++i) {
        entry = house.life->active("tsu-1").value();
        CHECK(entry.label == "new");
        CHECK(entry.activated == at("2040-01-01"));
        CHECK(house.state("old") == "retired");
        house.open();
    }
    CHECK_FALSE(house.life->adopt("old", "tsu-1", certificate("one"), {}));
}

TEST_CASE("The calendar of a key is told once for each step, also over restarts") {
    using std::chrono::days;
    using std::chrono::hours;
    KeyLifeHouse house;
    must(house.generate("k1", "one"));
    must(house.certify("k1", "one"));
    const auto begun = house.wall.time;
    must(house.life->activated("k1", begun, house.step));
    const auto end = tsa::signs_until(begun, at("2060-01-01"));
    // What the archive has of this kind: the fields "days".
    const auto said = [&house](const std::string& kind) {
        std::vector<std::int64_t> all;
        store::EventQuery query;
        query.kind = kind;
        must(house.archive->events(query, [&all](const store::Found& found) {
            all.push_back(std::get<std::int64_t>(found.event().fields.at("days")));
            return true;
        }));
        return all;
    };
    const auto look = [&house](WallTime now) {
        house.wall.time = now;
        house.open();  // a restart before each look
        tsa::KeyWatch watch(*house.life, *house.journal);
        must(watch.restore(*house.archive));
        watch.tick(now);
        watch.tick(now + std::chrono::seconds(1));
    };
    using Days = std::vector<std::int64_t>;
    look(end - days(60) - hours(1));
    CHECK(said("key.ending").empty());
    look(end - days(60));
    CHECK(said("key.ending") == Days{60});
    look(end - days(31));
    CHECK(said("key.ending") == Days{60});
    look(end - days(30) + hours(1));
    CHECK(said("key.ending") == Days{60, 30});
    look(end - days(7) + hours(1));
    look(end - days(1) + hours(1));
    CHECK(said("key.ending") == Days{60, 30, 7, 1});
    look(end - std::chrono::seconds(1));
    CHECK(said("key.ended").empty());
    look(end + std::chrono::seconds(1));
    look(end + days(1));
    CHECK(said("key.ended") == Days{0});
    CHECK(said("key.ending").size() == 4);

    // KEY-5: not a moment before the month is over.
    must(house.life->retired("k1", house.step));
    const auto gone_by = tsa::destroy_by(house.wall.time);
    look(gone_by - hours(1));
    CHECK(said("key.overdue").empty());
    look(gone_by + hours(1));
    look(gone_by + days(1));
    CHECK(said("key.overdue") == Days{0});
}
