// The report of a month: how outages, availability and bounds come out of records that tell little.
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "audit/report/collect.h"
#include "audit/report/course.h"
#include "audit/report/present.h"
#include "audit/report/tokens.h"
#include "store/archive.h"
#include "tests/support/folder.h"

using namespace kokuin;
using namespace kokuin::audit::report;
using Json = nlohmann::json;

namespace {

WallTime at(const std::string& text) {
    const auto time = from_rfc3339(text);
    REQUIRE(time);
    return *time;
}
Month november() {
    const auto month = Month::parse("2026-11");
    REQUIRE(month);
    return *month;
}

/// Events by the minute of 2026-11-10.
struct Story {
    explicit Story(std::string tsu = "")
        : course(november(), std::move(tsu), [this](store::RecordNumber start) {
              asked = start;
              return sign;
          }) {}
    void tell(const std::string& time, const std::string& kind, const std::string& subject = "",
              std::map<std::string, store::FieldValue> fields = {}) {
        store::Event event;
        event.kind = kind;
        event.subject = subject;
        event.fields = std::move(fields);
        course.add(number++, at(time), event);
    }
    Report end(const std::string& from, const std::string& until) {
        Report report(november());
        report.until = at(until);
        course.finish(at(from), at(until), report);
        return report;
    }
    std::optional<std::pair<store::RecordNumber, WallTime>> sign;
    store::RecordNumber asked = -1;
    store::RecordNumber number = 0;
    Course course;
};

/// "what cause from to" of each.
std::vector<std::string> told(const Report& report) {
    std::vector<std::string> all;
    for (const auto& one : report.outages.rows)
        all.push_back(one.what + " " + one.cause + " " + to_rfc3339(one.from, 0).substr(5) + " " +
                      (one.to ? to_rfc3339(*one.to, 0).substr(5) : "-"));
    return all;
}

using Told = std::vector<std::string>;
const std::map<std::string, store::FieldValue> all_policies{{"policies", std::string("a2")}};
std::map<std::string, store::FieldValue> because(const std::string& cause) {
    return {{"policies", std::string("a2")}, {"cause", cause}};
}

store::Found token(store::RecordNumber number, const std::string& time, std::int64_t bound_us,
                   const std::string& tsu = "tsu-1") {
    store::Issuance issuance;
    issuance.serial = Bytes{1, static_cast<std::uint8_t>(number)};
    issuance.gen_time_us = to_unix_us(at(time));
    issuance.policy = "1.2.3";
    issuance.tsu = tsu;
    issuance.clock_bound_us = bound_us;
    store::Found found;
    found.record.number = number;
    found.record.at_us = issuance.gen_time_us + 5;
    found.record.body = issuance;
    return found;
}

}  // namespace

TEST_CASE("report: a gate, and why it was closed", "[report]") {
    Story story;
    story.tell("2026-10-31T23:00:00Z", "server.started");
    story.tell("2026-10-31T23:10:00Z", "gate.closed", "tsu-1", because("no-tac"));
    story.tell("2026-11-01T01:00:00Z", "gate.opened", "tsu-1", all_policies);
    story.tell("2026-11-01T05:00:00Z", "gate.closed", "tsu-1", because("bound"));
    story.tell("2026-11-01T06:00:00Z", "gate.closed", "tsu-1", because("tac-ended"));
    story.tell("2026-11-01T07:00:00Z", "gate.opened", "tsu-1", all_policies);
    const auto report = story.end("2026-11-01T00:00:00Z", "2026-11-01T10:00:00Z");
    CHECK(told(report) == Told{"gate no-tac 10-31T23:10:00Z 11-01T01:00:00Z",
                               "gate bound 11-01T05:00:00Z 11-01T06:00:00Z",
                               "gate tac-ended 11-01T06:00:00Z 11-01T07:00:00Z"});
    REQUIRE(report.availability.size() == 1);
    CHECK(report.availability[0].open == std::chrono::hours(7));
    CHECK(report.availability[0].of == std::chrono::hours(10));
}

TEST_CASE("report: what was over before the month isn't told, what lasts has no end", "[report]") {
    Story story;
    story.tell("2026-10-01T00:00:00Z", "server.started");
    story.tell("2026-10-02T00:00:00Z", "witness.away", "w1");
    story.tell("2026-10-03T00:00:00Z", "witness.back", "w1");
    story.tell("2026-10-04T00:00:00Z", "reference.silent");
    story.tell("2026-10-05T00:00:00Z", "reference.starting");
    const auto report = story.end("2026-11-01T00:00:00Z", "2026-11-30T00:00:00Z");
    CHECK(told(report) == Told{"reference silent 10-04T00:00:00Z -"});
}

TEST_CASE("report: a server that ended in good order, and one that didn't", "[report]") {
    Story story;
    story.tell("2026-11-10T00:00:00Z", "server.started");
    story.tell("2026-11-10T00:00:01Z", "gate.opened", "tsu-1", all_policies);
    story.tell("2026-11-10T01:00:00Z", "server.stopped");
    story.tell("2026-11-10T02:00:00Z", "server.started");
    story.tell("2026-11-10T02:00:00Z", "gate.opened", "tsu-1", all_policies);
    story.tell("2026-11-10T02:30:00Z", "hsm.lost", "one");
    story.sign = std::pair(store::RecordNumber{5}, at("2026-11-10T03:00:00Z"));
    story.tell("2026-11-10T05:00:00Z", "server.started");
    CHECK(story.asked == 6);
    story.tell("2026-11-10T05:00:00Z", "gate.opened", "tsu-1", all_policies);
    const auto report = story.end("2026-11-01T00:00:00Z", "2026-11-10T06:00:00Z");
    // What nobody ended, ended with the server.
    CHECK(told(report) == Told{"server stopped 11-10T01:00:00Z 11-10T02:00:00Z",
                               "hsm lost 11-10T02:30:00Z 11-10T03:00:00Z",
                               "server crashed 11-10T03:00:00Z 11-10T05:00:00Z"});
    CHECK(report.outages.rows[2].recorded == false);
    REQUIRE(report.availability.size() == 1);
    // 00:00:01–01:00, 02:00–02:30, 05:00–06:00; out of what there was a server for.
    CHECK(report.availability[0].open == std::chrono::minutes(150) - seconds(1));
    CHECK(report.availability[0].of == std::chrono::hours(6));
}

TEST_CASE("report: an HSM stops only the TSUs whose keys it has", "[report]") {
    Story story;
    for (const auto* tsu : {"tsu-1", "tsu-2"})
        story.tell("2026-11-09T00:00:00Z", "key.activated", tsu,
                   {{"token", std::string(tsu == std::string("tsu-1") ? "one" : "two")}});
    story.tell("2026-11-10T00:00:00Z", "server.started");
    for (const auto* tsu : {"tsu-1", "tsu-2"})
        story.tell("2026-11-10T00:00:00Z", "gate.opened", tsu, all_policies);
    story.tell("2026-11-10T01:00:00Z", "hsm.lost", "two");
    story.tell("2026-11-10T01:30:00Z", "custody.deactivated", "two");
    story.tell("2026-11-10T02:00:00Z", "hsm.back", "two");
    story.tell("2026-11-10T02:30:00Z", "custody.activated", "two");
    SECTION("of all") {
        const auto report = story.end("2026-11-10T00:00:00Z", "2026-11-10T04:00:00Z");
        REQUIRE(report.availability.size() == 2);
        CHECK(report.availability[0].open == std::chrono::hours(4));
        // The two overlap: an hour and a half is lost, not two hours.
        CHECK(report.availability[1].open == std::chrono::minutes(150));
    }
}

TEST_CASE("report: a server that waits for its custodians", "[report]") {
    Story story;
    story.tell("2026-11-10T00:00:00Z", "server.started");
    story.tell("2026-11-10T01:00:00Z", "custody.activated", "one");
    story.tell("2026-11-10T02:00:00Z", "server.stopped");
    // Custodians at work without it open nothing for it.
    story.tell("2026-11-10T02:10:00Z", "custody.activated", "one");
    story.tell("2026-11-10T02:20:00Z", "custody.deactivated", "one");
    story.tell("2026-11-10T03:00:00Z", "server.started");
    story.tell("2026-11-10T04:00:00Z", "custody.activated", "one");
    story.tell("2026-11-10T05:00:00Z", "server.stopped");
    // One that has them from the start.
    story.tell("2026-11-10T06:00:00Z", "custody.kept", "one");
    story.tell("2026-11-10T06:00:00Z", "server.started");
    const auto report = story.end("2026-11-10T00:00:00Z", "2026-11-10T07:00:00Z");
    CHECK(told(report) == Told{"custody locked 11-10T00:00:00Z 11-10T01:00:00Z",
                               "server stopped 11-10T02:00:00Z 11-10T03:00:00Z",
                               "custody locked 11-10T03:00:00Z 11-10T04:00:00Z",
                               "server stopped 11-10T05:00:00Z 11-10T06:00:00Z"});
}

TEST_CASE("report: nothing is stamped while programs or the second place stop it", "[report]") {
    Story story;
    story.tell("2026-11-10T10:00:00Z", "server.started");
    story.tell("2026-11-10T10:00:00Z", "gate.opened", "tsu-1", all_policies);
    story.tell("2026-11-10T10:10:00Z", "programs.changed", "", {{"stops", std::int64_t{0}}});
    story.tell("2026-11-10T10:11:00Z", "programs.settled", "", {{"left", std::int64_t{0}}});
    story.tell("2026-11-10T10:20:00Z", "programs.changed", "", {{"stops", std::int64_t{1}}});
    story.tell("2026-11-10T10:25:00Z", "programs.traced", "", {{"stops", std::int64_t{1}}});
    story.tell("2026-11-10T10:27:00Z", "programs.settled", "", {{"left", std::int64_t{1}}});
    story.tell("2026-11-10T10:30:00Z", "programs.settled", "", {{"left", std::int64_t{0}}});
    story.tell("2026-11-10T10:40:00Z", "copy.late", "copy", {{"waits", std::int64_t{0}}});
    story.tell("2026-11-10T10:45:00Z", "copy.back", "copy");
    story.tell("2026-11-10T10:50:00Z", "copy.late", "copy", {{"waits", std::int64_t{1}}});
    story.tell("2026-11-10T10:55:00Z", "copy.back", "copy");
    const auto report = story.end("2026-11-10T10:00:00Z", "2026-11-10T11:00:00Z");
    CHECK(told(report) == Told{"programs changed 11-10T10:20:00Z 11-10T10:25:00Z",
                               "programs traced 11-10T10:25:00Z 11-10T10:30:00Z",
                               "copy late 11-10T10:40:00Z 11-10T10:45:00Z",
                               "copy late 11-10T10:50:00Z 11-10T10:55:00Z"});
    REQUIRE(report.availability.size() == 1);
    CHECK(report.availability.front().open == std::chrono::minutes(45));
    CHECK(report.availability.front().of == std::chrono::minutes(60));
}

TEST_CASE("report: tokens by the hour, and their bounds", "[report]") {
    Tokens tokens(november(), {2, 4, 9});
    tokens.add(token(0, "2026-10-31T23:59:59.999Z", 9'999));  // not of this month
    tokens.add(token(1, "2026-11-01T00:00:00Z", 30));
    CHECK(tokens.is_sample());
    tokens.add(token(2, "2026-11-01T00:00:10Z", 10));
    CHECK_FALSE(tokens.is_sample());
    tokens.add(token(3, "2026-11-01T00:00:20Z", 20, "tsu-2"));
    CHECK(tokens.is_sample());
    tokens.add(token(4, "2026-11-01T00:59:59.999Z", 40));
    tokens.add(token(5, "2026-11-01T01:00:00Z", 7));
    CHECK(tokens.is_sample());
    tokens.add(token(6, "2026-11-01T00:59:58Z", 50));  // it waited
    tokens.add(token(7, "2026-11-01T03:00:00Z", 60));
    tokens.add(token(8, "2026-11-01T00:30:00Z", 70));  // no sound archive has this
    tokens.add(token(9, "2026-11-30T23:59:59.999Z", 5));
    tokens.add(token(10, "2026-12-01T00:00:00Z", 99'999));
    Report report(november());
    tokens.finish(report);
    const auto& volume = report.volume;
    CHECK(volume.tokens == 9);
    CHECK(volume.without_tac == 9);
    REQUIRE(volume.hours.size() == 720);
    CHECK(volume.hours[0].tokens == 6);
    CHECK(volume.hours[0].bound_max_us == 70);
    CHECK(volume.hours[0].bound_median_us == 30);  // of 10 20 30 40 50
    CHECK(volume.hours[1].bound_median_us == 7);
    CHECK(volume.hours[719].tokens == 1);
    CHECK(volume.hours[719].bound_median_us == 5);
    CHECK(volume.days().size() == 30);
    CHECK(volume.days()[0] == 8);
    CHECK(volume.days()[29] == 1);
    CHECK(volume.by.at({"1.2.3", "tsu-1"}) == 8);
    CHECK(volume.peak == 3);
    CHECK(volume.peak_at == at("2026-11-01T00:00:00Z"));
    CHECK(report.clock.bound_max_us == 70);
    CHECK(report.clock.bound_max_serial == "0108");
    // 2 and 3 were covered together, ten seconds apart; 4 to 8 by the next: from 00:59:59.999 to 03:00:00.
    CHECK(report.integrity.longest_uncovered_us == 7'200'001'000);
}

TEST_CASE("report: an archive of events alone, with texts that nobody should believe", "[report]") {
    kokuin::testing::Folder folder;
    const auto dir = folder.path + "/archive";
    REQUIRE(store::Archive::create(dir, at("2026-10-31T00:00:00Z")));
    {
        auto archive = store::Archive::open(dir);
        REQUIRE(archive);
        const auto tell = [&](const std::string& time, const std::string& kind, const std::string& subject,
                              std::map<std::string, store::FieldValue> fields) {
            store::Event event;
            event.kind = kind;
            event.subject = subject;
            event.text = "<script>alert(1)</script> & \"more\"";
            event.fields = std::move(fields);
            REQUIRE((*archive)->append(at(time), event, {}));
        };
        tell("2026-10-31T00:00:00Z", "server.started", "", {});
        tell("2026-11-02T00:00:00Z", "key.generated", "<b>key</b>", {});
        tell("2026-11-02T00:01:00Z", "refusals", "",
             {{"badAlg/<i>", std::int64_t{3}}, {"badAlg/x", std::int64_t{-4}}});
        tell("2026-11-30T23:59:59Z", "refusals", "",
             {{"badAlg/<i>", std::int64_t{4}}, {"other", std::string("text")}});
        tell("2026-11-30T23:59:59Z", "tac.accepted", "tsu-1", {{"tac", Bytes{1, 2, 3}}});
        tell("2026-11-30T23:59:59Z", "reference.compared", "", {{"offset_min_us", std::int64_t{-7}}});
    }
    const auto made = collect({dir, november(), "", at("2027-01-01T00:00:00Z")});
    REQUIRE(made);
    CHECK_FALSE(made->interim);
    CHECK(made->until == at("2026-12-01T00:00:00Z"));
    CHECK(made->from == at("2026-11-01T00:00:00Z"));
    CHECK((made->first == 1 && made->last == 5));
    CHECK(made->last_at == at("2026-11-30T23:59:59Z"));
    CHECK(made->refusals.total == 7);
    CHECK(made->refusals.by.at("badAlg/<i>")[1] == 3);
    CHECK(made->refusals.by.at("badAlg/<i>")[29] == 4);
    CHECK(made->integrity.checkpoints == 0);
    CHECK(made->integrity.uncovered == 5);
    const auto json = Json::parse(to_json(*made));
    CHECK(json["audits"][0]["tac"] == nullptr);
    CHECK(json["clock"]["comparisons"][0]["offset_min_us"] == -7);
    CHECK(json["refusals"]["by"]["badAlg/<i>"]["days"] == Json{{"2026-11-02", 3}, {"2026-11-30", 4}});
    for (const auto language : {page::Language::en, page::Language::ja}) {
        const auto html = to_html(*made, language);
        CHECK(html.find("<script") == std::string::npos);
        CHECK(html.find("<b>") == std::string::npos);
        CHECK(html.find("<i>") == std::string::npos);
        CHECK(html.find("&lt;script&gt;alert(1)") != std::string::npos);
    }
    // A month of which nothing is there, and one that goes on.
    const auto none = Month::parse("2026-12");
    REQUIRE(none);
    const auto nothing = collect({dir, *none, "", at("2027-01-01T00:00:00Z")});
    REQUIRE_FALSE(nothing);
    CHECK(nothing.error().kind == Error::Kind::no);
    const auto early = collect({dir, november(), "", at("2026-11-10T00:00:00Z")});
    REQUIRE(early);
    CHECK(early->interim);
    CHECK(early->until == at("2026-11-30T23:59:59Z"));  // the archive knows more than this clock
}
