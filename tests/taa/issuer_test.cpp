#include "taa/issuer.h"

#include <catch2/catch.hpp>

#include "tac/validate.h"
#include "tests/taa/town.h"

using namespace kokuin;
using namespace kokuin::taa;
using namespace std::chrono_literals;

namespace {

WallTime now() {
    return SystemWallClock().now();
}

Issuer issuer(pki::Hash hash = pki::Hash::sha512) {
    auto made = Issuer::make({town::folder().certificate("taa")}, hash, town::software_key("taa"));
    REQUIRE(made);
    return std::move(*made);
}

tac::Measurement measured(nanoseconds offset, nanoseconds delay = 2ms) {
    return {now(), offset, delay};
}

Issued issue(const Issuer& by, const tac::Measurement& measurement, const AuditRules& rules = {}) {
    auto issued = by.issue(town::folder().certificate("tsu"), measurement, rules);
    INFO((issued ? std::string() : issued.error().text));
    REQUIRE(issued);
    return std::move(*issued);
}

/// What a TSU says about it: the exchange as it would have recorded it, its clock being `offset` ahead.
tac::Verdict judged_by_tsu(const Issued& issued, const tac::Measurement& measurement,
                           const std::string& tsu = "tsu") {
    const auto certificate = town::folder().certificate(tsu);
    const MonoTime mono = SystemMonoClock().now();
    const auto reading = [&](nanoseconds shift) {
        tac::clock::Reading r;
        r.before = r.after = mono + shift;
        r.wall = measurement.at + measurement.offset + shift;
        return r;
    };
    tac::Delivered delivered;
    delivered.tac = issued.der;
    const auto authority = town::folder().certificate("taa");
    delivered.chain = {Bytes(authority.der().begin(), authority.der().end())};
    tac::Exchange exchange;
    exchange.nonce = random_octets(32);
    exchange.tsu = "tsu-1";
    exchange.received = reading(-50us);
    exchange.sent = reading(50us);
    exchange.boot_id = "boot";
    delivered.exchange = exchange;
    tac::Rules rules;
    rules.anchors = {town::folder().certificate("root")};
    tac::Situation situation{certificate, std::nullopt, reading(20ms), "boot"};
    return tac::validate(delivered, rules, situation);
}

}  // namespace

TEST_CASE("a good TAC is what a TSU accepts", "[issuer]") {
    const auto hash = GENERATE(pki::Hash::sha256, pki::Hash::sha512);
    const auto by = issuer(hash);
    const auto offset = GENERATE(nanoseconds(0), nanoseconds(123456789ns), nanoseconds(-499999999ns),
                                 nanoseconds(500ms), nanoseconds(-1500ns));
    const auto measurement = measured(offset);
    const auto issued = issue(by, measurement);
    CHECK(issued.judgement == Judgement::good);

    const auto verdict = judged_by_tsu(issued, measurement);
    if (const auto* refusal = std::get_if<tac::Refusal>(&verdict)) FAIL(refusal->text);
    const auto* accepted = std::get_if<std::shared_ptr<const tac::AcceptedTac>>(&verdict);
    REQUIRE(accepted);
    CHECK((*accepted)->serial == issued.serial);
    CHECK(std::chrono::abs((*accepted)->offset - offset) < 1us);

    const auto decoded = tac::decode(issued.der);
    REQUIRE(decoded);
    CHECK(decoded->tac == issued.tac);
    CHECK(decoded->tac.delay == 2ms);
    CHECK(decoded->tac.policies == std::vector<std::string>{"1.3.6.1.4.1.955.1.18.1.1"});
    CHECK(decoded->tac.max_offset == 500ms);
    CHECK(decoded->tac.max_delay == 100ms);
    CHECK(decoded->tac.expiration - decoded->tac.ntp_time == 25h);  // TAA-2
    CHECK(decoded->tac.no_rev_avail);
    REQUIRE(decoded->tac.authority_key);
    CHECK(decoded->tac.authority_key->serial == town::folder().certificate("taa").serial());
    CHECK(equal(decoded->tac.holder_name, town::folder().certificate("tsu").subject_der()));
    CHECK(equal(decoded->tac.holder_digest, town::folder().certificate("tsu").digest(hash)));
}

TEST_CASE("beyond the limit the TAC is an order to stop", "[issuer]") {
    const auto by = issuer();
    const auto offset =
        GENERATE(nanoseconds(700ms), nanoseconds(-700ms), nanoseconds(500ms + 1ns),
                 nanoseconds(std::chrono::hours(26)), nanoseconds(-std::chrono::hours(200000)));
    const auto measurement = measured(offset);
    const auto issued = issue(by, measurement);
    CHECK(issued.judgement == Judgement::stop);
    CHECK(issued.tac.not_before == issued.tac.not_after);
    CHECK(issued.tac.expiration == issued.tac.ntp_time);
    const auto verdict = judged_by_tsu(issued, measurement);
    if (const auto* refusal = std::get_if<tac::Refusal>(&verdict)) FAIL(refusal->text);
    REQUIRE(std::holds_alternative<tac::StopOrder>(verdict));
    CHECK(std::get<tac::StopOrder>(verdict).serial == issued.serial);
}

TEST_CASE("another TSU refuses it", "[issuer]") {
    const auto measurement = measured(1ms);
    const auto issued = issue(issuer(), measurement);
    const auto verdict = judged_by_tsu(issued, measurement, "other-tsu");
    REQUIRE(std::holds_alternative<tac::Refusal>(verdict));
    CHECK(std::get<tac::Refusal>(verdict).reason == tac::Reason::holder_name);
}

TEST_CASE("delay is rounded up, serials are fresh, positive and long", "[issuer]") {
    const auto by = issuer();
    const auto one = issue(by, measured(0ns, 1234567ns));
    CHECK(one.tac.delay == 1235us);
    CHECK(one.tac.serial.size() == 16);
    CHECK(one.tac.serial.front() >= 0x40);
    CHECK(one.tac.serial.front() < 0x80);
    CHECK(one.serial != issue(by, measured(0ns)).serial);
}

TEST_CASE("openssl reads the TAC", "[issuer]") {
    const auto issued = issue(issuer(), measured(-123456us));
    town::folder().write("issued.tac", issued.der);
    const auto text = town::folder().must("openssl asn1parse -inform DER -in issued.tac");
    CHECK(text.find("sha512WithRSAEncryption") != std::string::npos);
    CHECK(text.find("1.3.6.1.4.1.601.10.4.1") != std::string::npos);
    CHECK(text.find("1.3.6.1.4.1.601.10.4.2") != std::string::npos);
    CHECK(text.find("1.3.6.1.4.1.955.1.18.1.1") != std::string::npos);
    CHECK(text.find("X509v3 Authority Key Identifier") != std::string::npos);
    CHECK(text.find("X509v3 No Revocation Available") != std::string::npos);
    // The signature, checked by openssl over exactly the signed part.
    const auto decoded = tac::decode(issued.der);
    REQUIRE(decoded);
    town::folder().write("issued.info", decoded->info);
    town::folder().write("issued.sig", decoded->signature);
    town::folder().must("openssl x509 -in taa.pem -pubkey -noout > taa.pub");
    CHECK(town::folder()
              .must("openssl dgst -sha512 -verify taa.pub -signature issued.sig issued.info")
              .find("Verified OK") != std::string::npos);
}

TEST_CASE("nothing leaves that doesn't verify under the TAA's certificate", "[issuer]") {
    const auto tsu = town::folder().certificate("tsu");
    SECTION("another key") {
        auto wrong =
            Issuer::make({town::folder().certificate("taa")}, pki::Hash::sha512, town::software_key("tsu"));
        REQUIRE(wrong);
        const auto issued = wrong->issue(tsu, measured(0ns), {});
        REQUIRE_FALSE(issued);
        CHECK(issued.error().text.find("[taa] key") != std::string::npos);
    }
    SECTION("an HSM that is gone") {
        auto gone =
            Issuer::make({town::folder().certificate("taa")}, pki::Hash::sha512,
                         [](pki::Hash, View) -> Result<Bytes> { return Error::environment("no token"); });
        REQUIRE(gone);
        const auto issued = gone->issue(tsu, measured(0ns), {});
        REQUIRE_FALSE(issued);
        CHECK(issued.error().text == "no token");
    }
    SECTION("a TAA's certificate that has ended") {
        auto measurement = measured(0ns);
        measurement.at += std::chrono::hours(24 * 400);
        const auto issued = issuer().issue(tsu, measurement, {});
        REQUIRE_FALSE(issued);
        CHECK(issued.error().text.find("valid from") != std::string::npos);
    }
}

TEST_CASE("certificates that can't be a TAA's are refused at start", "[issuer]") {
    const auto sign = [](pki::Hash, View) -> Result<Bytes> { return Error::environment("unused"); };
    CHECK_FALSE(Issuer::make({}, pki::Hash::sha512, sign));
    CHECK_FALSE(Issuer::make({town::folder().certificate("root")}, pki::Hash::sha512, sign));
    town::folder().issue("ec", "root", town::taa_extensions, "-days 365",
                         "ec -pkeyopt ec_paramgen_curve:P-256");
    CHECK_FALSE(Issuer::make({town::folder().certificate("ec")}, pki::Hash::sha512, sign));
}
