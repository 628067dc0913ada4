// Checkpoints over a real archive, signed by a real token of SoftHSM; only the monotonic clock is the test's.
#include "checkpoint/checkpointer.h"

#include <catch2/catch.hpp>

#include "hsm/keytool.h"
#include "pki/hash.h"
#include "store/reader.h"
#include "store/tree_reader.h"
#include "tests/support/folder.h"
#include "tests/support/set_mono.h"
#include "tests/support/softhsm.h"

using namespace kokuin;
using namespace std::chrono_literals;

namespace {

struct CheckpointPlace {
    const testing::SoftHsm softhsm{"kokuin-tsu"};
    const testing::Folder folder;
    const std::string dir = folder.path + "/archive";
    const SystemWallClock wall;
    testing::SetMono mono;
    std::unique_ptr<hsm::Token> token;
    bool reachable = true;  // whether the program has the token at all
    std::unique_ptr<store::Archive> archive;
    std::optional<checkpoint::Checkpointer> checkpoints;

    CheckpointPlace() {
        hsm::TokenOptions with;
        with.module_path = testing::SoftHsm::module();
        with.token = softhsm.label();
        with.pin = Secret(as_view(testing::SoftHsm::pin));
        auto opened = hsm::Token::open(std::move(with));
        REQUIRE(opened);
        token = std::move(*opened);
        REQUIRE(store::Archive::create(dir, wall.now(), "tsa.example"));
        start();
    }
    ~CheckpointPlace() { end(); }

    void start(const std::string& key = "archive") {
        auto kept = store::Archive::open(dir);
        REQUIRE(kept);
        archive = std::move(*kept);
        checkpoints.emplace(checkpoint::CheckpointerParts{
            mono, *archive, [this](const store::Event& event) { return append(event); },
            [this](const store::Event& event) { CHECK(append(event)); },
            [this] { return reachable ? Result(token.get()) : Error::environment("it isn't plugged in"); },
            key, 5s, "tsactl key generate " + key + " --type ed25519", "nothing is stamped"});
    }
    /// As a crash would: nothing is covered in the end.
    void end() {
        checkpoints.reset();
        archive.reset();
    }
    void happens(const char* kind) {
        store::Event event;
        event.kind = kind;
        REQUIRE(append(event));
    }
    Done append(const store::Event& event) {
        const auto number = archive->append(wall.now(), event, {}, store::Archive::Month::stays);
        return number ? Done() : Done(number.error());
    }
    void after(nanoseconds time) {
        mono.time += time;
        checkpoints->tick();
    }
    /// The key is made, something happens, and is covered in time.
    void covers_its_first() {
        REQUIRE(hsm::keytool::generate(*token, "archive", hsm::KeyAlgorithm::ed25519));
        happens("first");
        after(0s);
        after(2500ms);
    }
    std::uint64_t covered() const { return archive->state().covered; }
    std::uint64_t records() const { return static_cast<std::uint64_t>(archive->state().next); }
    std::vector<store::Event> events(const char* kind) const {
        std::vector<store::Event> found;
        store::EventQuery query;
        query.kind = kind;
        REQUIRE(archive->events(query, [&](const store::Found& one) {
            found.push_back(one.event());
            return true;
        }));
        return found;
    }
    /// The newest checkpoint holds, by the key that was recorded last, over the records as they are.
    void judge() const {
        const auto note = tlog::Note::parse(archive->checkpoint());
        REQUIRE(note);
        const auto said = std::get<std::string>(events("archive.key").back().fields.at("verifier"));
        const auto key = tlog::VerifierKey::parse(said);
        REQUIRE(key);
        CHECK(tlog::check(*note, *key).outcome == tlog::Checked::Outcome::good);
        const auto checkpoint = tlog::Checkpoint::parse(note->text);
        REQUIRE(checkpoint);
        CHECK(checkpoint->origin == archive->origin());
        CHECK(checkpoint->head.size == covered());
        const auto tree = store::TreeReader::open(dir);
        CHECK((*tree)->head(covered()).value() == checkpoint->head);
    }
};

}  // namespace

TEST_CASE(
    "records are covered half of the time that they may stay uncovered, and nothing is signed without news") {
    CheckpointPlace place;
    REQUIRE(hsm::keytool::generate(*place.token, "archive", hsm::KeyAlgorithm::ed25519));
    place.happens("first");
    CHECK_FALSE(place.checkpoints->overdue());
    place.after(0s);  // seen
    place.after(2400ms);
    CHECK(place.covered() == 0);
    place.after(100ms);
    // The event that names the key is covered by its first signature.
    CHECK(place.covered() == 2);
    CHECK(place.records() == 2);
    place.judge();
    const std::string first = place.archive->checkpoint();
    CHECK(place.events("archive.key").size() == 1);
    for (int i = 0; i < 20; ++i) place.after(1s);
    CHECK(place.archive->checkpoint() == first);

    place.happens("second");
    place.after(500ms);
    place.after(2499ms);
    CHECK(place.covered() == 2);
    CHECK_FALSE(place.checkpoints->overdue());
    place.after(1ms);
    CHECK(place.covered() == 3);
    place.judge();
    CHECK(place.events("archive.key").size() == 1);
}

TEST_CASE("while the key is away nothing may leave, and what a crash left is covered first") {
    CheckpointPlace place;
    REQUIRE(hsm::keytool::generate(*place.token, "archive", hsm::KeyAlgorithm::ed25519));
    place.happens("first");
    place.after(0s);
    place.token->lock();
    place.after(4499ms);
    CHECK_FALSE(place.checkpoints->overdue());
    // One look's time before the five seconds are over: whatever is appended now is seen by then.
    place.after(1ms);
    REQUIRE(place.checkpoints->overdue());
    CHECK_THAT(*place.checkpoints->overdue(), Catch::Contains("under no signed checkpoint in time"));
    CHECK_THAT(*place.checkpoints->overdue(), Catch::Contains("locked"));
    // Custodians are waited for; that is told elsewhere.
    CHECK(place.events("checkpoint.late").empty());

    place.end();
    place.start();
    CHECK(place.checkpoints->overdue());
    place.after(0s);
    CHECK(place.checkpoints->overdue());
    REQUIRE(place.token->unlock(Secret(as_view(testing::SoftHsm::pin))));
    place.after(0s);
    CHECK_FALSE(place.checkpoints->overdue());
    CHECK(place.covered() == place.records());
    place.judge();
    // What was covered before a start is so after it.
    place.end();
    place.start();
    CHECK_FALSE(place.checkpoints->overdue());
}

TEST_CASE("a key that is missing is told once, with what to do, and so is its coming") {
    CheckpointPlace place;
    place.happens("first");
    place.after(0s);
    place.after(4500ms);
    place.after(1s);
    CHECK_THAT(*place.checkpoints->overdue(), Catch::Contains("tsactl key generate archive --type ed25519"));
    CHECK(place.events("checkpoint.late").size() == 1);
    REQUIRE(hsm::keytool::generate(*place.token, "archive", hsm::KeyAlgorithm::rsa));
    place.after(1s);
    CHECK_THAT(*place.checkpoints->overdue(), Catch::Contains("RSA"));
    place.end();
    REQUIRE(hsm::keytool::generate(*place.token, "archive-2", hsm::KeyAlgorithm::ed25519));
    place.start("archive-2");
    place.after(0s);
    CHECK_FALSE(place.checkpoints->overdue());
    place.judge();
}

TEST_CASE("another key is recorded before it signs, with the one before it") {
    CheckpointPlace place;
    REQUIRE(hsm::keytool::generate(*place.token, "archive", hsm::KeyAlgorithm::ed25519));
    REQUIRE(hsm::keytool::generate(*place.token, "archive-2", hsm::KeyAlgorithm::ed25519));
    place.happens("first");
    place.checkpoints->stop();
    place.judge();
    place.end();
    place.start("archive-2");
    place.happens("second");
    place.checkpoints->stop();  // covers what is there
    CHECK(place.covered() == place.records());
    place.judge();
    const auto keys = place.events("archive.key");
    REQUIRE(keys.size() == 2);
    CHECK(keys[1].fields.at("previous") == keys[0].fields.at("verifier"));
    CHECK(keys[1].fields.at("key") == store::FieldValue("archive-2"));
}

TEST_CASE("that a program has no token at all is told, and over a restart that it has one again") {
    CheckpointPlace place;
    REQUIRE(hsm::keytool::generate(*place.token, "archive", hsm::KeyAlgorithm::ed25519));
    place.reachable = false;
    place.happens("first");
    place.after(0s);
    place.after(4500ms);
    CHECK_THAT(*place.checkpoints->overdue(), Catch::Contains("hsm: it isn't plugged in"));
    CHECK(place.events("checkpoint.late").size() == 1);
    place.end();
    place.start();
    place.after(1s);
    CHECK(place.events("checkpoint.late").size() == 1);
    place.reachable = true;
    // The last word is signed for, too.
    place.checkpoints->stop();
    CHECK(place.events("checkpoint.back").size() == 1);
    CHECK(place.covered() == place.records());
    place.judge();
}

TEST_CASE("what was covered isn't overdue, however late the next look comes") {
    CheckpointPlace place;
    place.covers_its_first();
    CHECK(place.covered() == place.records());
    place.mono.time += 1h;
    CHECK_FALSE(place.checkpoints->overdue());
}

TEST_CASE("another key under the same label signs without a restart") {
    CheckpointPlace place;
    place.covers_its_first();
    const auto before = place.token->find_key("archive", hsm::KeyAlgorithm::ed25519);
    REQUIRE(before);
    REQUIRE(place.token->destroy_key("archive", pki::digest(pki::Hash::sha256, before->spki())));
    REQUIRE(hsm::keytool::generate(*place.token, "archive", hsm::KeyAlgorithm::ed25519));
    place.happens("second");
    place.after(0s);
    place.after(2500ms);
    place.after(500ms);
    CHECK(place.covered() == place.records());
    CHECK(place.events("archive.key").size() == 2);
    place.judge();
}
