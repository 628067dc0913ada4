// A witness's answers (C2SP tlog-witness), its memory and its visits, with a log in memory.
#include <sys/stat.h>

#include <filesystem>
#include <thread>

#include "base/file.h"
#include "tests/support/folder.h"
#include "tests/witness/log.h"

using namespace kokuin;
using namespace kokuin::audit::witness;
using kokuin::testing::Log;

namespace {

struct Place {
    const testing::Folder folder;
    testing::SetWall wall;
    Log log;
    const std::string key_file = folder.path + "/key";
    const std::string dir = folder.path + "/state";
    std::optional<Cosigner> cosigner;

    Place() {
        REQUIRE(Key::create(key_file, "witness.example/w1"));
        start();
    }
    void start() {
        cosigner.reset();
        auto key = Key::load(key_file);
        REQUIRE(key);
        auto state = State::open(dir);
        REQUIRE(state);
        cosigner.emplace(std::move(*key), std::vector{log.verifier}, std::move(*state), wall);
    }
    Answer ask(const tlog::AddCheckpoint& request) { return cosigner->add_checkpoint(request.write()); }
    /// A cosignature of what was asked, at the clock's time.
    void judge(const Answer& answer, const tlog::Note& note) const {
        CHECK(answer.status == 200);
        const auto lines = tlog::parse_signature_lines(answer.body);
        REQUIRE(lines);
        REQUIRE(lines->size() == 1);
        const auto checked = tlog::check({note.text, *lines}, cosigner->key().verifier());
        CHECK(checked.outcome == tlog::Checked::Outcome::good);
        CHECK(checked.time == 1'795'435'200);
    }
    [[nodiscard]] std::size_t files(const std::string& with) const {
        std::size_t count = 0;
        for (const auto& entry : std::filesystem::directory_iterator(dir))
            count += entry.path().filename().string().find(with) != std::string::npos ? 1 : 0;
        return count;
    }
    Result<tlog::Note> visit() {
        return audit::witness::visit(*cosigner, log.verifier,
                                     [&](const std::string& path) { return Result(log.serve(path)); });
    }
};

}  // namespace

TEST_CASE("a witness's key is made once, for its user alone") {
    const testing::Folder folder;
    const std::string file = folder.path + "/key";
    const auto made = Key::create(file, "witness.example/w1");
    REQUIRE(made);
    struct stat status {};
    REQUIRE(::stat(file.c_str(), &status) == 0);
    CHECK((status.st_mode & 0777U) == 0600);
    const auto content = as_text(*read_file(file));
    CHECK_THAT(content,
               Catch::StartsWith("PRIVATE+KEY+witness.example/w1+" + to_hex(made->verifier().id()) + "+"));
    CHECK(Key::create(file, "other").error().kind == Error::Kind::usage);
    CHECK(as_text(*read_file(file)) == content);
    const auto again = Key::load(file);
    REQUIRE(again);
    CHECK(again->verifier() == made->verifier());
    CHECK(again->verifier().type() == tlog::VerifierKey::Type::cosignature);
    CHECK_FALSE(Key::create(folder.path + "/none", "a name"));
    CHECK_FALSE(std::filesystem::exists(folder.path + "/none"));

    REQUIRE(write_file(file, as_view(content), 0644));
    CHECK_THAT(Key::load(file).error().text, Catch::Contains("chmod 600"));
    for (const std::string& bad :
         {content.substr(0, content.size() - 3), "x" + content, made->verifier().text(), std::string("k"),
          std::string(content).replace(content.find("w1"), 2, "w2")}) {
        REQUIRE(write_file(file, as_view(bad), 0600));
        const auto refused = Key::load(file);
        CHECK_FALSE(refused);
        if (!refused) CHECK_THAT(refused.error().text, !Catch::Contains(content.substr(50, 20)));
    }
}

TEST_CASE("what goes on from what was seen is cosigned, durably before the answer") {
    Place place;
    place.log.grow(5);
    auto request = place.log.request(0);
    place.judge(place.ask(request), request.checkpoint);
    // What is kept has both signatures.
    const auto file = place.dir + "/log.example%2fone.checkpoint";
    const auto kept = tlog::Note::parse(as_text(*read_file(file)));
    REQUIRE(kept);
    CHECK(tlog::check(*kept, place.log.verifier).outcome == tlog::Checked::Outcome::good);
    CHECK(tlog::check(*kept, place.cosigner->key().verifier()).outcome == tlog::Checked::Outcome::good);

    for (const std::size_t size : {6, 7, 8, 64, 65, 300}) {
        const auto before = place.log.leaves.size();
        place.log.grow(size);
        place.start();  // it remembers
        request = place.log.request(before);
        place.judge(place.ask(request), request.checkpoint);
    }
    // The same again: no proof, another time perhaps.
    request = place.log.request(300);
    CHECK(request.proof.empty());
    place.judge(place.ask(request), request.checkpoint);
    CHECK(place.files(".checkpoint") == 1);
}

TEST_CASE("400: what is no request") {
    Place place;
    place.log.grow(9);
    const auto good = place.log.request(0).write();
    const auto note = place.log.note().write();
    const std::string hash = to_base64(Bytes(32)) + "\n";
    std::string many = "old 1\n";
    for (int i = 0; i < 64; ++i) many += hash;
    for (const std::string& bad :
         {std::string(), std::string("old 0"), std::string("old 0\n"), "old 0\n" + note, "old\n\n" + note,
          "old 00\n\n" + note, "old -1\n\n" + note, "old 1 \n\n" + note, "Old 1\n\n" + note,
          "old 9223372036854775808\n\n" + note, "old 1\n" + to_base64(Bytes(31)) + "\n\n" + note,
          "old 1\nxyz\n\n" + note, many + "\n" + note, good.substr(0, good.size() - 1), "\n" + good,
          // The old size is above the checkpoint's.
          "old 10\n\n" + note,
          std::string("old 0\n\nno checkpoint\n\n") + note.substr(note.find("\n\n") + 2)}) {
        const auto answer = place.cosigner->add_checkpoint(bad);
        INFO(bad);
        CHECK(answer.status == 400);
    }
    CHECK(place.files(".checkpoint") == 0);
}

TEST_CASE("403 and 404: a log that isn't known, or hasn't signed it") {
    Place place;
    place.log.grow(3);
    Log other;
    other.grow(3);
    auto stranger = other.request(0);
    // Its name, another's key: neither the id nor the signature.
    CHECK(place.ask(stranger).status == 403);
    stranger.checkpoint.signatures[0].id = place.log.verifier.id();
    CHECK(place.ask(stranger).status == 403);
    other.verifier = other.make("log.example/two");
    CHECK(place.ask(other.request(0)).status == 404);
    // A signature more by somebody else is ignored.
    auto request = place.log.request(0);
    request.checkpoint.signatures.insert(request.checkpoint.signatures.begin(),
                                         {"somebody", {1, 2, 3, 4}, Bytes(64)});
    place.judge(place.ask(request), request.checkpoint);
    const auto kept = tlog::Note::parse(as_text(*read_file(place.dir + "/log.example%2fone.checkpoint")));
    CHECK(kept->signatures.size() == 2);
}

TEST_CASE("409: an old size that isn't the last one, or another root of the same size") {
    Place place;
    place.log.grow(20);
    CHECK(place.ask({7, place.log.proof(7, 20), place.log.note()}).status == 409);
    const auto first = place.ask({7, place.log.proof(7, 20), place.log.note()});
    CHECK(first.body == "0\n");
    CHECK(first.content_type == "text/x.tlog.size");
    REQUIRE(place.ask(place.log.request(0)).status == 200);
    for (const std::uint64_t old : {0, 7, 19}) {
        const auto answer = place.ask(place.log.request(old));
        CHECK(answer.status == 409);
        CHECK(answer.body == "20\n");
        CHECK(tlog::parse_size(answer.body) == 20);
    }
    CHECK(place.files(".conflict.") == 0);
    place.log.leaves.resize(10);
    place.log.grow(20, "rewritten");
    const auto answer = place.ask(place.log.request(20));
    CHECK(answer.status == 409);
    CHECK(answer.content_type == "text/x.tlog.size");
    CHECK(place.files(".conflict.20.") == 2);
}

TEST_CASE("422: a proof that doesn't verify") {
    Place place;
    place.log.grow(20);
    auto request = place.log.request(0);
    request.proof.resize(1);
    CHECK(place.ask(request).status == 422);  // must be empty
    REQUIRE(place.ask(place.log.request(0)).status == 200);
    request = place.log.request(20);
    request.proof.resize(1);
    CHECK(place.ask(request).status == 422);
    place.log.grow(33);
    request = place.log.request(20);
    for (std::size_t i = 0; i < request.proof.size(); ++i) {
        auto wrong = request;
        wrong.proof[i][7] ^= 1U;
        CHECK(place.ask(wrong).status == 422);
    }
    auto shorter = request;
    shorter.proof.pop_back();
    CHECK(place.ask(shorter).status == 422);
    // A log that has changed what was cosigned can't prove anything.
    Log& log = place.log;
    const auto honest = log.leaves;
    log.leaves.resize(19);
    log.grow(33, "rewritten");
    CHECK(place.ask(log.request(20)).status == 422);
    log.leaves = honest;
    place.judge(place.ask(request), request.checkpoint);
}

TEST_CASE("many at once: one wins, and nothing is rolled back") {
    Place place;
    place.log.grow(1);
    REQUIRE(place.ask(place.log.request(0)).status == 200);
    std::vector<std::string> bodies;
    for (std::size_t size = 2; size < 18; ++size) {
        place.log.grow(size);
        bodies.push_back(place.log.request(1).write());
    }
    std::atomic<int> cosigned{0};
    std::vector<std::thread> threads;
    for (const auto& body : bodies)
        threads.emplace_back([&] { cosigned += place.cosigner->add_checkpoint(body).status == 200 ? 1 : 0; });
    for (auto& thread : threads) thread.join();
    CHECK(cosigned == 1);
}

TEST_CASE("a memory that can't be read is no empty memory") {
    Place place;
    place.log.grow(4);
    REQUIRE(place.ask(place.log.request(0)).status == 200);
    CHECK(State::open(place.dir).error().kind == Error::Kind::environment);  // one at a time
    const auto file = place.dir + "/log.example%2fone.checkpoint";
    REQUIRE(write_file(file, as_view("garbage")));
    CHECK(place.ask(place.log.request(0)).status == 500);
    CHECK(place.ask(place.log.request(4)).status == 500);
    CHECK(as_text(*read_file(file)) == "garbage");
    CHECK(place.visit().error().kind == Error::Kind::environment);
}

TEST_CASE("a memory that was damaged accuses nobody") {
    Place place;
    place.log.grow(4);
    REQUIRE(place.visit());
    const auto file = place.dir + "/log.example%2fone.checkpoint";
    auto kept = as_text(*read_file(file));
    const auto at = kept.find("\n4\n");
    REQUIRE(at != std::string::npos);
    kept[at + 1] = '3';
    REQUIRE(write_file(file, as_view(kept)));
    place.log.grow(5);
    const auto note = place.visit();
    REQUIRE_FALSE(note);
    CHECK(note.error().kind == Error::Kind::environment);
    CHECK_THAT(note.error().text, Catch::Contains("neither its signature nor this witness's fits"));
    CHECK(place.ask(place.log.request(3)).status == 500);
    CHECK(place.files(".conflict.") == 0);
    CHECK(place.cosigner->evidence("log.example/one").empty());
}

TEST_CASE("a visit proves out of tiles that the log goes on from what was seen") {
    Place place;
    for (const std::size_t size : {3, 3, 4, 255, 256, 257, 600, 70'000}) {
        place.log.grow(size);
        const auto note = place.visit();
        if (!note) FAIL(note.error().text);
        CHECK(tlog::check(*note, place.log.verifier).outcome == tlog::Checked::Outcome::good);
        CHECK(tlog::check(*note, place.cosigner->key().verifier()).outcome == tlog::Checked::Outcome::good);
        CHECK(tlog::Checkpoint::parse(note->text)->head.size == size);
    }
}

TEST_CASE("a visit catches a log that was rewritten, rolled back, or doesn't prove itself") {
    Place place;
    Log& log = place.log;
    log.grow(300);
    REQUIRE(place.visit());
    const auto honest = log.leaves;
    const auto caught = [&](const char* why, std::size_t kept) {
        const auto note = place.visit();
        REQUIRE_FALSE(note);
        CHECK(note.error().kind == Error::Kind::no);
        CHECK_THAT(note.error().text, Catch::Contains(why));
        CHECK_THAT(note.error().text, Catch::Contains("300 records"));
        CHECK(std::count(note.error().text.begin(), note.error().text.end(), '\n') == 0);
        CHECK(place.files(".conflict.") == kept);
        CHECK(place.cosigner->evidence(log.verifier.name()).size() == kept);
    };
    log.leaves.resize(299);
    caught("ROLLED BACK", 2);
    log.grow(300, "rewritten");
    caught("REWRITTEN", 3);
    log.grow(500, "rewritten");
    caught("REWRITTEN", 4);
    // Tiles of before under the new checkpoint.
    auto other = log.leaves;
    const auto liar = audit::witness::visit(*place.cosigner, log.verifier, [&](const std::string& path) {
        const auto note = log.note().write();
        if (path == "checkpoint") return Result(net::Response::text(200, note));
        log.leaves = honest;
        log.grow(500);
        auto tile = log.serve(path);
        log.leaves = other;
        return Result(std::move(tile));
    });
    CHECK_THAT(liar.error().text, Catch::Contains("NO PROOF"));
    // It has forgotten nothing, and believes the honest one still.
    log.leaves = honest;
    log.grow(301);
    CHECK(place.visit());
}

TEST_CASE("a visit that meets no log says so") {
    Place place;
    place.log.grow(3);
    const auto with = [&](int status, const std::string& body) {
        return audit::witness::visit(
                   *place.cosigner, place.log.verifier,
                   [&](const std::string&) { return Result(net::Response::text(status, body)); })
            .error();
    };
    CHECK(with(404, "").kind == Error::Kind::environment);
    CHECK(with(200, "<html>").kind == Error::Kind::environment);
    const auto away = audit::witness::visit(
        *place.cosigner, place.log.verifier,
        [](const std::string&) -> Result<net::Response> { return Error::environment("refused"); });
    CHECK(away.error().kind == Error::Kind::environment);
    Log other;
    other.grow(3);
    CHECK(with(200, other.note().write()).kind == Error::Kind::no);
    other.verifier = other.make("log.example/two");
    CHECK_THAT(with(200, other.note().write()).text, Catch::Contains("of the log log.example/two"));
    // Tiles that are missing, too short, or no longer there as parts.
    REQUIRE(place.visit());
    place.log.grow(40);
    const auto tiles = [&](int status, std::size_t size) {
        return audit::witness::visit(*place.cosigner, place.log.verifier, [&](const std::string& path) {
            return Result(path == "checkpoint" ? place.log.serve(path)
                                               : net::Response::octets(status, "", Bytes(size)));
        });
    };
    CHECK(tiles(404, 0).error().kind == Error::Kind::environment);
    CHECK(tiles(200, 31).error().kind == Error::Kind::environment);
    CHECK(tiles(500, 40 * 32).error().kind == Error::Kind::environment);
    auto longer = place.log.leaves;
    const auto full =
        audit::witness::visit(*place.cosigner, place.log.verifier, [&](const std::string& path) {
            if (path == "checkpoint") return Result(place.log.serve(path));
            if (path.find(".p/") != std::string::npos) return Result(net::Response::text(404, ""));
            place.log.grow(256);
            auto tile = place.log.serve(path);
            place.log.leaves = longer;
            return Result(std::move(tile));
        });
    CHECK(full);
}
