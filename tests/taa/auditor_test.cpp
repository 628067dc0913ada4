#include "taa/auditor.h"

#include <catch2/catch.hpp>

#include "store/reader.h"
#include "taa/admission.h"
#include "tests/taa/fake_tsu.h"

using namespace kokuin;
using namespace kokuin::taa;
using namespace std::chrono_literals;

namespace {

/// A TAA with a key in memory and an archive of its own, and one TSU to audit.
struct Taa {
    explicit Taa(std::uint16_t port, const std::string& own = "channel-taa") : tsu{tsu_at(port, own)} {
        REQUIRE(store::Archive::create(archive_dir(), wall.now()));
        auto opened = store::Archive::open(archive_dir());
        REQUIRE(opened);
        archive = std::move(*opened);
        auto made =
            Issuer::make({town::folder().certificate("taa")}, pki::Hash::sha512, town::software_key("taa"));
        REQUIRE(made);
        issuer.emplace(std::move(*made));
        measuring.samples = 4;
        // Beside the archive of audits, whose records the tests count.
        REQUIRE(store::Archive::create(folder.at("admissions"), wall.now()));
        auto beside = store::Archive::open(folder.at("admissions"));
        REQUIRE(beside);
        register_ = std::move(*beside);
        auto read = Admissions::open(*register_, wall, {tsu});
        REQUIRE(read);
        admissions = std::move(*read);
        step(Step::admit);
    }

    [[nodiscard]] std::string archive_dir() const { return folder.at("archive"); }
    const tac::clock::LeapFile* leaps = nullptr;
    const OwnClock* own_clock = nullptr;  // nobody watches its clock
    std::optional<std::string> held_back{};
    Report audit(Cause cause = Cause::schedule) {
        Auditor auditor(measuring, *issuer, *archive, *admissions, {wall, mono}, own_clock, leaps,
                        [this] { return held_back; });
        return auditor.audit(tsu, cause);
    }
    void step(Step step) const {
        const auto done = admissions->take(
            {step, tsu.settings.name, "test", "test", "root", identity_of(tsu.settings, tsu.certificate)});
        INFO((done ? std::string() : done.error().text));
        REQUIRE(done);
    }
    [[nodiscard]] std::vector<store::Found> events(const std::string& kind) const {
        auto reader = store::ArchiveReader::open(archive_dir());
        REQUIRE(reader);
        std::vector<store::Found> found;
        store::EventQuery query;
        query.kind = kind;
        REQUIRE((*reader)->events(query, [&](const store::Found& event) {
            found.push_back(event);
            return true;
        }));
        return found;
    }
    [[nodiscard]] Bytes blob(const store::BlobId& id) const {
        auto blob = archive->blob(id);
        REQUIRE(blob);
        return *blob;
    }

    static AuditedTsu tsu_at(std::uint16_t port, const std::string& own) {
        TsuSettings settings;
        settings.name = "minato-1";
        settings.called = "tsu-1";
        settings.audit = {"127.0.0.1", port};
        settings.peer = town::tsu_name;
        settings.certificate = town::folder().at("tsu.pem");
        net::ClientOptions options;
        options.host = "127.0.0.1";
        options.port = port;
        options.tls = net::ClientTls{town::folder().at("root.pem"), town::tsu_name,
                                     town::folder().at(own + ".pem"), town::folder().at(own + ".key")};
        auto client = net::Client::make(options);
        INFO((client ? std::string() : client.error().text));
        REQUIRE(client);
        return {settings, town::folder().certificate("tsu"), *client};
    }

    workshop::Folder folder;
    SystemWallClock wall;
    SystemMonoClock mono;
    AuditedTsu tsu;
    std::unique_ptr<store::Archive> archive;
    std::unique_ptr<store::Archive> register_;
    std::unique_ptr<Admissions> admissions;
    std::optional<Issuer> issuer;
    Measuring measuring;
};

std::string text_field(const store::Found& found, const std::string& key) {
    const auto& fields = found.event().fields;
    const auto at = fields.find(key);
    REQUIRE(at != fields.end());
    return std::get<std::string>(at->second);
}

std::int64_t number_field(const store::Found& found, const std::string& key) {
    const auto& fields = found.event().fields;
    const auto at = fields.find(key);
    REQUIRE(at != fields.end());
    return std::get<std::int64_t>(at->second);
}

/// The one recorded audit of a failure: told, with no TAC and nothing delivered.
void check_failure(const Taa& taa, const Report& report, Outcome outcome) {
    INFO(report.log_line());
    CHECK(report.outcome == outcome);
    CHECK_FALSE(report.issued);
    CHECK_FALSE(report.verdict);
    CHECK(report.ending() == Ending::open);
    CHECK_FALSE(report.text.empty());
    const auto audits = taa.events("audit");
    REQUIRE(audits.size() == 1);
    CHECK(text_field(audits[0], "outcome") == name(outcome));
    CHECK(audits[0].event().text == report.text);
    CHECK(audits[0].event().blobs.empty());
    CHECK(audits[0].event().fields.count("tac_serial") == 0);
    CHECK(taa.events("audit.verdict").empty());
}

}  // namespace

TEST_CASE("a clock within the limit gets a TAC, recorded before it is delivered", "[auditor]") {
    town::FakeTsu tsu;
    tsu.clock.shift(120ms);
    Taa taa(tsu.port());
    std::size_t recorded_at_delivery = 0;
    tsu.on_delivery = [&] { recorded_at_delivery = taa.archive->state().records; };

    const auto report = taa.audit(Cause::request);
    INFO(report.log_line());
    CHECK(report.outcome == Outcome::good);
    REQUIRE(report.verdict);
    CHECK(report.verdict->kind == tac::DeliveryVerdict::Kind::accepted);
    CHECK(report.ending() == Ending::settled);
    CHECK(report.samples == 4);
    CHECK(tsu.clock_requests == 4);
    CHECK(tsu.nonces().size() == 4);  // a fresh one each
    CHECK(tsu.deliveries == 1);
    CHECK(recorded_at_delivery == 1);
    REQUIRE(report.sample);
    CHECK(std::chrono::abs(report.sample->measurement.offset - 120ms) <=
          report.sample->measurement.delay / 2 + 1ms);

    const auto audits = taa.events("audit");
    REQUIRE(audits.size() == 1);
    const auto& event = audits[0].event();
    CHECK(event.subject == "minato-1");
    CHECK(text_field(audits[0], "outcome") == "good");
    CHECK(text_field(audits[0], "cause") == "request");
    CHECK(text_field(audits[0], "policy") == "1.3.6.1.4.1.955.1.18.1.1");
    CHECK(text_field(audits[0], "tac_serial") == report.issued->serial);
    CHECK(text_field(audits[0], "channel_certificate") ==
          to_hex(town::folder().certificate("channel-tsu").sha256()));
    // T1…T4 say again what offset and delay say.
    const auto t1 = number_field(audits[0], "t1_ns");
    const auto t2 = number_field(audits[0], "t2_ns");
    const auto t3 = number_field(audits[0], "t3_ns");
    const auto t4 = number_field(audits[0], "t4_ns");
    CHECK((t2 - t1) / 2 + (t3 - t4) / 2 == number_field(audits[0], "offset_ns"));
    CHECK((t4 - t1) - (t3 - t2) == number_field(audits[0], "delay_ns"));
    // The TAC that the TSU holds is the one in the archive, with both certificates beside it.
    REQUIRE(event.blobs.size() == 3);
    CHECK(taa.blob(event.blobs[0]) == tsu.last_tac());
    CHECK(equal(taa.blob(event.blobs[1]), town::folder().certificate("tsu").der()));
    CHECK(equal(taa.blob(event.blobs[2]), town::folder().certificate("taa").der()));

    const auto verdicts = taa.events("audit.verdict");
    REQUIRE(verdicts.size() == 1);
    CHECK(text_field(verdicts[0], "verdict") == "accepted");
    CHECK(text_field(verdicts[0], "tac_serial") == report.issued->serial);
    CHECK(number_field(verdicts[0], "audit") == audits[0].record.number);
}

TEST_CASE("a clock beyond the limit gets an order to stop", "[auditor]") {
    town::FakeTsu tsu;
    const auto offset = GENERATE(700ms, -700ms);
    tsu.clock.shift(offset);
    Taa taa(tsu.port());
    const auto report = taa.audit();
    INFO(report.log_line());
    CHECK(report.outcome == Outcome::stop);
    REQUIRE(report.verdict);
    CHECK(report.verdict->kind == tac::DeliveryVerdict::Kind::stop_accepted);
    CHECK(report.ending() == Ending::open);
    const auto order = tac::decode(tsu.last_tac());
    REQUIRE(order);
    CHECK(order->tac.not_before == order->tac.not_after);
    const auto audits = taa.events("audit");
    REQUIRE(audits.size() == 1);
    CHECK(text_field(audits[0], "outcome") == "stop");
    CHECK(audits[0].event().text.find(offset > 0ms ? "ahead" : "behind") != std::string::npos);
    CHECK(text_field(taa.events("audit.verdict").at(0), "verdict") == "stop-accepted");
}

TEST_CASE("a measurement that took too long is none: neither TAC nor order to stop", "[auditor]") {
    town::FakeTsu tsu;
    tsu.clock.shift(700ms);  // would be an order to stop, if it were known
    tsu.network_ns = nanoseconds(20ms).count();
    Taa taa(tsu.port());
    taa.tsu.settings.rules.max_delay = 10ms;
    taa.measuring = {2, 3, 5s};
    const auto report = taa.audit();
    check_failure(taa, report, Outcome::delay_too_large);
    CHECK(report.measurements == 3);
    CHECK(tsu.clock_requests == 6);
    CHECK(tsu.deliveries == 0);
    CHECK(number_field(taa.events("audit")[0], "delay_ns") >= nanoseconds(20ms).count());
}

TEST_CASE("a network that is slow for a while is measured again", "[auditor]") {
    town::FakeTsu tsu;
    tsu.network_ns = nanoseconds(150ms).count();
    tsu.slow_requests = 2;
    Taa taa(tsu.port());
    taa.measuring = {2, 3, 5s};
    const auto report = taa.audit();
    INFO(report.log_line());
    CHECK(report.outcome == Outcome::good);
    CHECK(report.measurements == 2);
}

TEST_CASE("the least delay of the samples counts", "[auditor]") {
    town::FakeTsu tsu;
    tsu.network_ns = nanoseconds(150ms).count();
    tsu.slow_requests = 2;
    Taa taa(tsu.port());
    const auto report = taa.audit();
    INFO(report.log_line());
    CHECK(report.outcome == Outcome::good);
    CHECK(report.measurements == 1);
    CHECK(report.sample->measurement.delay < 100ms);
}

TEST_CASE("a TSU that can't be reached is recorded, and tried again soon", "[auditor]") {
    std::uint16_t port = 0;
    {
        const town::FakeTsu gone;
        port = gone.port();
    }
    Taa taa(port);
    check_failure(taa, taa.audit(), Outcome::unreachable);
    town::FakeTsu back("channel-tsu", port);
    CHECK(taa.audit().outcome == Outcome::good);
}

TEST_CASE("a peer that isn't the TSU is refused before it is asked for its clock", "[auditor]") {
    const auto channel = GENERATE(as<std::string>(), "channel-stranger", "channel-foreign");
    town::FakeTsu tsu(channel);
    Taa taa(tsu.port());
    check_failure(taa, taa.audit(), Outcome::unreachable);
    CHECK(tsu.clock_requests == 0);
}

TEST_CASE("a TAA with a certificate that the TSU doesn't trust measures nothing", "[auditor]") {
    town::FakeTsu tsu;
    Taa taa(tsu.port(), "channel-foreign");
    check_failure(taa, taa.audit(), Outcome::unreachable);
    CHECK(tsu.clock_requests == 0);
}

TEST_CASE("answers that say nothing lead to nothing", "[auditor]") {
    town::FakeTsu tsu;
    Taa taa(tsu.port());
    SECTION("another nonce") {
        tsu.another_nonce = true;
        check_failure(taa, taa.audit(), Outcome::bad_answer);
    }
    SECTION("another body") {
        tsu.nonsense = true;
        check_failure(taa, taa.audit(), Outcome::bad_answer);
    }
    SECTION("it doesn't know this TSU") {
        taa.tsu.settings.called = "tsu-2";
        check_failure(taa, taa.audit(), Outcome::bad_answer);
    }
    SECTION("a clock in another century") {
        tsu.clock.shift(std::chrono::hours(24) * 366 * 120);
        check_failure(taa, taa.audit(), Outcome::bad_answer);
    }
    SECTION("it signs with another certificate than we audit") {
        tsu.certificate = "other-tsu";
        check_failure(taa, taa.audit(), Outcome::other_certificate);
    }
    CHECK(tsu.deliveries == 0);
}

TEST_CASE("an HSM that fails: no TAC, recorded", "[auditor]") {
    town::FakeTsu tsu;
    Taa taa(tsu.port());
    auto made = Issuer::make(
        {town::folder().certificate("taa")}, pki::Hash::sha512,
        [](pki::Hash, View) -> Result<Bytes> { return Error::environment("the token is gone"); });
    REQUIRE(made);
    taa.issuer.emplace(std::move(*made));
    const auto report = taa.audit();
    check_failure(taa, report, Outcome::not_signed);
    CHECK(report.text == "the token is gone");
    CHECK(tsu.deliveries == 0);
}

TEST_CASE("a TAC waits for the archive's checkpoint, an order to stop doesn't", "[auditor]") {
    town::FakeTsu tsu;
    Taa taa(tsu.port());
    taa.held_back = "records are under no signed checkpoint in time";
    SECTION("a TAC") {
        const auto report = taa.audit();
        check_failure(taa, report, Outcome::not_signed);
        CHECK(report.text == *taa.held_back);
        CHECK(tsu.deliveries == 0);
        taa.held_back.reset();
        CHECK(taa.audit().outcome == Outcome::good);
    }
    SECTION("a TAC that was signed meanwhile") {
        taa.held_back.reset();
        auto made = Issuer::make({town::folder().certificate("taa")}, pki::Hash::sha512,
                                 [&, sign = town::software_key("taa")](pki::Hash hash, View message) {
                                     taa.held_back = "it took long";
                                     return sign(hash, message);
                                 });
        REQUIRE(made);
        taa.issuer.emplace(std::move(*made));
        const auto report = taa.audit();
        CHECK(report.outcome == Outcome::good);
        CHECK(report.undelivered == "it took long");
        CHECK(report.ending() == Ending::open);
        CHECK(tsu.deliveries == 0);
        CHECK(text_field(taa.events("audit.verdict").at(0), "verdict") == "none");
        CHECK(taa.events("audit.verdict").at(0).event().text == "it took long");
    }
    SECTION("an order to stop") {
        tsu.clock.shift(700ms);
        const auto report = taa.audit();
        CHECK(report.outcome == Outcome::stop);
        REQUIRE(report.verdict);
        CHECK(report.verdict->kind == tac::DeliveryVerdict::Kind::stop_accepted);
    }
}

TEST_CASE("a refusal is recorded with its reason", "[auditor]") {
    town::FakeTsu tsu;
    tsu.forget = true;
    Taa taa(tsu.port());
    const auto report = taa.audit();
    INFO(report.log_line());
    REQUIRE(report.verdict);
    CHECK(report.verdict->kind == tac::DeliveryVerdict::Kind::refused);
    CHECK(report.ending() == Ending::refused);
    const auto verdicts = taa.events("audit.verdict");
    REQUIRE(verdicts.size() == 1);
    CHECK(text_field(verdicts[0], "verdict") == "refused");
    CHECK(text_field(verdicts[0], "reason") == "unknown-nonce");
}

TEST_CASE("a delivery without an answer is recorded as such", "[auditor]") {
    town::FakeTsu tsu;
    tsu.mute_delivery = true;
    Taa taa(tsu.port());
    const auto report = taa.audit();
    CHECK(report.outcome == Outcome::good);
    CHECK_FALSE(report.verdict);
    CHECK(report.ending() == Ending::open);
    CHECK(taa.events("audit").size() == 1);
    const auto verdicts = taa.events("audit.verdict");
    REQUIRE(verdicts.size() == 1);
    CHECK(text_field(verdicts[0], "verdict") == "none");
    CHECK(verdicts[0].event().text.find("500") != std::string::npos);
}

TEST_CASE("a TAC announces the leap seconds of the next month (TAA-9)", "[auditor]") {
    town::FakeTsu tsu;
    Taa taa(tsu.port());
    const auto days_since_1900 = [&](int ahead) {
        const auto day = std::chrono::floor<std::chrono::days>(taa.wall.now().time_since_epoch()).count();
        return std::to_string((day + 25567 + ahead) * 86'400);
    };
    taa.folder.write("leaps", as_view("#@ " + days_since_1900(300) + "\n" + days_since_1900(-900) + " 36\n" +
                                      days_since_1900(-9) + " 37\n" + days_since_1900(10) + " 36\n" +
                                      days_since_1900(40) + " 37\n"));
    const tac::clock::LeapFile leaps(taa.folder.at("leaps"));
    taa.leaps = &leaps;
    const auto report = taa.audit();
    INFO(report.log_line());
    REQUIRE(report.outcome == Outcome::good);
    const auto decoded = tac::decode(tsu.last_tac());
    REQUIRE(decoded);
    REQUIRE(decoded->tac.leap_events.size() == 1);
    CHECK(decoded->tac.leap_events[0].direction == -1);
    const auto ahead = decoded->tac.leap_events[0].midnight - taa.wall.now();
    CHECK(ahead > 24h * 9);
    CHECK(ahead <= 24h * 10);
}

TEST_CASE("a TAA that doesn't know its own clock measures nobody and says why (TAA-4)", "[auditor]") {
    town::FakeTsu tsu;
    Taa taa(tsu.port());
    const tac::clock::SystemBootClock boot;
    const tac::clock::StampingClock clock(taa.wall, taa.mono, boot);
    OwnClock own(clock, 30ms);
    taa.own_clock = &own;
    const auto compare = [&](nanoseconds error, nanoseconds uncertainty) {
        tac::clock::Evidence evidence;
        evidence.source = tac::clock::Source::reference;
        evidence.error = error;
        evidence.uncertainty = uncertainty;
        evidence.at = clock.read();
        evidence.good_until = evidence.at.after + 60s;
        return own.take(evidence);
    };
    const auto is_refused = [&](const std::string& why) {
        const auto report = taa.audit();
        INFO(report.log_line());
        CHECK(report.outcome == Outcome::own_clock);
        CHECK(report.text.find(why) != std::string::npos);
        CHECK(report.ending() == Ending::open);
        CHECK_FALSE(report.issued);
        CHECK_FALSE(report.sample);
        CHECK_FALSE(report.own_bound_us);
        CHECK(text_field(taa.events("audit").back(), "outcome") == "own-clock");
        CHECK(tsu.clock_requests == 0);
        CHECK(tsu.deliveries == 0);
    };
    is_refused("measured nothing");
    CHECK(tsu.notices == 1);
    // Within 30 ms, but not surely.
    compare(20ms, 11ms);
    is_refused("may be off by");
    CHECK(tsu.notices == 2);
    compare(12ms, 11ms);
    const auto report = taa.audit();
    INFO(report.log_line());
    CHECK(report.outcome == Outcome::good);
    REQUIRE(report.own_bound_us);
    CHECK(*report.own_bound_us >= 23'000);
    CHECK(*report.own_bound_us <= 23'100);
    CHECK(std::get<std::int64_t>(taa.events("audit").back().event().fields.at("own_bound_us")) ==
          *report.own_bound_us);
    CHECK(tsu.notices == 2);
}

TEST_CASE("a TAA's clock that goes wrong during the measurement signs nothing", "[auditor]") {
    town::FakeTsu tsu;
    Taa taa(tsu.port());
    const tac::clock::SystemBootClock boot;
    town::ShiftedClock wall;
    const tac::clock::StampingClock clock(wall, taa.mono, boot);
    OwnClock own(clock, 30ms);
    taa.own_clock = &own;
    tac::clock::Evidence evidence;
    evidence.source = tac::clock::Source::reference;
    evidence.uncertainty = 1ms;
    evidence.at = clock.read();
    evidence.good_until = evidence.at.after + 60s;
    own.take(evidence);
    REQUIRE(own.look().proved);
    tsu.on_clock_request = [&wall] { wall.shift(31ms); };
    const auto report = taa.audit();
    CHECK(report.outcome == Outcome::own_clock);
    CHECK_FALSE(report.issued);
    CHECK(tsu.deliveries == 0);
    CHECK(tsu.notices == 1);
}

TEST_CASE("impossible samples are told apart from the TAA's own trouble", "[auditor]") {
    const WallTime t1 = SystemWallClock().now();
    const tac::ClockRequest request{Bytes(32, 7), "tsu-1"};
    tac::ClockAnswer answer{request.nonce, t1 + 1ms, t1 + 2ms, Bytes(32, 1)};
    const auto kind = [&](nanoseconds wall, nanoseconds elapsed) {
        const auto sample = judge_sample(request, answer, t1, t1 + wall, elapsed);
        REQUIRE_FALSE(sample);
        return sample.error().kind;
    };
    const auto good = judge_sample(request, answer, t1, t1 + 5ms, 5ms);
    REQUIRE(good);
    CHECK(good->measurement.delay == 4ms);
    CHECK(good->measurement.offset == -1ms);
    // Our own clock was stepped by a second while we waited.
    CHECK(kind(1005ms, 5ms) == NoSample::Kind::disturbed);
    CHECK(kind(-995ms, 5ms) == NoSample::Kind::disturbed);
    // Slewed a little: the monotonic clock counts.
    const auto slewed = judge_sample(request, answer, t1, t1 + 5010us, 5ms);
    REQUIRE(slewed);
    CHECK(slewed->measurement.delay == 4ms);
    answer.t3 = answer.t2 - 1ns;
    CHECK(kind(5ms, 5ms) == NoSample::Kind::bad_answer);
    answer.t3 = answer.t2 + 1s;
    CHECK(kind(5ms, 5ms) == NoSample::Kind::bad_answer);
    answer = {request.nonce, WallTime::min(), WallTime::min(), Bytes(32, 1)};
    CHECK(kind(5ms, 5ms) == NoSample::Kind::bad_answer);
    answer = {request.nonce, WallTime::max(), WallTime::max(), Bytes(32, 1)};
    CHECK(kind(5ms, 5ms) == NoSample::Kind::bad_answer);
}

TEST_CASE("a TSU that is suspended or removed gets nothing, not even a connection", "[auditor]") {
    town::FakeTsu tsu;
    Taa taa(tsu.port());
    for (const auto step : {Step::suspend, Step::remove}) {
        taa.step(step);
        const auto report = taa.audit();
        CHECK(report.outcome == Outcome::not_admitted);
        CHECK(report.text.find(step == Step::suspend ? "is suspended since" : "was removed on") !=
              std::string::npos);
        CHECK(report.ending() == Ending::settled);
        CHECK_FALSE(report.record);
    }
    CHECK(tsu.clock_requests == 0);
    CHECK(tsu.notices == 0);
    CHECK(taa.archive->state().records == 0);
    taa.step(Step::admit);
    CHECK(taa.audit().outcome == Outcome::good);
}

TEST_CASE("a TSU that is suspended while it is measured gets no TAC", "[auditor]") {
    town::FakeTsu tsu;
    Taa taa(tsu.port());
    std::atomic<bool> done{false};
    tsu.on_clock_request = [&] {
        if (!done.exchange(true))
            (void)taa.admissions->take({Step::suspend, "minato-1", "test", "test", "root"});
    };
    const auto report = taa.audit();
    INFO(report.log_line());
    CHECK(report.outcome == Outcome::not_admitted);
    CHECK_FALSE(report.issued);
    CHECK(tsu.deliveries == 0);
    REQUIRE(report.record);  // it was measured: that is on record
    CHECK(text_field(taa.events("audit").at(0), "outcome") == "not-admitted");
}

TEST_CASE("who suspends a TSU knows that nothing leaves any more", "[auditor]") {
    town::FakeTsu tsu;
    Taa taa(tsu.port());
    std::atomic<bool> suspended{false};
    bool before_the_answer = false;
    std::thread operator_;
    // While the TSU judges its TAC, an operator suspends it; he is told so only after the TSU has answered.
    tsu.on_delivery = [&] {
        std::atomic<bool> begun{false};
        operator_ = std::thread([&taa, &suspended, &begun] {
            begun = true;
            (void)taa.admissions->take({Step::suspend, "minato-1", "test", "test", "root"});
            suspended = true;
        });
        while (!begun) std::this_thread::yield();
        std::this_thread::sleep_for(50ms);  // long enough for a step that doesn't wait to be seen
        before_the_answer = suspended;
    };
    const auto report = taa.audit();
    operator_.join();
    CHECK(report.outcome == Outcome::good);
    CHECK(suspended);
    CHECK_FALSE(before_the_answer);
    CHECK(taa.audit().outcome == Outcome::not_admitted);
    CHECK(tsu.deliveries == 1);
}
