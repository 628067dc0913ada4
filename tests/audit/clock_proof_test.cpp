// "How wrong could this clock have been?", computed again from what the archive keeps with a token.
#include "audit/clock_proof.h"

#include <catch2/catch.hpp>
#include <limits>
#include <nlohmann/json.hpp>

#include "audit/present.h"
#include "tac/clock/bound.h"
#include "tests/clock/world.h"

using namespace kokuin;
using namespace kokuin::tac::clock;

namespace {

/// A token that rests on an audit two hours ago and on a reference 16 seconds ago.
struct Desk {
    world::World world;
    ErrorBound error;
    Reading reading;
    store::Shown shown;

    Desk() {
        world.step_c(milliseconds(3));
        add(Source::tac, milliseconds(31), "TAC 1f42");
        world.advance(std::chrono::hours(2));
        add(Source::reference, milliseconds(2), "3 of 3 sources agree");
        world.advance(seconds(16));
        issue();
    }
    void add(Source source, nanoseconds uncertainty, const std::string& note, nanoseconds wrong = {}) {
        Evidence evidence;
        evidence.source = source;
        evidence.at = world.read();
        evidence.error = world.error_read() + wrong;
        evidence.uncertainty = uncertainty;
        evidence.good_until = evidence.at.before + std::chrono::hours(25);
        evidence.note = note;
        error.add(evidence);
    }
    /// As the stamper records it.
    void issue() {
        reading = world.read();
        store::Issuance issuance;
        issuance.gen_time_us = to_unix_us(reading.wall) / 1000 * 1000;
        issuance.clock = store::ClockProof{{},
                                           reading.before.time_since_epoch().count(),
                                           reading.wall.time_since_epoch().count(),
                                           reading.gap().count(),
                                           reading.asleep.low.count(),
                                           reading.asleep.high.count()};
        const auto bound = error.at(reading).largest() + milliseconds(1);
        issuance.clock_bound_us = std::chrono::ceil<microseconds>(bound).count();
        shown.found.record.body = issuance;
        shown.basis = error.basis()->encode();
    }
    store::Issuance& issuance() { return std::get<store::Issuance>(shown.found.record.body); }
    [[nodiscard]] std::string objection() const {
        const auto proof = audit::clock_proof(shown);
        REQUIRE(proof);
        REQUIRE(*proof);
        return (*proof)->objection;
    }
    [[nodiscard]] std::string sentence() {
        const auto proof = audit::clock_proof(shown);
        REQUIRE(proof);
        return audit::clock_sentence(issuance().clock_bound_us, *proof ? &**proof : nullptr);
    }
};

bool has(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("the bound follows from the evidence, and one sentence says how") {
    Desk desk;
    CHECK(desk.objection().empty());
    const auto text = desk.sentence();
    INFO(text);
    CHECK(has(text, "its clock could not have been more than " +
                        audit::duration_text(desk.issuance().clock_bound_us) + " from UTC: "));
    CHECK(has(text,
              "the independent reference (3 of 3 sources agree) had found it 3.000 ms ahead, +/- 2.000 ms, "
              "16 s before"));
    CHECK(has(
        text,
        "; an audit by the TAA (TAC 1f42) had found it 3.000 ms ahead, +/- 31.000 ms, 2 h 0 min before."));
    const auto json = nlohmann::json::parse(audit::show_json(desk.shown));
    CHECK(json["clock_proof"] == "holds");
    REQUIRE(json["clock_evidence"].size() == 2);
    const auto& reference = json["clock_evidence"][1];
    CHECK(reference["source"] == "reference");
    CHECK(reference["applies"] == true);
    CHECK(reference["offset_us"] == 3000);
    CHECK(reference["uncertainty_us"] == 2000);
    CHECK(reference["age_us"].get<std::int64_t>() / 1'000'000 == 16);
    CHECK(reference["drift_ppm"].is_null());
    CHECK(reference["drift_uncertainty_ppm"] == 50);
}

TEST_CASE("a record that claims more than its evidence proves is shown up") {
    Desk desk;
    SECTION("a smaller bound") {
        desk.issuance().clock_bound_us = 3000;
        CHECK(has(desk.objection(), "the record says 3.000 ms"));
    }
    SECTION("another time than the clock showed") {
        desk.issuance().gen_time_us += 1'000'000;
        CHECK(has(desk.objection(), "isn't genTime"));
    }
    SECTION("evidence that was too old") {
        desk.issuance().clock->m_ns += std::int64_t{26} * 3600 * 1'000'000'000;
        CHECK(has(desk.objection(), "no evidence applies"));
    }
    SECTION("a machine that had slept") {
        desk.issuance().clock->asleep_low_ns = 5'000'000'000;
        desk.issuance().clock->asleep_high_ns = 5'000'000'100;
        CHECK(has(desk.objection(), "no evidence applies"));
    }
    SECTION("a clock that was stepped after the evidence") {
        desk.world.step_c(seconds(2));
        const auto bound = desk.issuance().clock_bound_us;
        desk.issue();
        desk.issuance().clock_bound_us = bound;
        CHECK(has(desk.objection(), "the evidence allows 2.0"));
    }
    SECTION("evidence that excludes evidence") {
        desk.add(Source::reference, milliseconds(1), "", milliseconds(500));
        desk.issue();
        CHECK(has(desk.objection(), "exclude each other"));
    }
    SECTION("numbers out of every range") {
        for (const auto wild :
             {std::numeric_limits<std::int64_t>::max(), std::numeric_limits<std::int64_t>::min()}) {
            for (auto member :
                 {&store::ClockProof::m_ns, &store::ClockProof::c_ns, &store::ClockProof::gap_ns,
                  &store::ClockProof::asleep_low_ns, &store::ClockProof::asleep_high_ns}) {
                Desk other;
                (*other.issuance().clock).*member = wild;
                if (wild > 0 || member != &store::ClockProof::gap_ns) CHECK_FALSE(other.objection().empty());
            }
        }
    }
    if (!desk.objection().empty()) {
        CHECK(has(desk.sentence(), "BUT ITS EVIDENCE DOESN'T PROVE IT"));
        CHECK(has(audit::show_json(desk.shown), R"("clock_proof":"fails: )"));
    }
}

TEST_CASE("records without a proof, and what can't be read, are told apart") {
    Desk desk;
    desk.shown.basis = Bytes{0x30, 0x00};
    const auto unreadable = audit::clock_proof(desk.shown);
    REQUIRE_FALSE(unreadable);
    CHECK(has(audit::show_json(desk.shown), R"("clock_proof":"unreadable: clock basis)"));
    desk.issuance().clock.reset();
    desk.shown.basis.reset();
    CHECK(desk.sentence() == "When this token was issued, its clock could not have been more than " +
                                 audit::duration_text(desk.issuance().clock_bound_us) + " from UTC.");
    CHECK(has(audit::show_json(desk.shown), R"("clock_proof":"none")"));
}
