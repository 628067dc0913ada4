// tsad's side of witnesses: a real archive, real witnesses, and a line between them that the test cuts.
#include "tsa/witnesses.h"

#include <catch2/catch.hpp>

#include "store/restore.h"
#include "store/tlog/add_checkpoint.h"
#include "tests/support/folder.h"
#include "tests/witness/log.h"
#include "tsa/log_tiles.h"

using namespace kokuin;
using audit::witness::Cosigner;

namespace {

struct WitnessPlace {
    const testing::Folder folder;
    const std::string dir = folder.path + "/archive";
    const SystemWallClock wall;
    const SystemMonoClock mono;
    const tac::clock::SystemBootClock boot;
    const tac::clock::StampingClock clock{wall, mono, boot};
    testing::SetWall witness_wall;
    testing::Log signer;  // its key only
    std::optional<Cosigner> cosigner;
    std::unique_ptr<store::Archive> archive;
    std::optional<tsa::Journal> journal;
    std::optional<tsa::Witnesses> witnesses;
    /// Instead of the witness.
    std::function<Result<net::Response>(const net::Call&)> instead;
    std::vector<std::string> sent;

    WitnessPlace() {
        REQUIRE(store::Archive::create(dir, wall.now(), "tsa.example"));
        open_archive();
        signer.verifier = signer.make(archive->origin());
        REQUIRE(audit::witness::Key::create(folder.path + "/key", "witness.example/w1"));
        new_witness("seen");
        start();
    }
    void open_archive() {
        auto opened = store::Archive::open(dir);
        REQUIRE(opened);
        archive = std::move(*opened);
        journal.emplace(*archive, clock);
    }
    void new_witness(const std::string& memory) {
        cosigner.reset();
        auto key = audit::witness::Key::load(folder.path + "/key");
        auto state = audit::witness::State::open(folder.path + "/" + memory);
        REQUIRE(key);
        REQUIRE(state);
        cosigner.emplace(std::move(*key), std::vector{signer.verifier}, std::move(*state), witness_wall);
    }
    void start() {
        witnesses.reset();
        auto url = net::parse_url("http://witness.example:3170/w/");
        tsa::WitnessesParts parts{*archive, dir, *journal, {}, seconds(60), {}};
        parts.witnesses.push_back({"w1", *url, cosigner->key().verifier()});
        parts.submit = [this](const net::Url& to, const net::Call& call) -> Result<net::Response> {
            CHECK(to.host == "witness.example");
            CHECK(call.path == "/w/add-checkpoint");
            CHECK(call.method == "POST");
            const std::string body = as_text(call.body);
            sent.push_back(body.substr(0, body.find('\n')));
            if (instead) return instead(call);
            return ask(body);
        };
        witnesses.emplace(std::move(parts));
    }
    net::Response ask(const std::string& body) {
        const auto answer = cosigner->add_checkpoint(body);
        return net::Response::octets(answer.status, answer.content_type,
                                     Bytes(answer.body.begin(), answer.body.end()));
    }
    void restart() {
        witnesses.reset();
        journal.reset();
        archive.reset();
        open_archive();
        start();
    }
    void happens() {
        store::Event event;
        event.kind = "test";
        REQUIRE(journal->write(event));
    }
    /// One record more, under a checkpoint.
    std::uint64_t checkpoint() {
        happens();
        const auto head = archive->head();
        REQUIRE(archive->add_checkpoint(head, signer.note(head)));
        return head.size;
    }
    std::vector<std::string> events(const char* kind) const {
        std::vector<std::string> found;
        store::EventQuery query;
        query.kind = kind;
        query.subject = "witness.example/w1";
        REQUIRE(archive->events(query, [&](const store::Found& one) {
            found.push_back(one.event().text);
            return true;
        }));
        return found;
    }
    tsa::Witnesses::Seen seen() const { return witnesses->snapshot().at(0); }
    std::vector<std::string> round() {
        sent.clear();
        witnesses->tick();
        return sent;
    }
    void judge(std::uint64_t size) const {
        const auto note = tlog::Note::parse(archive->witnessed());
        REQUIRE(note);
        CHECK(note->signatures.size() == 2);
        CHECK(tlog::check(*note, signer.verifier).outcome == tlog::Checked::Outcome::good);
        CHECK(tlog::check(*note, cosigner->key().verifier()).outcome == tlog::Checked::Outcome::good);
        CHECK(tlog::Checkpoint::parse(note->text)->head.size == size);
        CHECK(seen().state == "cosigned");
        CHECK(seen().size == size);
        CHECK(seen().trouble.empty());
        CHECK(seen().at == witness_wall.time);
    }
};

using Sent = std::vector<std::string>;

}  // namespace

TEST_CASE("an archive that was restored is another log to a witness, which begins it anew") {
    WitnessPlace place;
    place.checkpoint();
    place.round();
    const auto newest = place.checkpoint();
    // Whatever it held against the log before.
    place.instead = [](const net::Call&) { return net::Response::text(422, ""); };
    place.round();
    CHECK(place.seen().state == "conflict");
    CHECK(place.events("witness.conflict").size() == 1);
    place.instead = nullptr;

    store::RestorePlan plan;
    plan.from = place.folder.path + "/left";
    plan.to = place.dir;
    plan.witnessed = *tlog::Note::parse(place.archive->checkpoint());
    plan.log_key = place.signer.verifier;
    const auto before = place.archive->origin();
    place.witnesses.reset();
    place.journal.reset();
    place.archive.reset();
    REQUIRE(std::rename(place.dir.c_str(), plan.from.c_str()) == 0);
    {
        auto restore = store::Restore::begin(plan);
        REQUIRE(restore);
        CHECK((*restore)->found().head.size >= newest);
        REQUIRE((*restore)->finish(place.wall.now(), {}, {}));
    }
    place.open_archive();
    CHECK(place.archive->origin() != before);
    CHECK(place.archive->witnessed().empty());
    place.signer.verifier = place.signer.make(place.archive->origin());
    place.new_witness("seen");
    place.start();
    CHECK(place.round().empty());  // nothing is signed yet
    CHECK(place.seen().state == "new");
    const auto first = place.checkpoint();
    CHECK(place.round() == Sent{"old 0"});
    place.judge(first);
    const auto second = place.checkpoint();
    place.restart();
    CHECK(place.round() == Sent{"old " + std::to_string(first)});
    place.judge(second);
}

TEST_CASE("what is new is cosigned and kept, over restarts") {
    WitnessPlace place;
    CHECK(place.round().empty());
    CHECK(place.seen().state == "new");
    CHECK(place.events("witness.key").size() == 1);
    const auto first = place.checkpoint();
    CHECK(place.round() == Sent{"old 0"});
    place.judge(first);
    CHECK(place.round().empty());
    const auto second = place.checkpoint();
    CHECK(place.round() == Sent{"old " + std::to_string(first)});
    place.judge(second);
    place.restart();
    CHECK(place.round().empty());
    place.judge(second);
    for (int i = 0; i < 300; ++i) place.happens();
    const auto third = place.checkpoint();
    CHECK(place.round() == Sent{"old " + std::to_string(second)});
    place.judge(third);
    CHECK(place.events("witness.key").size() == 1);
    CHECK(place.events("witness.away").empty());
    CHECK(place.events("witness.back").empty());
}

TEST_CASE("where a witness stands it says itself") {
    WitnessPlace place;
    // It has seen this log without us; later it has lost its memory.
    const auto first = place.checkpoint();
    REQUIRE(place.ask(tlog::AddCheckpoint{0, {}, *tlog::Note::parse(place.archive->checkpoint())}.write())
                .status == 200);
    const auto second = place.checkpoint();
    CHECK(place.round() == Sent{"old 0", "old " + std::to_string(first)});
    place.judge(second);
    place.new_witness("forgotten");
    const auto third = place.checkpoint();
    CHECK(place.round() == Sent{"old " + std::to_string(second), "old 0"});
    place.judge(third);
    CHECK(place.events("witness.conflict").empty());
}

TEST_CASE("a witness that is away is told once, and so is its coming back") {
    WitnessPlace place;
    place.checkpoint();
    place.instead = [](const net::Call&) -> Result<net::Response> { return Error::environment("refused"); };
    for (int i = 0; i < 3; ++i) {
        CHECK(place.round().size() == 1);
        CHECK(place.seen().state == "away");
        CHECK(place.seen().trouble == "refused");
    }
    place.restart();
    place.checkpoint();
    place.round();
    REQUIRE(place.events("witness.away").size() == 1);
    CHECK_THAT(place.events("witness.away")[0], Catch::Contains("refused"));
    CHECK(place.archive->witnessed().empty());
    place.instead = nullptr;
    const auto size = place.checkpoint();
    place.round();
    place.judge(size);
    CHECK(place.events("witness.back").size() == 1);
    place.checkpoint();
    place.round();
    CHECK(place.events("witness.back").size() == 1);
}

TEST_CASE("what is no cosignature counts as none") {
    WitnessPlace place;
    place.checkpoint();
    const testing::Folder other;
    const auto stranger = audit::witness::Key::create(other.path + "/key", "witness.example/w1");
    REQUIRE(stranger);
    const auto note = *tlog::Note::parse(place.archive->checkpoint());
    auto forged = stranger->sign(note.text, 7);
    forged.id = place.cosigner->key().verifier().id();
    const auto with = [&](int status, const std::string& type, const std::string& body) {
        place.instead = [=](const net::Call&) {
            return Result(net::Response::octets(status, type, Bytes(body.begin(), body.end())));
        };
        place.round();
        CHECK(place.archive->witnessed().empty());
        CHECK(place.seen().state == "away");
        return place.seen().trouble;
    };
    using Catch::Contains;
    CHECK_THAT(with(200, "", ""), Contains("no signature"));
    CHECK_THAT(with(200, "", "<html>\n"), Contains("signature"));
    CHECK_THAT(with(200, "", tlog::write_signature_lines({stranger->sign(note.text, 7)})),
               Contains("no cosignature by the key"));
    CHECK_THAT(with(200, "", tlog::write_signature_lines({forged})), Contains("doesn't verify"));
    CHECK_THAT(with(404, "text/plain", "never heard of it\n"), Contains("HTTP 404 (never heard of it"));
    CHECK_THAT(with(403, "text/plain", "no\n"), Contains("HTTP 403"));
    CHECK_THAT(with(409, "text/plain", "1000\n"), Contains("HTTP 409"));
    CHECK_THAT(with(409, "text/x.tlog.size", "many\n"), Contains("HTTP 409"));
    CHECK_THAT(with(409, "text/x.tlog.size", "0\n"), Contains("HTTP 409"));
    CHECK_THAT(with(500, "text/plain", "oh\n"), Contains("HTTP 500"));
    CHECK(place.events("witness.conflict").empty());
    // Beside lines of others its own counts.
    place.instead = [&](const net::Call& call) {
        auto answer = place.ask(as_text(call.body));
        const auto more = tlog::write_signature_lines({stranger->sign(note.text, 7)});
        answer.body.insert(answer.body.begin(), more.begin(), more.end());
        return Result(std::move(answer));
    };
    const auto size = place.checkpoint();
    place.round();
    place.judge(size);
}

TEST_CASE("a witness that has seen another history is told once, and named until it cosigns again") {
    WitnessPlace place;
    const auto size = place.checkpoint();
    place.round();
    const auto answers = [&](int status, const std::string& body) {
        place.instead = [=](const net::Call&) {
            return Result(net::Response::octets(status, "text/x.tlog.size", Bytes(body.begin(), body.end())));
        };
    };
    const std::string how = GENERATE("larger", "refused", "other root");
    const auto next = place.checkpoint();
    // The very size of the checkpoint, also when asked from there: another root.
    if (how == "larger") answers(409, "1000000\n");
    if (how == "refused") answers(422, "");
    if (how == "other root") answers(409, std::to_string(next) + "\n");
    place.round();
    CHECK(place.seen().state == "conflict");
    CHECK(place.seen().size == size);
    CHECK_FALSE(place.seen().trouble.empty());
    place.round();
    // Away meanwhile: still in conflict.
    const auto trouble = place.seen().trouble;
    place.instead = [](const net::Call&) -> Result<net::Response> { return Error::environment("gone"); };
    place.round();
    CHECK(place.seen().state == "conflict");
    CHECK(place.seen().trouble == trouble);
    place.restart();
    place.checkpoint();
    place.round();
    CHECK(place.seen().state == "conflict");
    answers(422, "");
    place.round();
    REQUIRE(place.events("witness.conflict").size() == 1);
    CHECK_THAT(place.events("witness.conflict")[0], Catch::Contains("HISTORY DIFFERS"));
    CHECK(place.events("witness.away").empty());
    place.instead = nullptr;
    const auto good = place.checkpoint();
    place.round();
    place.judge(good);
    CHECK(place.events("witness.back").size() == 1);
}

TEST_CASE("a newer checkpoint of ours that somebody has shown it is no conflict") {
    WitnessPlace place;
    place.checkpoint();
    place.round();
    place.checkpoint();
    place.instead = [&](const net::Call&) {
        // Meanwhile there is a newer one, and the witness gets it from somebody else.
        const auto text = std::to_string(place.checkpoint()) + "\n";
        return Result(net::Response::octets(409, "text/x.tlog.size", Bytes(text.begin(), text.end())));
    };
    place.round();
    place.instead = nullptr;
    CHECK(place.events("witness.conflict").empty());
    place.round();
    CHECK(place.seen().state == "cosigned");
}

TEST_CASE("however many tiles are asked for at once, each gets an answer") {
    WitnessPlace place;
    for (int i = 0; i < 300; ++i) place.happens();
    const auto size = place.checkpoint();
    std::mutex mutex;
    std::map<int, int> statuses;
    {
        tsa::LogTiles tiles(*place.archive, place.dir);
        const auto ask = [&](const std::string& path) {
            tiles.answer("0", path, net::Reply([&](net::Response response) {
                             const std::lock_guard lock(mutex);
                             ++statuses[response.status];
                             if (response.status == 200) CHECK(response.body.size() % 32 == 0);
                         }));
        };
        for (int i = 0; i < 1000; ++i) ask("000");
        ask("001");
        ask("001.p/" + std::to_string(size - 256 + 1));
    }
    CHECK(statuses[404] == 2);
    CHECK(statuses[200] >= 64);
    CHECK(statuses[200] + statuses[503] == 1000);
}
