#include "taa/monthly_report.h"

#include <catch2/catch.hpp>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "taa/monthly_desk.h"
#include "taa/monthly_files.h"
#include "taa/report_command.h"
#include "tests/support/text.h"
#include "tests/taa/town.h"

using namespace kokuin;
using namespace kokuin::taa;
using testing::has;

namespace {

using Json = nlohmann::json;

WallTime at(const std::string& text) {
    const auto time = from_rfc3339(text);
    REQUIRE(time);
    return *time;
}

Month month(const std::string& text) {
    const auto made = Month::parse(text);
    REQUIRE(made);
    return *made;
}

store::Blob blob(const pki::Certificate& certificate) {
    return store::Blob(Bytes(certificate.der().begin(), certificate.der().end()));
}

struct FixedClock final : WallClock {
    [[nodiscard]] WallTime now() const override { return time; }
    WallTime time{};
};

/// A TAA's archive that is written event by event.
struct WrittenTaa {
    explicit WrittenTaa(const std::string& begin = "2026-01-31T20:00:00Z") {
        REQUIRE(store::Archive::create(dir(), at(begin)));
        open();
        settings.archive = dir();
        settings.reports = folder.at("reports");
    }
    [[nodiscard]] std::string dir() const { return folder.at("archive"); }
    void open() {
        auto opened = store::Archive::open(dir());
        REQUIRE(opened);
        archive = std::move(*opened);
    }

    store::RecordNumber event(const std::string& time, const std::string& kind, store::Event event = {},
                              const std::vector<store::Blob>& blobs = {}) {
        event.kind = kind;
        const auto number = archive->append(at(time), event, blobs);
        REQUIRE(number);
        return *number;
    }
    /// An audit that measured something, and its verdict unless that is empty.
    store::RecordNumber audit(const std::string& time, const std::string& outcome, std::int64_t offset_ns,
                              std::int64_t delay_ns, const std::string& verdict = "accepted") {
        store::Event one;
        one.subject = tsu;
        one.fields["outcome"] = outcome;
        one.fields["cause"] = std::string("schedule");
        one.fields["policy"] = std::string("1.3.6.1.4.1.955.1.18.1.1");
        one.fields["max_offset_us"] = max_offset_us;
        one.fields["max_delay_us"] = std::int64_t{100'000};
        if (!tsa.empty()) one.fields["tsa"] = tsa;
        one.fields["offset_ns"] = offset_ns;
        one.fields["delay_ns"] = delay_ns;
        one.fields["tac_serial"] = std::string("0a0b");
        one.fields["tac_not_after"] =
            to_rfc3339(at(time) + (outcome == "good" ? validity : nanoseconds(0)), 0);
        const std::vector<store::Blob> blobs{store::Blob(Bytes{1, 2, 3}), blob(certificate),
                                             blob(town::folder().certificate("taa"))};
        for (const auto& each : blobs) one.blobs.push_back(each.id());
        const auto number = event(time, "audit", one, blobs);
        if (verdict.empty()) return number;
        store::Event said;
        said.subject = tsu;
        said.fields["audit"] = number;
        said.fields["verdict"] = verdict;
        if (verdict == "refused") said.fields["reason"] = std::string("policy");
        event(time, "audit.verdict", said);
        return number;
    }
    void failure(const std::string& time, const std::string& outcome, const std::string& text) {
        store::Event one;
        one.subject = tsu;
        one.text = text;
        one.fields["outcome"] = outcome;
        one.fields["policy"] = std::string("1.3.6.1.4.1.955.1.18.1.1");
        one.fields["max_offset_us"] = max_offset_us;
        one.fields["max_delay_us"] = std::int64_t{100'000};
        if (!tsa.empty()) one.fields["tsa"] = tsa;
        event(time, "audit", one);
    }
    void configure(const std::string& name, const std::string& belongs) {
        TsuSettings one;
        one.name = name;
        one.tsa = belongs;
        one.certificate = town::folder().at("other-tsu.pem");
        settings.tsus.push_back(one);
    }

    [[nodiscard]] Result<std::vector<MonthlyReport>> collected(
        const std::string& of, const std::string& now = "2027-06-01T00:00:00Z") const {
        auto reader = store::ArchiveReader::open(dir());
        REQUIRE(reader);
        return collect(**reader, configured_tsus(settings), month(of), at(now));
    }
    /// The reports as JSON, by TSA.
    [[nodiscard]] std::map<std::string, Json> reports(const std::string& of,
                                                      const std::string& now = "2027-06-01T00:00:00Z") const {
        const auto all = collected(of, now);
        INFO((all ? std::string() : all.error().text));
        REQUIRE(all);
        std::map<std::string, Json> out;
        for (const auto& one : *all) out[one.tsa] = Json::parse(to_json(one));
        return out;
    }

    workshop::Folder folder;
    std::unique_ptr<store::Archive> archive;
    Settings settings;
    std::string tsu = "tsu-1";
    std::string tsa = "Alpha";
    std::int64_t max_offset_us = 500'000;
    nanoseconds validity = std::chrono::hours(25);
    pki::Certificate certificate = town::folder().certificate("tsu");
};

/// February 2026 of two TSAs, with a bit of all that can happen.
struct February : WrittenTaa {
    February() {
        configure("tsu-1", "Alpha");
        configure("tsu-2", "Beta");
        configure("tsu-3", "Alpha");
        event("2026-01-31T22:00:00Z", "taa.started");
        audit("2026-01-31T23:00:00Z", "good", 77'000'000, 9'000'000);
        audit("2026-02-01T00:00:00Z", "good", 1'500'999, 2'000'001);
        first_stop = audit("2026-02-01T01:00:00Z", "stop", 600'000'000, 3'000'000, "stop-accepted");
        audit("2026-02-01T01:01:00Z", "stop", 600'000'000, 4'000'000, "refused");
        resumed = audit("2026-02-01T02:00:00Z", "good", -2'000'999, 1'000'000);
        failure("2026-02-02T03:00:00Z", "unreachable", "no route");
        failure("2026-02-02T03:01:00Z", "unreachable", "no route");
        failure("2026-02-02T03:02:00Z", "unreachable", "still no route");
        failure("2026-02-02T03:03:00Z", "bad-answer", "noon");
        audit("2026-02-03T12:00:00Z", "good", 10'000, 1'000'000);
        event("2026-02-05T00:00:00Z", "taa.stopped");
        event("2026-02-05T06:00:00Z", "taa.started");
        event("2026-02-06T00:00:00Z", "taa.started");
        // Of a time when there was no field `tsa`.
        tsa.clear();
        tsu = "tsu-2";
        certificate = town::folder().certificate("other-tsu");
        audit("2026-02-07T00:00:00Z", "good", -5'000, 1'000);
        audit("2026-02-07T12:00:00Z", "good", -8'000, 2'000, "");
        audit("2026-02-07T13:00:00Z", "good", 7'000, 6'000);
        tsa = "Alpha";
        tsu = "tsu-1";
        certificate = town::folder().certificate("tsu");
        audit("2026-02-28T10:00:00Z", "good", 0, 1'000'000);
        audit("2026-03-01T00:00:00Z", "stop", 900'000'000, 1'000'000, "stop-accepted");
    }
    store::RecordNumber first_stop = 0;
    store::RecordNumber resumed = 0;
};

std::vector<std::string> codes(const Json& report, const std::string& tsu) {
    std::vector<std::string> out;
    for (const auto& remark : report["remarks"])
        if (remark["tsu"] == tsu) out.push_back(remark["code"]);
    return out;
}

/// The texts of a page that is whole and needs nothing else.
std::string texts(const WrittenTaa& taa, const std::string& page, const std::string& language) {
    taa.folder.write("page.html", as_view(page));
    const auto done =
        workshop::run("python3 -B " + std::string(KOKUIN_SOURCE_DIR) + "/tests/taa/page_check.py " +
                      taa.folder.at("page.html") + " " + language);
    INFO(done.output);
    REQUIRE(done.exit == 0);
    return done.output;
}

}  // namespace

TEST_CASE("a month's text is read strictly", "[monthly]") {
    const auto december = month("2025-12");
    CHECK(december.start() == at("2025-12-01"));
    CHECK(december.end() == at("2026-01-01"));
    CHECK(december.text() == "2025-12");
    CHECK(month("2026-01").previous() == december);
    CHECK(month("2028-02").end() - month("2028-02").start() == std::chrono::hours(24 * 29));
    CHECK(Month::of(at("2025-12-31T23:59:59.999999999Z")) == december);
    CHECK(Month::of(at("2026-01-01")).text() == "2026-01");
    for (const auto* bad : {"", "2026", "2026-1", "2026-13", "2026-00", "26-01", "2026-01-01", "2026/01",
                            "abcd-ef", "9999-01", "1969-12", " 2026-01"}) {
        INFO(bad);
        const auto read = Month::parse(bad);
        REQUIRE_FALSE(read);
        CHECK(read.error().kind == Error::Kind::usage);
        CHECK(has(read.error().text, "YYYY-MM"));
    }
}

TEST_CASE("minimum, median, maximum", "[monthly]") {
    CHECK_FALSE(spread({}));
    CHECK(spread({7}) == Spread{7, 7, 7});
    CHECK(spread({9, -4, 3}) == Spread{-4, 3, 9});
    CHECK(spread({4, 1}) == Spread{1, 2, 4});
    CHECK(spread({-4, -1}) == Spread{-4, -2, -1});  // towards 0
    CHECK(spread({10, -1, 2, 3}) == Spread{-1, 2, 10});
    constexpr auto largest = std::numeric_limits<std::int64_t>::max();
    CHECK(spread({largest, largest}) == Spread{largest, largest, largest});
}

TEST_CASE("a month's numbers are those of the archive", "[monthly]") {
    const February taa;
    const auto reports = taa.reports("2026-02");
    REQUIRE(reports.size() == 2);
    const auto& alpha = reports.at("Alpha");
    CHECK(alpha["month"] == "2026-02");
    CHECK(alpha["interim"] == false);
    CHECK(alpha["from"] == "2026-02-01T00:00:00.000Z");
    CHECK(alpha["to"] == "2026-03-01T00:00:00.000Z");
    CHECK(alpha["until"] == alpha["to"]);
    CHECK(alpha["time_faults"] == 2);
    CHECK(alpha["taa"].size() == 1);
    CHECK(alpha["taa"][0]["subject"] == town::folder().certificate("taa").subject_text());
    CHECK(alpha["downtimes"] == Json::parse(R"([
        {"from": "2026-02-05T00:00:00.000Z", "to": "2026-02-05T06:00:00.000Z", "recorded": true},
        {"from": "2026-02-05T06:00:00.000Z", "to": "2026-02-06T00:00:00.000Z", "recorded": false}])"));
    CHECK(codes(alpha, "") == std::vector<std::string>{"no-reference", "unrecorded-stop"});

    REQUIRE(alpha["tsus"].size() == 2);
    const auto& tsu = alpha["tsus"][0];
    CHECK(tsu["name"] == "tsu-1");
    REQUIRE(tsu["certificates"].size() == 1);
    CHECK(tsu["certificates"][0]["subject"] == town::folder().certificate("tsu").subject_text());
    CHECK(tsu["certificates"][0]["sha256"] == to_hex(town::folder().certificate("tsu").sha256()));
    CHECK(tsu["limits"] == Json::parse(R"([{"policy": "1.3.6.1.4.1.955.1.18.1.1", "max_offset_us": 500000,
                                            "max_delay_us": 100000}])"));
    CHECK(tsu["attempts"] == 10);
    CHECK(tsu["outcomes"] == Json::parse(R"({"good": 4, "stop": 2, "unreachable": 3, "bad-answer": 1,
        "other-certificate": 0, "delay-too-large": 0, "not-signed": 0, "not-recorded": 0,
        "own-clock": 0, "not-admitted": 0})"));
    CHECK(tsu["time_faults"] == 2);
    // -2000, 0, 10, 1500, 600000, 600000: the January audit isn't among them.
    CHECK(tsu["offset_us"] == Json::parse(R"({"min": -2000, "median": 755, "max": 600000})"));
    // 1000, 1000, 1000, 2001, 3000, 4000
    CHECK(tsu["delay_us"] == Json::parse(R"({"min": 1000, "median": 1500, "max": 4000})"));
    REQUIRE(tsu["audits"].size() == 6);
    CHECK(tsu["audits"][0]["offset_us"] == 1500);
    CHECK(tsu["audits"][0]["delay_us"] == 2001);
    CHECK(tsu["audits"][1] == Json::parse(R"({"at": "2026-02-01T01:00:00.000Z", "outcome": "stop",
        "cause": "schedule", "offset_us": 600000, "delay_us": 3000, "tac": "0a0b", "verdict": "stop-accepted",
        "reason": "", "record": )" + std::to_string(taa.first_stop) +
                                          "}"));
    CHECK(tsu["audits"][2]["verdict"] == "refused");
    CHECK(tsu["audits"][2]["reason"] == "policy");
    CHECK(tsu["resumptions"] == Json::parse(R"([{"at": "2026-02-01T02:00:00.000Z",
        "stopped": "2026-02-01T01:00:00.000Z", "tac": "0a0b", "record": )" +
                                            std::to_string(taa.resumed) + "}]"));
    CHECK(tsu["failures"] == Json::parse(R"([
        {"from": "2026-02-02T03:00:00.000Z", "to": "2026-02-02T03:02:00.000Z", "count": 3,
         "outcome": "unreachable", "text": "still no route"},
        {"from": "2026-02-02T03:03:00.000Z", "to": "2026-02-02T03:03:00.000Z", "count": 1,
         "outcome": "bad-answer", "text": "noon"}])"));
    CHECK(tsu["outages"] == Json::parse(R"([
        {"from": "2026-02-01T02:00:00.000Z", "to": "2026-02-03T12:00:00.000Z", "promised_s": 86400, "failures": 4},
        {"from": "2026-02-03T12:00:00.000Z", "to": "2026-02-28T10:00:00.000Z", "promised_s": 86400,
         "failures": 0}])"));
    CHECK(codes(alpha, "tsu-1") == std::vector<std::string>{"undelivered"});

    // Configured, never audited: it is there, empty, with the certificate of the configuration.
    const auto& empty = alpha["tsus"][1];
    CHECK(empty["name"] == "tsu-3");
    CHECK(empty["attempts"] == 0);
    CHECK(empty["offset_us"].is_null());
    CHECK(empty["delay_us"].is_null());
    CHECK(empty["audits"].empty());
    CHECK(empty["outages"].empty());
    CHECK(empty["certificates"][0]["subject"] == town::folder().certificate("other-tsu").subject_text());
    CHECK(codes(alpha, "tsu-3") == std::vector<std::string>{"no-audit"});

    const auto& beta = reports.at("Beta")["tsus"][0];
    CHECK(beta["offset_us"] == Json::parse(R"({"min": -8, "median": -5, "max": 7})"));
    CHECK(beta["delay_us"] == Json::parse(R"({"min": 1, "median": 2, "max": 6})"));
    CHECK(beta["audits"][1]["verdict"] == "none");
    // Not over: its last audit is of the 7th.
    CHECK(beta["outages"] == Json::parse(R"([{"from": "2026-02-07T13:00:00.000Z", "to": null,
        "promised_s": 86400, "failures": 0}])"));
}

TEST_CASE("what began in an earlier month is carried on", "[monthly]") {
    WrittenTaa taa;
    taa.configure("tsu-1", "Alpha");
    taa.event("2026-01-31T22:00:00Z", "taa.started");
    taa.audit("2026-01-31T22:10:00Z", "stop", -700'000'000, 1'000'000, "stop-accepted");
    taa.event("2026-01-31T23:00:00Z", "taa.stopped");
    taa.event("2026-02-03T00:00:00Z", "taa.started");
    taa.validity = std::chrono::minutes(10);
    taa.audit("2026-02-03T00:00:10Z", "good", 0, 1'000'000);
    taa.event("2026-02-03T00:10:00Z", "taa.stopped");

    const auto february = taa.reports("2026-02").at("Alpha");
    CHECK(february["time_faults"] == 0);
    CHECK(february["downtimes"][0]["from"] == "2026-01-31T23:00:00.000Z");
    CHECK(february["downtimes"][1] ==
          Json::parse(R"({"from": "2026-02-03T00:10:00.000Z", "to": null, "recorded": true})"));
    const auto& tsu = february["tsus"][0];
    CHECK(tsu["resumptions"][0]["stopped"] == "2026-01-31T22:10:00.000Z");
    CHECK(tsu["outages"] == Json::parse(R"([
        {"from": "2026-01-31T22:10:00.000Z", "to": "2026-02-03T00:00:10.000Z", "promised_s": 86400, "failures": 0},
        {"from": "2026-02-03T00:00:10.000Z", "to": null, "promised_s": 600, "failures": 0}])"));

    // A whole month of silence is a report too, as long as something was before it.
    const auto april = taa.reports("2026-04").at("Alpha");
    CHECK(april["tsus"][0]["attempts"] == 0);
    CHECK(april["tsus"][0]["outages"].size() == 1);
    CHECK(april["downtimes"].size() == 1);
    CHECK(codes(april, "tsu-1") == std::vector<std::string>{"no-audit"});

    const auto none = taa.collected("2025-12");
    REQUIRE_FALSE(none);
    CHECK(none.error().kind == Error::Kind::no);
    const auto future = taa.collected("2026-05", "2026-04-30T23:59:59Z");
    REQUIRE_FALSE(future);
    CHECK(future.error().kind == Error::Kind::no);
    CHECK(has(future.error().text, "hasn't begun"));
}

TEST_CASE("a TSU that came later isn't in an older report", "[monthly]") {
    WrittenTaa taa;
    taa.configure("tsu-1", "Alpha");
    taa.configure("tsu-2", "Alpha");
    taa.audit("2026-02-10T00:00:00Z", "good", 0, 1'000);
    taa.tsu = "tsu-2";
    taa.audit("2026-03-10T00:00:00Z", "good", 0, 1'000);
    CHECK(taa.reports("2026-02").at("Alpha")["tsus"].size() == 1);
    CHECK(taa.reports("2026-03").at("Alpha")["tsus"].size() == 2);
    // One that left the configuration stays in the reports of the months it was audited in.
    taa.settings.tsus.erase(taa.settings.tsus.begin());
    CHECK(taa.reports("2026-02").at("Alpha")["tsus"][0]["name"] == "tsu-1");
    CHECK(taa.reports("2026-03").at("Alpha")["tsus"].size() == 1);
}

TEST_CASE("changes of certificates and limits are remarked on", "[monthly]") {
    WrittenTaa taa;
    taa.configure("tsu-1", "Alpha");
    taa.audit("2026-02-10T00:00:00Z", "good", 0, 1'000);
    taa.certificate = town::folder().certificate("other-tsu");
    taa.max_offset_us = 1'000'000;
    taa.audit("2026-02-10T01:00:00Z", "good", 0, 1'000);
    const auto report = taa.reports("2026-02").at("Alpha");
    CHECK(report["tsus"][0]["certificates"].size() == 2);
    CHECK(report["tsus"][0]["limits"].size() == 2);
    CHECK(codes(report, "tsu-1") == std::vector<std::string>{"certificate-changed", "limits-changed"});
}

TEST_CASE("the accuracy of the TAA's own clock is what the reference said", "[monthly]") {
    WrittenTaa taa;
    taa.configure("tsu-1", "Alpha");
    taa.audit("2026-02-10T00:00:00Z", "good", 0, 1'000);
    const auto compared = [](std::int64_t least, std::int64_t most, std::int64_t last) {
        store::Event event;
        event.fields["measurements"] = std::int64_t{225};
        event.fields["offset_min_us"] = least;
        event.fields["offset_max_us"] = most;
        event.fields["offset_last_us"] = last;
        event.fields["uncertainty_last_us"] = std::int64_t{900};
        return event;
    };
    taa.event("2026-01-31T23:00:00Z", "reference.compared", compared(-9999, 9999, 0));
    taa.event("2026-02-10T01:00:00Z", "reference.compared", compared(-20, 30, 10));
    store::Event why;
    why.text = "no source answers";
    taa.event("2026-02-10T01:30:00Z", "clock.unproved", why);
    taa.event("2026-02-10T01:45:00Z", "clock.proved");
    taa.event("2026-02-10T02:00:00Z", "reference.compared", compared(-40, 5, -7));
    taa.event("2026-02-28T23:00:00Z", "clock.unproved", why);

    const auto all = taa.collected("2026-02");
    REQUIRE(all);
    CHECK(Json::parse(to_json(all->front()))["clock"] == Json::parse(R"({"recorded": true, "comparisons": 2,
        "measurements": 450, "offset_min_us": -40, "offset_max_us": 30, "offset_last_us": -7,
        "uncertainty_last_us": 900, "unproved": [
            {"from": "2026-02-10T01:30:00.000Z", "to": "2026-02-10T01:45:00.000Z", "text": "no source answers"},
            {"from": "2026-02-28T23:00:00.000Z", "to": null, "text": "no source answers"}]})"));
    const auto page = texts(taa, to_html(all->front(), Language::en), "en");
    CHECK(has(page, "−0.040 ms"));
    CHECK(has(page, "+0.030 ms"));
    CHECK_FALSE(has(page, "No independent reference"));
}

TEST_CASE("the page says it in both languages, and is whole", "[monthly]") {
    const February taa;
    const auto all = taa.collected("2026-02");
    REQUIRE(all);
    REQUIRE(all->size() == 2);
    const auto english = texts(taa, to_html(all->front(), Language::en), "en");
    const auto japanese = texts(taa, to_html(all->front(), Language::ja), "ja");
    const auto subject = town::folder().certificate("tsu").subject_text();
    for (const auto& page : {english, japanese}) {
        CHECK(has(page, subject));
        CHECK(has(page, "2026-02-01 01:00:00"));
        CHECK(has(page, "+600.000 ms"));
        CHECK(has(page, "±500.000 ms"));
        CHECK(has(page, "+0.755 ms"));
        CHECK(has(page, "still no route"));
        CHECK(has(page, "tsu-3"));
        CHECK(has(page, "+100 ms"));  // an axis
    }
    CHECK(has(english, "Orders to stop"));
    CHECK(has(english, "No independent reference"));
    CHECK_FALSE(has(english, "JST"));
    CHECK(has(japanese, "時刻認証機能停止命令"));
    CHECK(has(japanese, "時刻異常件数"));
    CHECK(has(japanese, "2026-02-01 00:00:00（日本標準時 2026-02-01 09:00:00）"));
    CHECK(has(japanese, "2026-03-01 00:00:00（日本標準時 2026-03-01 09:00:00）"));
}

TEST_CASE("what certificates and events say stays text", "[monthly]") {
    WrittenTaa taa;
    taa.tsa = "A<script>alert(0)</script>&\"'";
    taa.tsu = "<b>tsu</b>";
    const auto& folder = taa.folder;
    folder.must(
        "openssl req -x509 -newkey rsa:2048 -nodes -keyout h.key -out h.pem -utf8 "
        "-subj '/O=<script>alert(1)<\\/script>/CN=\"]]><!-- 刻印' -days 30");
    taa.certificate = folder.certificate("h");
    taa.audit("2026-02-10T00:00:00Z", "good", 0, 1'000);
    taa.failure("2026-02-11T00:00:00Z", "<i>new</i>", "</td><script>alert(2)</script>");
    const auto all = taa.collected("2026-02");
    REQUIRE(all);
    for (const auto language : {Language::en, Language::ja}) {
        const auto page = to_html(all->front(), language);
        CHECK_FALSE(has(page, "<script"));
        CHECK_FALSE(has(page, "<b>"));
        const auto read = texts(taa, page, std::string(name(language)));
        CHECK(has(read, "O=\\<script\\>alert(1)\\</script\\>"));  // RFC 4514, once more a text
        CHECK(has(read, "刻印"));
        CHECK(has(read, "</td><script>alert(2)</script>"));
    }
    const auto files = render(all->front());
    CHECK(files.stem().find_first_not_of(
              "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") == std::string::npos);
}

TEST_CASE("file names are safe, and two TSAs never share one", "[monthly]") {
    const auto stem = [](const std::string& tsa, bool interim = false) {
        return ReportFiles{"2026-02", tsa, interim, "", "", ""}.stem();
    };
    CHECK(stem("TSA") == "2026-02-TSA");
    CHECK(stem("TSA", true) == "2026-02-TSA.interim");
    CHECK(stem("時刻認証局") != stem("時刻認証所"));
    CHECK(stem("../TSA") != stem("TSA"));
    CHECK(stem("../TSA").find_first_of("./") == std::string::npos);
    CHECK(stem(std::string(200, 'a')).size() < 100);
    CHECK(stem(std::string(200, 'a')) != stem(std::string(199, 'a')));
}

TEST_CASE("taad report writes, keeps once, and says what it doesn't keep", "[monthly]") {
    February taa;
    std::ostringstream out;
    std::ostringstream notes;
    const auto run = [&](const ReportArguments& arguments, const std::string& now) {
        out.str("");
        notes.str("");
        return report(taa.settings, arguments, at(now), out, notes);
    };
    const auto refused = [&](const ReportArguments& arguments, Error::Kind kind, const std::string& part) {
        const auto done = run(arguments, "2026-03-02T00:00:00Z");
        REQUIRE_FALSE(done);
        INFO(done.error().text);
        CHECK(done.error().kind == kind);
        CHECK(has(done.error().text, part));
        CHECK_FALSE(has(done.error().text, "\n"));
    };
    refused({"February", "", "", Language::en, false}, Error::Kind::usage, "YYYY-MM");
    refused({"2025-12", "", "", Language::en, false}, Error::Kind::no, "2025-12");
    refused({"2026-02", "Gamma", "", Language::en, false}, Error::Kind::usage, "Alpha, Beta");
    refused({"2026-02", "", "x.html", Language::en, false}, Error::Kind::usage, "--tsa");
    CHECK_FALSE(std::filesystem::exists(taa.settings.reports));

    // Somebody writes the archive (here we do): the files are there, the note says that it isn't kept.
    ReportArguments alpha{"2026-02", "Alpha", taa.folder.at("alpha.html"), Language::ja, false};
    REQUIRE(run(alpha, "2026-03-02T00:00:00Z"));
    CHECK(out.str() == taa.settings.reports + "/2026-02-Alpha.en.html\n" + taa.settings.reports +
                           "/2026-02-Alpha.ja.html\n" + taa.settings.reports + "/2026-02-Alpha.json\n");
    CHECK(has(notes.str(), "is not kept in the archive now: taad keeps the report of the last month"));
    CHECK(has(notes.str(), "another process"));
    CHECK(notes.str().find('\n') == notes.str().size() - 1);
    texts(taa, taa.folder.read("reports/2026-02-Alpha.en.html"), "en");
    CHECK(taa.folder.read("alpha.html") == taa.folder.read("reports/2026-02-Alpha.ja.html"));

    REQUIRE(run(alpha, "2026-05-01T00:00:00Z"));  // a month that taad doesn't come back to
    CHECK(has(notes.str(), "another process"));
    CHECK_FALSE(has(notes.str(), "by itself"));

    // Unfinished: also in the first minutes of the next month.
    REQUIRE(run({"2026-02", "Alpha", "", Language::en, true}, "2026-03-01T00:04:59Z"));
    CHECK(Json::parse(out.str())["interim"] == true);
    CHECK(std::filesystem::exists(taa.settings.reports + "/2026-02-Alpha.interim.json"));
    CHECK(has(taa.folder.read("reports/2026-02-Alpha.interim.ja.html"), "中間"));
    CHECK(has(notes.str(), "interim and not kept"));

    taa.archive.reset();
    REQUIRE(run({"2026-02", "", "", Language::en, true}, "2026-03-03T00:00:00Z"));
    CHECK(notes.str().empty());
    const auto first = out.str();
    REQUIRE(std::count(first.begin(), first.end(), '\n') == 2);
    auto reader = store::ArchiveReader::open(taa.dir());
    REQUIRE(reader);
    const auto made = (*reader)->latest_event("report.made", "Alpha");
    REQUIRE(made);
    REQUIRE(*made);
    const auto& event = (*made)->event();
    CHECK(std::get<std::string>(event.fields.at("month")) == "2026-02");
    CHECK(std::get<std::string>(event.fields.at("tsa")) == "Alpha");
    CHECK(std::get<std::string>(event.fields.at("json_sha256")) ==
          to_hex(pki::digest(pki::Hash::sha256, as_view(taa.folder.read("reports/2026-02-Alpha.json")))));
    REQUIRE(event.blobs.size() == 3);
    const auto page = (*reader)->blob(event.blobs[1]);
    REQUIRE(page);
    CHECK(as_text(*page) == taa.folder.read("reports/2026-02-Alpha.ja.html"));

    // Again: what is kept, octet by octet, and no second record.
    REQUIRE(run({"2026-02", "", "", Language::en, true}, "2026-04-01T00:00:00Z"));
    CHECK(out.str() == first);
    int kept = 0;
    store::EventQuery query;
    query.kind = "report.made";
    REQUIRE((*reader)->events(query, [&](const store::Found&) { return ++kept, true; }));
    CHECK(kept == 2);

    // No folder to write to.
    taa.settings.reports = taa.folder.at("nowhere/reports");
    const auto done = run(alpha, "2026-03-02T00:00:00Z");
    REQUIRE_FALSE(done);
    CHECK(done.error().kind == Error::Kind::environment);
}

TEST_CASE("taad itself makes the report of a month that is over", "[monthly]") {
    February taa;
    FixedClock wall;
    MonthlyDesk desk(taa.dir(), taa.settings.reports, configured_tsus(taa.settings), *taa.archive, wall);
    const auto made = [&] {
        std::vector<std::string> out;
        auto reader = store::ArchiveReader::open(taa.dir());
        REQUIRE(reader);
        store::EventQuery query;
        query.kind = "report.made";
        REQUIRE((*reader)->events(query, [&](const store::Found& found) {
            out.push_back(std::get<std::string>(found.event().fields.at("month")) + " " +
                          found.event().subject);
            return true;
        }));
        return out;
    };
    using Made = std::vector<std::string>;
    wall.time = at("2026-01-31T23:30:00Z");  // nothing of December
    REQUIRE(desk.look());
    CHECK(made() == Made{});
    wall.time = at("2026-03-01T00:04:59Z");  // the last audits may still be under way
    REQUIRE(desk.look());
    CHECK(made() == Made{"2026-01 Alpha"});  // tsu-2 came later
    wall.time = at("2026-03-01T00:05:00Z");
    REQUIRE(desk.look());
    const Made february{"2026-01 Alpha", "2026-02 Alpha", "2026-02 Beta"};
    CHECK(made() == february);
    const auto page = taa.folder.read("reports/2026-02-Alpha.ja.html");
    CHECK(Json::parse(taa.folder.read("reports/2026-02-Alpha.json"))["interim"] == false);
    REQUIRE(desk.look());
    CHECK(made() == february);

    // After a restart: nothing twice; a file that is missing comes out of the archive.
    std::filesystem::remove(taa.settings.reports + "/2026-02-Alpha.ja.html");
    wall.time = at("2026-03-20T00:00:00Z");
    MonthlyDesk next(taa.dir(), taa.settings.reports, configured_tsus(taa.settings), *taa.archive, wall);
    next.start();
    for (int i = 0; i < 3000 && !std::filesystem::exists(taa.settings.reports + "/2026-02-Alpha.ja.html");
         ++i)
        std::this_thread::sleep_for(milliseconds(10));
    next.stop();
    CHECK(taa.folder.read("reports/2026-02-Alpha.ja.html") == page);
    CHECK(made() == february);
}

TEST_CASE("a report that was made too early, by a wrong clock, is made again", "[monthly]") {
    WrittenTaa taa;
    taa.configure("tsu-1", "Alpha");
    taa.audit("2026-02-10T00:00:00Z", "good", 1'000'000, 1'000);
    FixedClock wall;
    wall.time = at("2026-03-10T00:00:00Z");  // a month ahead
    const auto look = [&] {
        MonthlyDesk desk(taa.dir(), taa.settings.reports, configured_tsus(taa.settings), *taa.archive, wall);
        REQUIRE(desk.look());
        return Json::parse(taa.folder.read("reports/2026-02-Alpha.json"))["tsus"][0]["attempts"];
    };
    CHECK(look() == 1);
    CHECK(look() == 1);
    const auto before = taa.archive->state().next;
    taa.audit("2026-02-11T00:00:00Z", "good", 1'000'000, 1'000);
    wall.time = at("2026-03-01T00:10:00Z");
    CHECK(look() == 2);
    CHECK(look() == 2);
    CHECK(taa.archive->state().next == before + 3);
}

TEST_CASE("the time in which a TSU isn't served is no outage, and the steps are remarks", "[monthly]") {
    WrittenTaa taa;
    taa.configure("tsu-1", "Alpha");
    const auto step = [&taa](const std::string& time, const std::string& kind, const std::string& why) {
        store::Event event;
        event.subject = "tsu-1";
        event.text = why;
        event.fields["tsa"] = std::string("Alpha");
        taa.event(time, kind, event);
    };
    const auto remarks = [](const Json& report, const char* language) {
        std::vector<std::string> out;
        for (const auto& remark : report.at("remarks"))
            if (remark.at("code") == "admission") out.push_back(remark.at(language).get<std::string>());
        return out;
    };
    taa.event("2026-02-01T00:00:00Z", "taa.started");
    step("2026-02-01T00:00:01Z", "tsu.admitted", "contract 7");
    taa.audit("2026-02-01T01:00:00Z", "good", 1'000, 2'000'000);
    taa.audit("2026-02-02T01:00:00Z", "good", 1'000, 2'000'000);
    step("2026-02-02T02:00:00Z", "tsu.suspended", "it moves");
    taa.failure("2026-02-02T02:00:01Z", "not-admitted", "it is suspended");  // the one that ran
    step("2026-03-20T02:00:00Z", "tsu.resumed", "it has moved");
    taa.audit("2026-03-20T03:00:00Z", "good", 1'000, 2'000'000);
    // An outage of its own ends with the suspension, and counts.
    step("2026-03-25T03:00:00Z", "tsu.suspended", "it can't be reached");
    step("2026-03-26T03:00:00Z", "tsu.removed", "the contract is over");

    const auto february = taa.reports("2026-02").at("Alpha");
    CHECK(february["tsus"][0]["outages"].empty());
    CHECK(remarks(february, "en") ==
          std::vector<std::string>{
              "tsu-1: Recorded about its connection: admitted 2026-02-01T00:00:01Z (contract 7)",
              "tsu-1: Recorded about its connection: suspended 2026-02-02T02:00:00Z (it moves)"});
    CHECK(remarks(february, "ja")[1] ==
          "tsu-1: 接続の審査に関する記録: 停止 2026-02-02T02:00:00Z (it moves)");

    const auto march = taa.reports("2026-03").at("Alpha");
    const auto& outages = march["tsus"][0]["outages"];
    REQUIRE(outages.size() == 1);
    CHECK(outages[0]["from"] == "2026-03-20T03:00:00.000Z");
    CHECK(outages[0]["to"] == "2026-03-25T03:00:00.000Z");
    // What it began with stands there too.
    const auto said = remarks(march, "en");
    REQUIRE(said.size() == 4);
    CHECK(said[0].find("suspended 2026-02-02") != std::string::npos);
    CHECK(said[3].find("removed 2026-03-26") != std::string::npos);

    // Removed, it is in no later report, configured or not; but in that of the month, also when it isn't any
    // more.
    CHECK_FALSE(taa.collected("2026-04"));
    taa.settings.tsus.clear();
    CHECK(remarks(taa.reports("2026-03").at("Alpha"), "en").size() == 4);
}
