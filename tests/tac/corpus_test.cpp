// The eight real TACs of 2005–2024, and the tokens that carried them.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <map>

#include "base/der.h"
#include "base/file.h"
#include "tac/explain.h"
#include "tests/tac/town.h"

using namespace kokuin;
using namespace kokuin::tac;

namespace {

std::string corpus() {
    const char* shared = std::getenv("KOKUIN_SHARED");
    return (shared ? std::string(shared) : std::string(KOKUIN_SOURCE_DIR) + "/../shared") + "/corpus/tac";
}

/// Every *.ac0.der, by name. Empty, with a loud word, if the corpus isn't here.
std::map<std::string, Bytes> real_tacs() {
    std::map<std::string, Bytes> found;
    std::error_code missing;
    for (const auto& entry : std::filesystem::directory_iterator(corpus(), missing)) {
        const std::string name = entry.path().filename().string();
        if (name.size() < 8 || name.substr(name.size() - 8) != ".ac0.der") continue;
        found[name.substr(0, name.size() - 8)] = *read_file(entry.path().string());
    }
    if (found.empty()) {
        std::cerr << "SKIPPED: no real TACs in " << corpus()
                  << "; set KOKUIN_SHARED to the folder that holds corpus/tac\n";
        WARN("skipped: no real TACs in " << corpus());
    }
    return found;
}

/// The certificates inside a token, wherever they stand in it.
std::vector<pki::Certificate> certificates_in(View token) {
    std::vector<pki::Certificate> found;
    for (std::size_t at = 0; at + 4 < token.size(); ++at) {
        if (token[at] != der::sequence_tag || token[at + 1] != 0x82) continue;
        der::Reader reader(token.subspan(at));
        const auto element = reader.any();
        if (reader.failed()) continue;
        if (auto certificate = pki::Certificate::from_der(element.whole))
            found.push_back(std::move(*certificate));
    }
    return found;
}

}  // namespace

TEST_CASE("all eight real TACs are read, exactly") {
    struct Facts {
        const char* serial;
        const char* ntp_time;
        const char* expiration;
        const char* not_before;
        std::int64_t offset_us;
        std::int64_t delay_us;
        const char* policy;
        std::int64_t max_delay_us;
    };
    // Read from `openssl asn1parse` by hand.
    const std::map<std::string, Facts> facts{
        {"20050310105843-1563e21f",
         {"c5da355b00000000", "2005-03-10T02:54:19.000000Z", "2005-03-13T02:54:19.000000Z",
          "2005-03-10T02:54:19Z", -26809, 169468, "1.3.6.1.4.1.601.10.3.1", 250000}},
        {"20091117225246-a2c51346",
         {"cead850d", "2009-11-17T20:24:45.000000Z", "2009-11-18T20:24:45.000000Z", "2009-11-17T20:24:45Z",
          6922, 3899, "1.3.6.1.4.1.601.10.3.2", 100000}},
        {"20120618135610-58f9c4da",
         {"d3896c9f", "2012-06-18T09:00:15.000000Z", "2012-06-21T09:00:15.000000Z", "2012-06-18T09:00:15Z",
          1299, 6127, "1.3.6.1.4.1.601.10.3.1", 100000}},
        {"20141030104037-9eac22a6",
         {"d7fb554e", "2014-10-29T12:00:14.000000Z", "2014-11-01T12:00:14.000000Z", "2014-10-29T12:00:14Z",
          -7339, 6191, "1.3.6.1.4.1.601.10.3.1", 100000}},
        {"20181119095058-df8c84df",
         {"df9c777a", "2018-11-18T23:42:50.000000Z", "2018-11-19T23:42:50.000000Z", "2018-11-18T23:42:50Z",
          4938, 4360, "1.3.6.1.4.1.601.10.3.2", 100000}},
        {"20191203095657-dbe3217d",
         {"e19084bb", "2019-12-03T06:52:43.000000Z", "2019-12-04T06:52:43.000000Z", "2019-12-03T06:52:43Z",
          5050, 4070, "1.3.6.1.4.1.601.10.3.2", 100000}},
        {"20210817020133-2b8e23f2",
         {"e4c518ed", "2021-08-16T17:03:41.000000Z", "2021-08-17T17:03:41.000000Z", "2021-08-16T21:03:41Z",
          -3606, 4394, "1.3.6.1.4.1.601.10.3.2", 100000}},
        {"20240621071205-5d99e8c3",
         {"ea1f5f86", "2024-06-21T02:10:14.000000Z", "2024-06-22T02:10:14.000000Z", "2024-06-21T02:10:14Z",
          -40, 4673, "1.3.6.1.4.1.601.10.3.2", 100000}},
    };
    const auto tacs = real_tacs();
    if (tacs.empty()) return;
    CHECK(tacs.size() == facts.size());
    for (const auto& [name, der] : tacs) {
        INFO(name);
        const auto tac = decode(der);
        INFO((tac.ok() ? "" : tac.error().text));
        REQUIRE(tac.ok());
        CHECK(tac->der == der);
        CHECK(assemble(tac->info, tac->outer_algorithm, tac->signature) == der);
        REQUIRE(facts.count(name) == 1);
        const Facts& want = facts.at(name);
        const Explanation is = explain(tac->tac);
        CHECK(is.serial == want.serial);
        CHECK(is.ntp_time == want.ntp_time);
        CHECK(is.expiration == want.expiration);
        CHECK(is.not_before == want.not_before);
        CHECK(is.offset_us == want.offset_us);
        CHECK(is.delay_us == want.delay_us);
        CHECK(is.policies == std::vector<std::string>{want.policy});
        CHECK(is.max_offset_us == 500000);
        CHECK(is.max_delay_us == want.max_delay_us);
        CHECK(is.leap_events.empty());
        CHECK_FALSE(tac->tac.authority_key);
        CHECK_FALSE(tac->tac.no_rev_avail);
    }
}

TEST_CASE("each real TAC is about a certificate in its token, by name and by digest") {
    for (const auto& [name, der] : real_tacs()) {
        INFO(name);
        const auto tac = decode(der);
        REQUIRE(tac.ok());
        const auto token = read_file(corpus() + "/" + name + ".tst.der");
        REQUIRE(token.ok());
        const auto certificates = certificates_in(*token);
        REQUIRE_FALSE(certificates.empty());
        const auto hash = pki::hash_from_oid(tac->tac.digest_algorithm.oid);
        REQUIRE(hash);
        CHECK(std::any_of(certificates.begin(), certificates.end(), [&](const pki::Certificate& one) {
            return one.subject_der() == tac->tac.holder_name && one.digest(*hash) == tac->tac.holder_digest;
        }));
    }
}

TEST_CASE("real TACs are told apart from ours, and explained in words") {
    using Catch::Contains;
    for (const auto& [name, der] : real_tacs()) {
        INFO(name);
        const Explanation is = explain(decode(der)->tac);
        CHECK(is.remarks.size() >= 3);  // SHA-1 somewhere, no AKI, no noRevAvail
        const std::string text = to_text(is);
        CHECK_THAT(text, Contains(is.holder));
        CHECK_THAT(text, Contains(is.issuer));
        CHECK_THAT(text, Contains(is.offset_us < 0 ? "behind" : "ahead of"));
        const bool disagrees = std::any_of(is.remarks.begin(), is.remarks.end(), [](const std::string& r) {
            return r.find("disagree") != std::string::npos;
        });
        CHECK(disagrees == (name.substr(0, 4) == "2021"));
    }
}

TEST_CASE("a real TAC is refused for what it is, never for how it is written") {
    for (const auto& [name, der] : real_tacs()) {
        INFO(name);
        town::Audit audit;
        Delivered delivered{der, {}, audit.exchange};
        const auto reason = [&] {
            const Verdict verdict = validate(delivered, audit.rules, audit.situation);
            REQUIRE(std::holds_alternative<Refusal>(verdict));
            return std::get<Refusal>(verdict).reason;
        };
        CHECK(reason() == Reason::algorithm);
        audit.rules.accept_weak = true;
        CHECK(reason() == Reason::chain);
    }
}

TEST_CASE("our own TAC has nothing to remark") {
    town::Audit audit;
    audit.tac.leap_events = {{*from_rfc3339("2027-01-01"), 1}};
    const Explanation is = explain(audit.tac);
    CHECK(is.remarks.empty());
    CHECK(is.holder == "CN=tsu,O=Kokuin Test,C=JP");
    CHECK(is.issuer == "CN=taa,O=Kokuin Test,C=JP");
    CHECK(is.signature_algorithm == "sha256WithRSA");
    CHECK(is.holder_digest_algorithm == "sha256");
    REQUIRE(is.leap_events.size() == 1);
    CHECK(is.leap_events[0].midnight == "2027-01-01T00:00:00Z");
    CHECK(is.leap_events[0].action == 1);
    CHECK_THAT(to_text(is), Catch::Contains("12.345 ms ahead of the auditor's clock (offset 12345 us)"));
    CHECK_THAT(to_text(is), Catch::Contains("inserted right before 2027-01-01T00:00:00Z"));
}
