// The audited side of tsad between real parts: a key in SoftHSM, an archive on a disk that fails on order,
// TACs signed by a TAA. The clocks are a world's.
#include "tsa/audit.h"

#include <catch2/catch.hpp>
#include <optional>

#include "hsm/keytool.h"
#include "store/reader.h"
#include "tests/clock/world.h"
#include "tests/hsm/opened.h"
#include "tests/store/failing_vfs.h"
#include "tests/tac/town.h"
#include "tsa/refused_tacs.h"

using namespace kokuin;
using hsm::must;
using store::test::FailPlan;
using store::test::heal;
using store::test::plan_failure;
using Kind = tac::DeliveryVerdict::Kind;

namespace {

const workshop::Folder& certificates() {
    return town::folder();
}

/// What lives as long as the process of a tsad: start() after a crash() is the next one's life.
struct AuditedHouse {
    const workshop::Folder folder;
    const std::string dir = folder.at("archive");
    world::World world{town::in_an_hour()};
    testing::SoftHsm softhsm;
    std::unique_ptr<hsm::Token> token = hsm::opened(softhsm);
    tac::Rules rules = town::Audit().rules;
    tsa::TsuSettings settings{"tsu-1", "tsu-1", folder.at("tsu-1.pem"), folder.at("chain.pem"), false};

    std::unique_ptr<store::Archive> archive;
    std::optional<tsa::Journal> journal;
    std::optional<tsa::RefusedTacs> refused;
    std::optional<tsa::TacRepository> repository;
    std::shared_ptr<tsa::Tsu> tsu;
    std::optional<tsa::Tsus> tsus;
    std::optional<tsa::Audited> audited;

    std::uint8_t serial = 0;

    AuditedHouse() {
        store::test::install_failing_vfs();
        must(hsm::keytool::generate(*token, "tsu-1"));
        const auto csr = must(hsm::keytool::csr(*token, "tsu-1", "C=JP,O=Kokuin Test,CN=TSU in SoftHSM",
                                                hsm::keytool::Purpose::timestamping));
        folder.write("tsu-1.csr", as_view(csr));
        folder.write("tsu-1.ext", as_view(workshop::tsu_extensions));
        folder.must("cp " + certificates().at("root.pem") +
                    " chain.pem && openssl x509 -req -in tsu-1.csr -CA " + certificates().at("root.pem") +
                    " -CAkey " + certificates().at("root.key") +
                    " -extfile tsu-1.ext -days 365 -out tsu-1.pem");
        must(store::Archive::create(dir, world.utc()));
        start();
    }
    ~AuditedHouse() { heal(); }
    AuditedHouse(const AuditedHouse&) = delete;
    AuditedHouse& operator=(const AuditedHouse&) = delete;

    void start() {
        archive = must(store::Archive::open(dir));
        journal.emplace(*archive, world.clock());
        refused.emplace(*journal);
        repository.emplace(*archive);
        tsu = must(tsa::Tsu::load(settings,
                                  {settings.key, must(pki::load_certificates(settings.certificate)).front(),
                                   settings.certificate, world.utc()},
                                  *token, world.utc()));
        tsus.emplace(tsa::Tsus::List{tsu});
        audited.emplace(
            tsa::AuditedParts{world.clock(), *archive, *journal, *refused, *repository, *tsus, rules});
        must(audited->restore());
    }
    /// What was only in memory is gone.
    void crash() {
        audited.reset();
        repository.reset();
        refused.reset();
        journal.reset();
        tsu.reset();
        archive.reset();
    }

    /// POST /audit/clock, and a good TAC about it. `spoil` makes it what a test wants.
    struct Visit {
        Bytes nonce;
        town::Audit audit;
    };
    Visit visit() {
        world.advance(seconds(1));
        ++serial;
        Visit made;
        made.nonce = Bytes(16, serial);
        const auto answer = must(audited->read_clock({made.nonce, "tsu-1"}));
        made.audit.exchange->received.wall = answer.t2;
        made.audit.exchange->sent.wall = answer.t3;
        made.audit.tac.holder_name = tsu->certificate().subject_der();
        made.audit.tac.holder_digest = tsu->certificate().digest(pki::Hash::sha256);
        made.audit.tac.serial = {serial};
        made.audit.measured(microseconds(0));
        world.advance(milliseconds(20));
        return made;
    }
    Result<tac::DeliveryVerdict> deliver(const Visit& visit) {
        return deliver(visit.nonce, visit.audit.der());
    }
    Result<tac::DeliveryVerdict> deliver(const Bytes& nonce, const Bytes& der) {
        return audited->deliver({nonce, der, {}});
    }
    Result<tac::DeliveryVerdict> deliver_good() { return deliver(visit()); }
    Result<tac::DeliveryVerdict> order_to_stop() {
        Visit made = visit();
        made.audit.measured(microseconds(0), nanoseconds(0));
        return deliver(made);
    }

    [[nodiscard]] std::string gate() const {
        const auto decision = tsu->gate().decide(world.read(), {});
        const auto* no = std::get_if<tac::Closed>(&decision);
        return no ? std::string(tac::name(no->cause)) : "open";
    }
    [[nodiscard]] std::vector<store::Event> events(const std::string& kind) const {
        std::vector<store::Event> all;
        auto reader = must(store::ArchiveReader::open(dir));
        store::EventQuery query;
        query.kind = kind;
        must(reader->events(query, [&](const store::Found& found) {
            all.push_back(found.event());
            return true;
        }));
        return all;
    }
};

std::string word(const Result<tac::DeliveryVerdict>& verdict) {
    if (!verdict) return verdict.error().kind == Error::Kind::environment ? "not recorded" : "usage";
    return verdict->kind == Kind::accepted  ? "accepted"
           : verdict->kind == Kind::refused ? verdict->reason
                                            : "stop";
}

std::int64_t count_of(const store::Event& event) {
    return std::get<std::int64_t>(event.fields.at("count"));
}

}  // namespace

TEST_CASE(
    "an order to stop that can't be archived holds, isn't acknowledged, and is archived once it can be") {
    AuditedHouse house;
    REQUIRE(word(house.deliver_good()) == "accepted");
    REQUIRE(house.gate() == "open");
    plan_failure({FailPlan::How::full, 0, true});
    CHECK(word(house.order_to_stop()) == "not recorded");
    CHECK(house.gate() == "order-to-stop");
    CHECK(house.journal->waiting() == 1);
    CHECK_FALSE(house.journal->flush());
    CHECK(house.journal->waiting() == 1);
    CHECK(heal() > 0);

    SECTION("by itself, as soon as there is room: then it holds over a crash") {
        REQUIRE(house.journal->flush());
        CHECK(house.journal->waiting() == 0);
        house.crash();
        house.start();
        CHECK(house.gate() == "order-to-stop");
        CHECK(house.events("tac.stop").size() == 1);
    }
    SECTION("before the good TAC that lifts it") {
        CHECK(word(house.deliver_good()) == "accepted");
        CHECK(house.gate() == "open");
        CHECK(house.events("tac.stop").size() == 1);
        house.crash();
        house.start();
        CHECK(house.gate() == "open");
    }
    SECTION("never, if the process dies first: the TAA, which got no acknowledgement, orders it again") {
        house.crash();
        house.start();
        CHECK(house.events("tac.stop").empty());
        CHECK(word(house.order_to_stop()) == "stop");
        CHECK(house.gate() == "order-to-stop");
        house.crash();
        house.start();
        CHECK(house.gate() == "order-to-stop");
    }
}

TEST_CASE("whichever write fails: an order to stop that was acknowledged holds over a crash") {
    using How = FailPlan::How;
    AuditedHouse house;
    int acknowledged = 0;
    int refused = 0;
    for (const How how : {How::before, How::after, How::full}) {
        for (const int skip : {0, 1, 2, 3, 5, 8, 12, 20, 40}) {
            INFO("how " << static_cast<int>(how) << " skip " << skip);
            REQUIRE(word(house.deliver_good()) == "accepted");
            plan_failure({how, skip, false});
            const auto verdict = word(house.order_to_stop());
            CHECK(house.gate() == "order-to-stop");
            heal();
            house.crash();
            house.start();
            if (verdict == "stop") {
                ++acknowledged;
                CHECK(house.gate() == "order-to-stop");
            } else {
                ++refused;
                CHECK(verdict == "not recorded");
            }
        }
    }
    CHECK(acknowledged > 0);
    CHECK(refused > 0);
}

TEST_CASE("a TAC that can't be archived is not in force") {
    AuditedHouse house;
    plan_failure({FailPlan::How::before, 0, true});
    CHECK(word(house.deliver_good()) == "not recorded");
    CHECK(house.gate() == "no-tac");
    heal();
    CHECK(word(house.deliver_good()) == "accepted");
    CHECK(house.gate() == "open");
}

TEST_CASE(
    "after an order to stop neither an older good TAC nor another TSU's opens the gate, nor after a "
    "restart") {
    AuditedHouse house;
    const auto first = house.visit();
    REQUIRE(word(house.deliver(first)) == "accepted");
    // Made before the order, but still on its way when that came.
    const auto late = house.visit();
    REQUIRE(word(house.order_to_stop()) == "stop");
    const auto attempts = [&] {
        CHECK(word(house.deliver(house.visit().nonce, first.audit.der())) == "replay");
        CHECK(word(house.deliver(house.visit().nonce, late.audit.der())) == "replay");
        auto foreign = house.visit();
        foreign.audit.tac.holder_name = town::certificate("other-tsu").subject_der();
        foreign.audit.tac.holder_digest = town::certificate("other-tsu").digest(pki::Hash::sha256);
        CHECK(word(house.deliver(foreign)) == "holder-name");
        CHECK(house.gate() == "order-to-stop");
    };
    // With its own nonce too.
    CHECK(word(house.deliver(late)) == "replay");
    attempts();
    house.crash();
    house.start();
    attempts();
    CHECK(word(house.deliver_good()) == "accepted");
    CHECK(house.gate() == "open");
}

TEST_CASE("a clock that is turned back to an old TAC doesn't revive it, nor after a restart") {
    AuditedHouse house;
    const auto first = house.visit();
    REQUIRE(word(house.deliver(first)) == "accepted");
    house.world.advance(std::chrono::minutes(90));
    // Delivered under a fresh nonce, while the clock shows what it showed when the TAC was made.
    const auto revive = [&] {
        const WallTime then = first.audit.exchange->received.wall;
        house.world.step_c(then - seconds(1) - house.world.read().wall);
        return word(house.deliver(house.visit().nonce, first.audit.der()));
    };
    SECTION("it is the last one taken") {
        CHECK(revive() == "replay");
        house.crash();
        house.start();
        CHECK(revive() == "replay");
    }
    SECTION("an order to stop came after it, when the clock was a day behind") {
        house.world.step_c(-std::chrono::hours(26));
        auto order = house.visit();
        order.audit.measured(-std::chrono::hours(26));
        REQUIRE(word(house.deliver(order)) == "stop");
        CHECK(revive() == "replay");
        house.crash();
        house.start();
        CHECK(revive() == "replay");
        CHECK(house.gate() == "order-to-stop");
    }
    SECTION("it ended before the restart") {
        house.world.advance(std::chrono::hours(26));
        house.crash();
        house.start();
        REQUIRE(house.gate() == "no-tac");
        CHECK(revive() == "replay");
    }
}

TEST_CASE("a refusal is archived at once, and what follows like it once an hour, with its number") {
    AuditedHouse house;
    const auto spoilt = [&] {
        auto made = house.visit();
        made.audit.tac.holder_name = town::certificate("other-tsu").subject_der();
        return word(house.deliver(made));
    };
    const auto now = [&] { return house.world.read().after; };
    CHECK(spoilt() == "holder-name");
    auto kept = house.events("tac.refused");
    REQUIRE(kept.size() == 1);
    CHECK(count_of(kept[0]) == 1);
    CHECK(std::get<std::string>(kept[0].fields.at("reason")) == "holder-name");
    CHECK(kept[0].subject == "tsu-1");
    REQUIRE(kept[0].blobs.size() == 1);

    // A TAA gone wrong: the archive doesn't grow, but for the first of another kind.
    const auto records = house.archive->state().next;
    for (int i = 0; i < 50; ++i) CHECK(spoilt() == "holder-name");
    house.refused->tick(now());
    CHECK(house.archive->state().next == records);
    CHECK(word(house.deliver(house.visit().nonce, Bytes{0x30, 0x00})) == "malformed");
    CHECK(house.archive->state().next == records + 1);

    house.world.advance(std::chrono::hours(1));
    house.refused->tick(now());
    house.refused->tick(now());
    kept = house.events("tac.refused");
    REQUIRE(kept.size() == 3);
    CHECK(count_of(kept[2]) == 50);
    CHECK(kept[2].blobs.size() == 1);
    CHECK(kept[2].blobs != kept[0].blobs);
    CHECK(kept[2].text.find("the last of 50") != std::string::npos);

    SECTION("what is counted when the server stops is archived then") {
        CHECK(spoilt() == "holder-name");
        CHECK(house.events("tac.refused").size() == 3);
        house.refused->flush(now());
        house.refused->flush(now());
        kept = house.events("tac.refused");
        REQUIRE(kept.size() == 4);
        CHECK(count_of(kept[3]) == 1);
    }
    SECTION("after a quiet hour the next one is archived at once") {
        house.world.advance(std::chrono::hours(1));
        house.refused->tick(now());
        CHECK(spoilt() == "holder-name");
        CHECK(house.events("tac.refused").size() == 4);
    }
    SECTION("while the archive fails it is counted, and none is lost") {
        house.world.advance(std::chrono::hours(1));
        house.refused->tick(now());
        plan_failure({FailPlan::How::before, 0, true});
        for (int i = 0; i < 5; ++i) CHECK(spoilt() == "holder-name");
        heal();
        house.world.advance(seconds(10));
        house.refused->tick(now());
        kept = house.events("tac.refused");
        REQUIRE(kept.size() == 4);
        CHECK(count_of(kept[3]) == 5);
    }
}

TEST_CASE(
    "a successor that waits gets its own TACs, an order to stop closes both, and a crash mixes up nothing") {
    AuditedHouse house;
    const auto& folder = house.folder;
    must(hsm::keytool::generate(*house.token, "tsu-2"));
    folder.write("tsu-2.csr",
                 as_view(must(hsm::keytool::csr(*house.token, "tsu-2", "C=JP,O=Kokuin Test,CN=TSU in SoftHSM",
                                                hsm::keytool::Purpose::timestamping))));
    folder.must("openssl x509 -req -in tsu-2.csr -CA " + certificates().at("root.pem") + " -CAkey " +
                certificates().at("root.key") + " -extfile tsu-1.ext -days 365 -out tsu-2.pem");
    const std::shared_ptr<tsa::Tsu> successor =
        must(tsa::Tsu::load(house.settings,
                            {"tsu-2", must(pki::load_certificates(folder.at("tsu-2.pem"))).front(),
                             folder.at("tsu-2.pem"), house.world.utc()},
                            *house.token, house.world.utc()));
    const auto gate_of = [&](const tsa::Tsu& tsu) {
        const auto decision = tsu.gate().decide(house.world.read(), {});
        const auto* no = std::get_if<tac::Closed>(&decision);
        return no ? std::string(tac::name(no->cause)) : "open";
    };
    const auto for_successor = [&](AuditedHouse::Visit visit) {
        visit.audit.tac.holder_digest = successor->certificate().digest(pki::Hash::sha256);
        return visit;
    };
    REQUIRE(house.tsus->wait(successor));
    CHECK_FALSE(house.tsus->wait(successor));

    // It is answered for whichever is meant.
    const auto meant = successor->certificate().sha256();
    CHECK(must(house.audited->read_clock({Bytes(16, 0xa0), "tsu-1"})).certificate_sha256 ==
          house.tsu->certificate().sha256());
    CHECK(must(house.audited->read_clock({Bytes(16, 0xa1), "tsu-1", meant})).certificate_sha256 == meant);

    REQUIRE(word(house.deliver_good()) == "accepted");
    CHECK(house.gate() == "open");
    CHECK(gate_of(*successor) == "no-tac");
    REQUIRE(word(house.deliver(for_successor(house.visit()))) == "accepted");
    CHECK(gate_of(*successor) == "open");
    CHECK(house.gate() == "open");

    SECTION("killed before it has taken over: the one before has its own TAC still") {
        house.crash();
        house.start();
        CHECK(house.gate() == "open");
    }
    SECTION("an order to stop, for whichever of them: it is the clock that is wrong") {
        AuditedHouse::Visit order = house.visit();
        order.audit.measured(microseconds(0), nanoseconds(0));
        const bool about_successor = GENERATE(false, true);
        REQUIRE(word(house.deliver(about_successor ? for_successor(order) : order)) == "stop");
        CHECK(house.gate() == "order-to-stop");
        CHECK(gate_of(*successor) == "order-to-stop");
        // The next good TAC of one lifts it for that one alone.
        REQUIRE(word(house.deliver(for_successor(house.visit()))) == "accepted");
        CHECK(gate_of(*successor) == "open");
        CHECK(house.gate() == "order-to-stop");
    }
    SECTION("it takes over: the next request is its own, and what the one before signs keeps that alive") {
        std::optional<tsa::Tsu::Work> work(house.tsu);
        const std::weak_ptr<tsa::Tsu> before = house.tsu;
        house.tsu.reset();
        auto old = house.tsus->take_over("tsu-1");
        CHECK(old == before.lock());
        CHECK(house.tsus->find("tsu-1") == successor);
        CHECK(house.tsus->audited()->size() == 1);
        CHECK_FALSE(house.tsus->take_over("tsu-1"));
        CHECK(old->signing() == 1);
        CHECK(old.use_count() == 2);
        work.reset();
        CHECK(old->signing() == 0);
        CHECK(old.use_count() == 1);
    }
    SECTION("given up, nobody knows it any more") {
        house.tsus->give_up("tsu-1");
        CHECK(word(house.deliver(for_successor(house.visit()))) == "holder-digest");
        CHECK(house.gate() == "open");
    }
}
