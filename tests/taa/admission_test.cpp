#include "taa/admission.h"

#include <catch2/catch.hpp>

#include "store/reader.h"
#include "tests/taa/town.h"

using namespace kokuin;
using namespace kokuin::taa;
using namespace std::chrono_literals;

namespace {

/// A clock that says what a test wants.
class HandWall final : public WallClock {
  public:
    [[nodiscard]] WallTime now() const override { return time; }
    WallTime time = *from_rfc3339("2026-11-26T12:00:00Z");
};

/// The archive of a TAA, with one TSU in its configuration.
struct Office {
    Office() {
        REQUIRE(store::Archive::create(folder.at("archive"), wall.now()));
        start();
    }
    /// taad starts (again), with this certificate and peer in its configuration.
    void start(const std::string& certificate = "tsu", const std::string& peer = town::tsu_name) {
        std::vector<AuditedTsu> tsus;
        if (!certificate.empty()) {
            TsuSettings settings;
            settings.name = "minato-1";
            settings.called = "tsu-1";
            settings.tsa = "Minato";
            settings.audit = {"127.0.0.1", 3163};
            settings.peer = peer;
            net::ClientOptions options;
            options.host = "127.0.0.1";
            options.port = 3163;
            auto client = net::Client::make(options);
            REQUIRE(client);
            identity = identity_of(settings, town::folder().certificate(certificate));
            tsus.push_back({settings, town::folder().certificate(certificate), *client});
        }
        admissions.reset();
        archive.reset();
        auto opened = store::Archive::open(folder.at("archive"));
        REQUIRE(opened);
        archive = std::move(*opened);
        auto read = Admissions::open(*archive, wall, tsus);
        REQUIRE(read);
        admissions = std::move(*read);
    }
    Result<store::RecordNumber> step(Step step, const std::string& why = "because",
                                     const std::string& by = "operator 1") {
        return admissions->take({step, "minato-1", why, by, "kokuin", identity});
    }
    void must(Step what) {
        const auto done = step(what);
        INFO((done ? std::string() : done.error().text));
        REQUIRE(done);
    }
    /// Why it isn't served, or "served".
    [[nodiscard]] std::string standing() const { return admissions->refusal("minato-1").value_or("served"); }
    [[nodiscard]] store::Found last(const std::string& kind) const {
        auto reader = store::ArchiveReader::open(folder.at("archive"));
        REQUIRE(reader);
        auto found = (*reader)->latest_event(kind, "minato-1");
        REQUIRE(found);
        REQUIRE(*found);
        return **found;
    }
    void audited(const std::string& outcome) {
        store::Event event;
        event.kind = "audit";
        event.subject = "minato-1";
        event.fields["outcome"] = outcome;
        REQUIRE(archive->append(wall.now(), event));
    }

    workshop::Folder folder;
    HandWall wall;
    std::unique_ptr<store::Archive> archive;
    std::unique_ptr<Admissions> admissions;
    std::optional<Identity> identity;  // what an operator has looked at: what taad has
};

std::string text_of(const store::Found& found, const std::string& key) {
    return std::get<std::string>(found.event().fields.at(key));
}

std::int64_t number_of(const store::Found& found, const std::string& key) {
    return std::get<std::int64_t>(found.event().fields.at(key));
}

}  // namespace

TEST_CASE("a TSU is served from its admission until it is suspended or removed", "[admission]") {
    Office office;
    CHECK(office.standing() ==
          "minato-1 isn't admitted; look at it, then: taad tsu admit minato-1 --why TEXT --by WHO");
    CHECK(office.admissions->refusal("nobody") == "nobody isn't configured");
    office.must(Step::admit);
    CHECK(office.standing() == "served");
    office.wall.time += 24h;
    REQUIRE(office.step(Step::suspend, "its operator asked for it"));
    CHECK(office.standing() ==
          "minato-1 is suspended since 2026-11-27T12:00:00Z (its operator asked for it); to serve it again: "
          "taad "
          "tsu resume minato-1 --why TEXT --by WHO");
    office.must(Step::resume);
    CHECK(office.standing() == "served");
    office.must(Step::remove);
    CHECK(office.standing().find("was removed on 2026-11-27") != std::string::npos);
    office.must(Step::admit);
    CHECK(office.standing() == "served");
}

TEST_CASE("each step is a record: who, when, why, and what was looked at", "[admission]") {
    Office office;
    REQUIRE(office.step(Step::admit, "contract 4711", "operator 3"));
    const auto admitted = office.last("tsu.admitted");
    CHECK(admitted.event().text == "contract 4711");
    CHECK(text_of(admitted, "account") == "kokuin");
    CHECK(text_of(admitted, "by") == "operator 3");
    CHECK(WallTime(microseconds(admitted.record.at_us)) == office.wall.time);
    const auto certificate = town::folder().certificate("tsu");
    CHECK(text_of(admitted, "certificate") == to_hex(certificate.sha256()));
    CHECK(text_of(admitted, "certificate_subject") == certificate.subject_text());
    CHECK(text_of(admitted, "peer") == town::tsu_name);
    CHECK(text_of(admitted, "called") == "tsu-1");
    CHECK(text_of(admitted, "tsa") == "Minato");
    CHECK(text_of(admitted, "audit") == "127.0.0.1:3163");
    CHECK(number_of(admitted, "max_offset_us") == 500'000);
    // The certificate itself is kept (TAA-11: the TSUs' public keys and their changes).
    REQUIRE(admitted.event().blobs.size() == 1);
    const auto kept = office.archive->blob(admitted.event().blobs[0]);
    REQUIRE(kept);
    CHECK(equal(*kept, certificate.der()));

    office.wall.time += 24h;
    for (const char* outcome : {"good", "good", "stop", "unreachable", "delay-too-large", "good"})
        office.audited(outcome);
    office.must(Step::review);
    const auto reviewed = office.last("tsu.reviewed");
    CHECK(number_of(reviewed, "audits") == 6);
    CHECK(number_of(reviewed, "good") == 3);
    CHECK(number_of(reviewed, "stops") == 1);
    CHECK(number_of(reviewed, "failed") == 2);
    CHECK(text_of(reviewed, "by") == "operator 1");
    // The next review counts from here.
    office.wall.time += 24h;
    office.audited("good");
    office.must(Step::review);
    CHECK(number_of(office.last("tsu.reviewed"), "audits") == 1);
}

TEST_CASE("what the archive says holds over a restart", "[admission]") {
    Office office;
    office.must(Step::admit);
    office.start();
    CHECK(office.standing() == "served");
    office.must(Step::suspend);
    office.start();
    CHECK(office.standing().find("is suspended") != std::string::npos);
    office.must(Step::review);  // a review lifts nothing
    office.start();
    CHECK(office.standing().find("is suspended") != std::string::npos);
    office.must(Step::resume);
    office.start();
    CHECK(office.standing() == "served");
    office.must(Step::remove);
    office.start();
    CHECK(office.standing().find("was removed") != std::string::npos);
}

TEST_CASE("with another certificate or name it is another TSU until somebody has looked", "[admission]") {
    Office office;
    office.must(Step::admit);
    office.start("other-tsu");
    CHECK(office.standing() ==
          "minato-1 isn't the one that was looked at on 2026-11-26T12:00:00Z (another is its certificate); "
          "look at "
          "it, then: taad tsu review minato-1 --why TEXT --by WHO");
    office.must(Step::review);
    CHECK(office.standing() == "served");
    office.start("tsu", "elsewhere.example");
    CHECK(office.standing().find("(another is its certificate, its peer)") != std::string::npos);
    office.start("other-tsu");
    CHECK(office.standing() == "served");
}

TEST_CASE("what wasn't looked at is neither admitted nor reviewed", "[admission]") {
    Office office;
    office.identity->certificate = std::string(64, '0');  // the file has changed since taad was started
    const auto done = office.step(Step::admit);
    REQUIRE_FALSE(done);
    CHECK(done.error().kind == Error::Kind::no);
    CHECK(done.error().text.find("restart it") != std::string::npos);
    office.identity.reset();
    CHECK_FALSE(office.step(Step::admit));
    CHECK(office.archive->state().records == 0);
}

TEST_CASE("a step begins no month, whatever the clock says", "[admission]") {
    Office office;
    office.must(Step::admit);
    office.wall.time += 24h * 365;
    office.must(Step::suspend);
    CHECK(office.archive->state().segment == "2026-11.sqlite");
}

TEST_CASE("steps that don't fit are refused, and leave no record", "[admission]") {
    Office office;
    const auto refused = [&office](Step step, const std::string& text) {
        const auto before = office.archive->state().records;
        const auto done = office.step(step);
        REQUIRE_FALSE(done);
        CHECK(done.error().kind == Error::Kind::no);
        CHECK(done.error().text == text);
        CHECK(office.archive->state().records == before);
    };
    refused(Step::review, "minato-1 is unknown; only what is admitted is reviewed");
    refused(Step::suspend, "minato-1 is unknown; only what is admitted is suspended");
    refused(Step::resume, "minato-1 is unknown; only what is suspended is resumed");
    refused(Step::remove, "minato-1 is unknown; there is nothing to remove");
    office.must(Step::admit);
    refused(Step::admit, "minato-1 is admitted since 2026-11-26T12:00:00Z already");
    refused(Step::resume,
            "minato-1 is admitted since 2026-11-26T12:00:00Z; only what is suspended is resumed");
    office.must(Step::suspend);
    refused(Step::admit,
            "minato-1 is suspended since 2026-11-26T12:00:00Z already; taad tsu resume serves it again");
    refused(Step::suspend,
            "minato-1 is suspended since 2026-11-26T12:00:00Z; only what is admitted is suspended");
    office.must(Step::remove);
    refused(Step::remove, "minato-1 is removed since 2026-11-26T12:00:00Z; there is nothing to remove");

    const auto usage = [](const Result<store::RecordNumber>& done) {
        REQUIRE_FALSE(done);
        CHECK(done.error().kind == Error::Kind::usage);
    };
    usage(office.step(Step::admit, ""));
    usage(office.step(Step::admit, "two\nlines"));
    usage(office.step(Step::admit, std::string(1001, 'x')));
    usage(office.step(Step::admit, " because"));
    usage(office.step(Step::admit, "because "));
    usage(office.step(Step::admit, "because\xff"));
    usage(office.step(Step::admit, "because", "two\nlines"));
    usage(office.step(Step::admit, "because", ""));
    usage(office.admissions->take({Step::admit, "nobody", "because", "operator 1", "root"}));
}

TEST_CASE("a TSU that the configuration has lost can be removed, not served", "[admission]") {
    Office office;
    office.must(Step::admit);
    office.start("");
    CHECK(office.standing() == "minato-1 isn't configured");
    const auto review = office.step(Step::review);
    REQUIRE_FALSE(review);
    CHECK(review.error().kind == Error::Kind::usage);
    office.must(Step::remove);
    CHECK(office.last("tsu.removed").event().fields.count("certificate") == 0);
    CHECK(text_of(office.last("tsu.removed"), "tsa") == "Minato");  // for the report of the month
}

TEST_CASE("an overdue review is named and closes nothing", "[admission]") {
    Office office;
    CHECK(office.admissions->overdue(24h).empty());
    office.must(Step::admit);
    office.wall.time += 24h;
    CHECK(office.admissions->overdue(24h).empty());
    office.wall.time += 1s;
    const auto overdue = office.admissions->overdue(24h);
    REQUIRE(overdue.size() == 1);
    CHECK(overdue[0].tsu == "minato-1");
    CHECK(overdue[0].text.find("overdue since 2026-11-27T12:00:00Z") != std::string::npos);
    CHECK(office.standing() == "served");
    office.must(Step::review);
    CHECK(office.admissions->overdue(24h).empty());
    office.wall.time += 48h;
    office.must(Step::remove);
    CHECK(office.admissions->overdue(24h).empty());
}
