// Which key a TSU signs with when tsad starts, between a real token, archive and configuration.
#include "tsa/tsu_load.h"

#include "hsm/keytool.h"
#include "tests/hsm/opened.h"
#include "tests/pki/workshop.h"
#include "tests/tac/town.h"

using namespace kokuin;
using hsm::must;
using tsa::KeyState;

namespace {

/// A token with the keys "a" and "b", each with its certificate. Not copyable: its parts name each other.
struct LoadHouse {
    const workshop::Folder folder;
    testing::SoftHsm softhsm;
    std::unique_ptr<hsm::Token> token = hsm::opened(softhsm);
    SystemWallClock wall;
    SystemMonoClock mono;
    tac::clock::SystemBootClock boot;
    tac::clock::StampingClock clock{wall, mono, boot};
    std::unique_ptr<store::Archive> archive;
    std::optional<tsa::Journal> journal;
    std::unique_ptr<tsa::KeyLife> life;
    tsa::TsuSettings settings{"tsu-1", "a", folder.at("a.pem"), town::folder().at("root.pem"), false};
    const tsa::KeyStep step{"why", "by", "root", {}, {}};

    LoadHouse() {
        for (const std::string label : {"a", "b"}) {
            must(hsm::keytool::generate(*token, label));
            folder.write(label + ".csr", as_view(must(hsm::keytool::csr(
                                             *token, label, "CN=TSU", hsm::keytool::Purpose::timestamping))));
            folder.write("ext", as_view(workshop::tsu_extensions));
            folder.must("openssl x509 -req -in " + label + ".csr -CA " + town::folder().at("root.pem") +
                        " -CAkey " + town::folder().at("root.key") + " -days 365 -extfile ext -out " + label +
                        ".pem 2>/dev/null");
        }
        must(store::Archive::create(folder.at("archive"), wall.now()));
        open();
    }
    void open() {
        life.reset();
        journal.reset();
        archive.reset();
        archive = must(store::Archive::open(folder.at("archive")));
        journal.emplace(*archive, clock);
        life = must(tsa::KeyLife::open(*archive, *journal));
    }
    [[nodiscard]] pki::Certificate certificate(const std::string& label) const {
        return must(pki::load_certificates(folder.at(label + ".pem"))).front();
    }
    /// As tsad does at its start.
    std::unique_ptr<tsa::Tsu> start() {
        open();
        must(life->retire_older("tsu-1"));
        auto tsu = must(tsa::load_tsu(
            settings, *life, [this](const tsa::KeyEntry*) -> Result<hsm::Token*> { return &*token; },
            wall.now()));
        must(life->retire_older("tsu-1"));
        return tsu;
    }
    void certify_b() {
        must(life->generated("b", "tsu-1", "", certificate("b").spki(), step));
        must(life->certified("b", certificate("b"), {}, step));
    }
    [[nodiscard]] KeyState state(const std::string& label) const { return life->find(label)->state; }
};

}  // namespace

TEST_CASE("the configuration's first key is adopted once") {
    LoadHouse house;
    CHECK(house.start()->key().label() == "a");
    CHECK(house.state("a") == KeyState::active);
    const auto records = house.archive->state().next;
    CHECK(house.start()->key().label() == "a");
    CHECK(house.archive->state().next == records);
}

TEST_CASE("after a crash between two records the later key signs, and its records say so") {
    LoadHouse house;
    (void)house.start();
    house.certify_b();
    must(house.life->activated("b", house.wall.now(), house.step));
    // Here it died; the configuration still names the first one.
    for (int i = 0; i < 2; ++i) {
        CHECK(house.start()->key().label() == "b");
        CHECK(house.state("a") == KeyState::retired);
        CHECK(house.state("b") == KeyState::active);
    }
}

TEST_CASE("a TSU whose key is retired, or gone, starts and signs nothing until a successor takes over") {
    LoadHouse house;
    (void)house.start();
    must(house.life->retired("a", house.step));
    const auto closed = [&](const tsa::Tsu& tsu) {
        CHECK(tsu.idle());
        const auto decision = tsu.gate().decide(house.clock.read(), {});
        REQUIRE(std::holds_alternative<tac::Closed>(decision));
        CHECK(std::get<tac::Closed>(decision).cause == tac::Cause::suspended);
        CHECK(std::get<tac::Closed>(decision).text.find("no other has taken over") != std::string::npos);
    };
    closed(*house.start());
    must(house.token->destroy_key("a", pki::digest(pki::Hash::sha256, house.certificate("a").spki())));
    must(house.life->destroyed("a", house.step));
    closed(*house.start());
    house.certify_b();
    closed(*house.start());
    must(house.life->activated("b", house.wall.now(), house.step));
    const auto tsu = house.start();
    CHECK_FALSE(tsu->idle());
    CHECK(tsu->key().label() == "b");
}

TEST_CASE("a new key in the configuration takes over at the start") {
    LoadHouse house;
    (void)house.start();
    house.settings.key = "b";
    house.settings.certificate = house.folder.at("b.pem");
    for (int i = 0; i < 2; ++i) {
        CHECK(house.start()->key().label() == "b");
        CHECK(house.state("a") == KeyState::retired);
    }
    // Back again isn't possible: a key that was replaced never signs again.
    house.settings.key = "a";
    house.settings.certificate = house.folder.at("a.pem");
    CHECK(house.start()->key().label() == "b");
}
