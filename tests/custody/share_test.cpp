#include <nlohmann/json.hpp>

#include "base/bytes.h"
#include "hsm/custody/papers/json.h"
#include "pki/hash.h"
#include "tests/custody/held.h"

using namespace kokuin;
using namespace kokuin::hsm::custody;

namespace {

/// The file with one member changed and its digest made anew: what an attacker writes, not an accident.
ShareFile forged(const ShareFile& file, const std::function<void(Json&)>& change) {
    auto json = Json::parse(file.to_json());
    json.erase("sha256");
    change(json);
    json["sha256"] = to_hex(pki::digest(pki::Hash::sha256, as_view(dump(json))));
    return must(ShareFile::from_json(dump(json)));
}

}  // namespace

TEST_CASE("A share file is read back as it was written, and opens with its passphrase") {
    const auto& held = usual();
    const auto read = must(ShareFile::from_json(held.files[1].to_json()));
    CHECK(read == held.files[1]);
    CHECK(read.custodian == "b");
    const auto open = must(open_share_file(read, Held::passphrase("b").view()));
    CHECK(equal(open.share.pin.view(), held.ceremony.shares[1].pin.view()));
    CHECK(equal(open.share.officer.view(), held.ceremony.shares[1].officer.view()));
    const auto wrong = open_share_file(read, Held::passphrase("a").view());
    REQUIRE_FALSE(wrong);
    CHECK(wrong.error().kind == Error::Kind::no);
    CHECK(wrong.error().text.find("passphrase is wrong") != std::string::npos);
}

TEST_CASE("No share, PIN or key stands readable in a share file") {
    const auto& held = usual();
    const auto text = held.files[0].to_json();
    CHECK(text.find(held.pin()) == std::string::npos);
    CHECK(text.find(to_hex(held.ceremony.pin.view())) == std::string::npos);
    CHECK(text.find(to_hex(held.ceremony.shares[0].pin.view())) == std::string::npos);
    CHECK(text.find(to_hex(held.ceremony.seeds[0].view())) == std::string::npos);
}

TEST_CASE("A damaged share file is told from a wrong passphrase, wherever it is damaged") {
    const auto& held = usual();
    const auto text = held.files[0].to_json();
    for (std::size_t at = 0; at < text.size(); at += 3) {
        auto damaged = text;
        damaged[at] = damaged[at] == '0' ? '1' : '0';
        const auto read = ShareFile::from_json(damaged);
        if (read) {
            CHECK(*read == held.files[0]);  // only where blanks were
            continue;
        }
        CHECK(read.error().kind == Error::Kind::usage);
    }
    for (const std::size_t size : {std::size_t{0}, std::size_t{1}, text.size() / 2, text.size() - 3})
        CHECK_FALSE(ShareFile::from_json(text.substr(0, size)));
    CHECK_FALSE(ShareFile::from_json("[]"));
    CHECK_FALSE(ShareFile::from_json("nonsense"));
}

TEST_CASE("A share file that was changed on purpose doesn't open, whoever knows the passphrase") {
    const auto& held = usual();
    const auto& file = held.files[0];
    const auto opens = [&](const std::function<void(Json&)>& change) {
        return open_share_file(forged(file, change), Held::passphrase("a").view()).ok();
    };
    CHECK(opens([](Json&) {}));
    CHECK_FALSE(opens([](Json& json) { json["ceremony"] = std::string(32, '0'); }));
    CHECK_FALSE(opens([](Json& json) { json["generation"] = 2; }));
    CHECK_FALSE(opens([](Json& json) { json["token"] = "another"; }));
    CHECK_FALSE(opens([](Json& json) { json["threshold"] = 3; }));
    CHECK_FALSE(opens([](Json& json) { json["custodians"] = 4; }));
    CHECK_FALSE(opens([](Json& json) { json["custodian"] = "b"; }));
    CHECK_FALSE(opens([](Json& json) { json["signing_key"] = std::string(64, '0'); }));
    // Another custodian's share under one's own key.
    CHECK_FALSE(opens([&](Json& json) { json["share"] = Json::parse(held.files[1].to_json())["share"]; }));
    CHECK_FALSE(opens([](Json& json) { json["seed"]["memory_kib"] = 8; }));
}

TEST_CASE("A roster is read back as it was written, strictly") {
    const Held held(2, {"officer-1", "officer-2", "x_3"});
    const auto& roster = held.ceremony.roster;
    CHECK(must(Roster::from_json(roster.to_json())) == roster);
    CHECK(roster.text() == "2 of 3 custodians (officer-1, officer-2, x_3)");
    const auto reads = [&](const std::function<void(Json&)>& change) {
        auto json = Json::parse(roster.to_json());
        change(json);
        return Roster::from_json(dump(json)).ok();
    };
    CHECK(reads([](Json&) {}));
    CHECK_FALSE(reads([](Json& json) { json["threshold"] = 1; }));
    CHECK_FALSE(reads([](Json& json) { json["threshold"] = 4; }));
    CHECK_FALSE(reads([](Json& json) { json["threshold"] = "2"; }));
    CHECK_FALSE(reads([](Json& json) { json["version"] = 2; }));
    CHECK_FALSE(reads([](Json& json) { json.erase("ceremony"); }));
    CHECK_FALSE(reads([](Json& json) { json["custodians"][1]["name"] = "officer-1"; }));
    CHECK_FALSE(reads([](Json& json) { json["custodians"][1]["name"] = "Officer 1"; }));
    CHECK_FALSE(reads([](Json& json) { json["custodians"][1]["signing_key"] = "00"; }));
    CHECK_FALSE(Roster::from_json(""));
}

TEST_CASE("A plan is refused with what is allowed") {
    const auto says = [](unsigned threshold, std::vector<std::string> names) {
        const auto done = check(Plan{"token", threshold, std::move(names)});
        return done ? std::string() : done.error().text;
    };
    CHECK(says(2, {"a", "b"}).empty());
    CHECK(says(2, {"a"}).find("2 to 16 custodians") != std::string::npos);
    CHECK(says(1, {"a", "b"}).find("one alone must not be enough") != std::string::npos);
    CHECK(says(3, {"a", "b"}).find("must be 2 to 2") != std::string::npos);
    CHECK(says(2, {"a", "a"}).find("twice") != std::string::npos);
    CHECK(says(2, {"a", "Mr. B"}).find("role or number") != std::string::npos);
    CHECK(says(2, {"a", "../b"}).find("role or number") != std::string::npos);
    CHECK(says(2, std::vector<std::string>(17, "x")).find("not 17") != std::string::npos);
}
