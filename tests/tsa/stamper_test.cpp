// The stamping cycle on a real token of SoftHSM and a real archive: above all what may happen between the
// signature and the release of a token. The archive is made to wait for a record that is announced and never
// comes, so that a test can act while a token is on its way.
#include "tsa/stamper.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <mutex>
#include <thread>

#include "base/der.h"
#include "hsm/keytool.h"
#include "store/reader.h"
#include "tests/pki/workshop.h"
#include "tests/support/softhsm.h"
#include "tsa/protocol/response.h"
#include "tsa/protocol/verify.h"

using namespace kokuin;
using namespace std::chrono_literals;
using tac::clock::Evidence;

namespace {

/// The system's clock, wrong by what the test says.
struct ShiftedWall final : WallClock {
    SystemWallClock real;
    std::atomic<nanoseconds::rep> shift{0};
    [[nodiscard]] WallTime now() const override { return real.now() + nanoseconds(shift.load()); }
};

/// A TSU whose clock is proved by an independent reference, with all it needs.
struct Office {
    const testing::SoftHsm softhsm{"kokuin-tsu"};
    const workshop::Folder folder;
    ShiftedWall wall;
    const SystemMonoClock mono;
    const tac::clock::SystemBootClock boot;
    const tac::clock::StampingClock clock{wall, mono, boot};
    std::unique_ptr<hsm::Token> token;
    std::unique_ptr<store::Archive> archive;
    std::shared_ptr<tsa::Tsu> tsu;
    std::optional<tsa::Tsus> tsus;
    tsa::Refusals refusals;
    std::optional<tsa::Stamper> stamper;
    tsp::Policy policy;

    Office() {
        hsm::TokenOptions with;
        with.module_path = testing::SoftHsm::module();
        with.token = softhsm.label();
        with.pin = Secret(as_view(testing::SoftHsm::pin));
        auto opened = hsm::Token::open(std::move(with));
        REQUIRE(opened);
        token = std::move(*opened);
        REQUIRE(hsm::keytool::generate(*token, "tsu-1"));
        certify("tsu-1");
        REQUIRE(store::Archive::create(folder.at("archive"), wall.now()));
        store::ArchiveOptions options;
        options.company = std::chrono::hours(1);
        auto kept = store::Archive::open(folder.at("archive"), options);
        REQUIRE(kept);
        archive = std::move(*kept);
        const auto file = folder.at("tsu-1.pem");
        const tsa::TsuKey own{"tsu-1", pki::load_certificates(file).value().front(), file, wall.now()};
        auto loaded =
            tsa::Tsu::load({"tsu-1", "tsu-1", file, folder.at("root.pem"), false}, own, *token, wall.now());
        INFO((loaded ? "" : loaded.error().text));
        REQUIRE(loaded);
        tsu = std::move(*loaded);
        tsus.emplace(tsa::Tsus::List{tsu});
        stamper.emplace(tsa::StamperParts{clock, *archive, *tsus, refusals});
        policy.name = "a2";
        policy.oid = "1.3.6.1.4.1.1291.1.1.1.1";
        policy.require_tac = false;
    }
    ~Office() { tsu.reset(); }  // its key before the token

    void certify(const std::string& key) const {
        folder.root("root");
        const auto csr =
            hsm::keytool::csr(*token, key, "C=JP,CN=" + key, hsm::keytool::Purpose::timestamping);
        REQUIRE(csr);
        folder.write(key + ".csr", as_view(*csr));
        folder.write("tsu.ext", as_view(workshop::tsu_extensions));
        folder.must("openssl x509 -req -in " + key +
                    ".csr -CA root.pem -CAkey root.key -extfile tsu.ext -days 365 -out " + key + ".pem");
    }

    /// The clock was measured now: this wrong, give or take.
    void measured(nanoseconds error, nanoseconds uncertainty) {
        const auto reading = clock.read();
        static_cast<void>(tsu->gate().add(Evidence{tac::clock::Source::reference, error, uncertainty, reading,
                                                   reading.before + std::chrono::hours(1)}));
    }

    static Bytes query(std::uint8_t fill) {
        const auto imprint =
            der::sequence({der::algorithm(pki::oid(pki::Hash::sha256), true), der::octets(Bytes(32, fill))});
        return der::sequence({der::integer(1), imprint});
    }

    /// A request on its way: signed, and held in the archive until company comes.
    class Held {
      public:
        Held(Office& office, std::uint8_t fill) : office_(office), coming_(office.archive->announce()) {
            office_.stamper->respond(query(fill), rules_of(office), [this](const Bytes& der) {
                const auto response = tsp::parse_response(der);
                outcome_ = response ? *response : tsp::Response{};
                answered_ = true;
                answered_.notify_all();
            });
        }
        /// Lets it go on; the answer.
        tsp::Response release() {
            coming_.reset();
            answered_.wait(false);
            return outcome_;
        }
        [[nodiscard]] bool answered() const { return answered_; }

      private:
        static tsp::PolicyRules rules_of(const Office& office) { return {{&office.policy}, {}}; }
        Office& office_;
        std::optional<store::Archive::Announcement> coming_;
        std::atomic<bool> answered_{false};
        tsp::Response outcome_;
    };

    std::size_t records() const {
        auto reader = store::ArchiveReader::open(folder.at("archive"));
        REQUIRE(reader);
        std::size_t count = 0;
        REQUIRE((*reader)->find({}, [&](const store::Found&) { return ++count; }));
        return count;
    }
};

std::string words(const tsp::Response& response) {
    if (response.granted()) return "granted";
    return response.fail_info.empty() ? "?"
                                      : std::string(tsp::name(tsp::FailInfo(response.fail_info.front())));
}

}  // namespace

TEST_CASE("stamper: a token goes out when it is durable, not before") {
    Office office;
    office.measured(0ns, 10ms);
    Office::Held held(office, 1);
    CHECK_FALSE(held.answered());
    CHECK(office.records() == 0);
    const auto response = held.release();
    REQUIRE(response.granted());
    CHECK(office.records() == 1);
    CHECK(office.stamper->granted() == 1);

    // What the archive rebuilds is what the client has.
    auto reader = store::ArchiveReader::open(office.folder.at("archive"));
    REQUIRE(reader);
    const auto record = (*reader)->record(0);
    REQUIRE(record);
    const auto shown = (*reader)->show(record->issuance().serial);
    REQUIRE(shown);
    CHECK(shown->token == *response.token);
    CHECK(record->issuance().clock_bound_us >= 10'000);
    CHECK_FALSE(record->issuance().tac);
}

TEST_CASE("stamper: what happens between signature and release keeps the token here") {
    Office office;
    office.measured(0ns, 10ms);

    SECTION("an order to stop") {
        Office::Held held(office, 1);
        tac::StopOrder order;
        order.ntp_time = office.wall.now();
        order.text = "told to";
        static_cast<void>(office.tsu->gate().stop(order));
        CHECK(words(held.release()) == "timeNotAvailable");
        CHECK(office.refusals.totals().contains("timeNotAvailable/order-to-stop"));
    }
    SECTION("the operators suspend the service") {
        Office::Held held(office, 1);
        office.tsu->gate().suspend("maintenance");
        CHECK(words(held.release()) == "systemFailure");
        CHECK(office.refusals.totals().contains("systemFailure/suspended"));
    }
    SECTION("the clock is moved beyond the accuracy") {
        Office::Held held(office, 1);
        office.wall.shift = nanoseconds(2s).count();
        CHECK(words(held.release()) == "timeNotAvailable");
        CHECK(office.refusals.totals().contains("timeNotAvailable/bound"));
    }
    SECTION("it becomes known that the clock can be more wrong than the record says") {
        Office::Held held(office, 1);
        // Still inside the accuracy, but outside what the bound of 10 ms said.
        office.measured(300ms, 10ms);
        CHECK(words(held.release()) == "timeNotAvailable");
        const auto totals = office.refusals.totals();
        CHECK(
            (totals.contains("timeNotAvailable/bound") || totals.contains("timeNotAvailable/contradiction")));
    }
    SECTION("nothing but better knowledge: the token goes out") {
        Office::Held held(office, 1);
        office.measured(0ns, 5ms);
        CHECK(words(held.release()) == "granted");
    }
    // Its record stays: it says what was signed.
    CHECK(office.records() == 1);
    CHECK(office.stamper->granted() == office.refusals.totals().empty());
}

TEST_CASE("stamper: refusals need no record and are answered at once") {
    Office office;
    std::string said;
    const auto answer = [&](const Bytes& der) {
        const auto response = tsp::parse_response(der);
        REQUIRE(response);
        said = words(*response);
    };
    const tsp::PolicyRules rules{{&office.policy}, {}};
    office.stamper->respond(Office::query(1), rules, answer);
    CHECK(said == "timeNotAvailable");  // nothing is known of the clock yet
    office.measured(0ns, 10ms);
    office.stamper->respond(as_view("rubbish"), rules, answer);
    CHECK(said == "badDataFormat");
    CHECK(office.records() == 0);
}
