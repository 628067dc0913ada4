// [taa] of the configuration: mistakes in it are seen at start, what passes by itself isn't one.
#include "tsa/rules.h"

#include <catch2/catch.hpp>

#include "tests/tac/town.h"

using namespace kokuin;

namespace {

struct RulesDesk {
    const workshop::Folder& folder = town::folder();
    tsa::TaaSettings taa;
    WallTime now = SystemWallClock().now();

    RulesDesk() {
        folder.must(
            "cat taa.pem middle.pem > rules-chain.pem && cat middle.pem root.pem > rules-anchors.pem");
        taa.anchors = folder.at("root.pem");
        taa.certificates = folder.at("rules-chain.pem");
        taa.limits = {{"1.2.3.4", milliseconds(20), milliseconds(10)}};
    }
    [[nodiscard]] std::string refusal() const {
        const auto rules = tsa::load_rules(taa, now);
        REQUIRE_FALSE(rules);
        CHECK(rules.error().kind == Error::Kind::usage);
        CHECK(rules.error().text.find('\n') == std::string::npos);
        return rules.error().text;
    }
};

}  // namespace

TEST_CASE("the TAA's certificates become the rules of its TACs") {
    RulesDesk desk;
    auto rules = tsa::load_rules(desk.taa, desk.now);
    REQUIRE(rules);
    CHECK(rules->anchors.size() == 1);
    CHECK(rules->authorities == std::vector<Bytes>{town::certificate("taa").subject_der()});
    CHECK(rules->policies.at("1.2.3.4").max_offset == milliseconds(20));
    // What is between may stand in either file.
    desk.taa.anchors = desk.folder.at("rules-anchors.pem");
    desk.taa.certificates = desk.folder.at("taa.pem");
    rules = tsa::load_rules(desk.taa, desk.now);
    REQUIRE(rules);
    CHECK(rules->anchors.size() == 1);
}

TEST_CASE("a TAA nobody could believe is refused") {
    RulesDesk desk;
    SECTION("no root among the anchors") {
        desk.taa.anchors = desk.folder.at("middle.pem");
        const auto text = desk.refusal();
        CHECK(text.find("[taa] anchors: " + desk.taa.anchors + ": holds no root") == 0);
    }
    SECTION("another root") {
        desk.taa.anchors = desk.folder.at("foreign.pem");
        CHECK(desk.refusal().find(desk.taa.certificates) != std::string::npos);
    }
    SECTION("what is between is missing") {
        desk.taa.certificates = desk.folder.at("taa.pem");
        CHECK(desk.refusal().find("what is between it and the root") != std::string::npos);
    }
    SECTION("too weak a key") {
        desk.taa.certificates = desk.folder.at("weak-taa.pem");
        CHECK(desk.refusal().find("weak") != std::string::npos);
        desk.taa.allow_sha1 = true;
        CHECK(tsa::load_rules(desk.taa, desk.now));
    }
    SECTION("no such file") {
        desk.taa.anchors = desk.folder.at("nowhere.pem");
        const auto rules = tsa::load_rules(desk.taa, desk.now);
        REQUIRE_FALSE(rules);
        CHECK(rules.error().text.find("[taa] anchors") == 0);
    }
}

TEST_CASE("neither a certificate that ended nor a wrong clock keeps the server from starting") {
    RulesDesk desk;
    for (const auto years : {-30, -1, 3, 30}) {
        INFO(years);
        CHECK(tsa::load_rules(desk.taa, desk.now + std::chrono::hours(24 * 365) * years));
    }
    desk.taa.certificates = desk.folder.at("old-taa.pem");
    CHECK(tsa::load_rules(desk.taa, desk.now + std::chrono::hours(48)));
}
