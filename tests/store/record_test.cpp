#include "store/record.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <limits>

#include "base/der.h"
#include "tests/store/support.h"

using namespace kokuin;
using namespace kokuin::store;
using namespace kokuin::store::test;

namespace {

Record issuance_record() {
    const Sample made = sample(7, noon);
    return {41, noon + 5, std::nullopt, made.issuance};
}

/// With the proof of its clock: version 2.
Record proved_record() {
    Record record = issuance_record();
    std::get<Issuance>(record.body).clock =
        ClockProof{blob_id(Bytes{3}), 5'000'000'123, noon * 1000 + 456, 60, -40, 40};
    return record;
}

Record event_record() {
    Event event;
    event.kind = "tac.accepted";
    event.subject = "tsu1";
    event.text = "offset +0.000123 s, 刻印";
    event.fields = {{"offset_us", std::int64_t{-123}}, {"name", std::string("x")}, {"nonce", Bytes{1, 2, 3}}};
    event.blobs = {blob_id(Bytes{1}), blob_id(Bytes{2})};
    return {0, -1, Salt{1, 2, 3}, event};
}

}  // namespace

TEST_CASE("a record round-trips") {
    for (const Record& record : {issuance_record(), proved_record(), event_record()}) {
        const auto octets = encode(record);
        REQUIRE(octets);
        const auto again = decode(*octets);
        REQUIRE(again);
        CHECK(*again == record);
    }
    Record without_tac = issuance_record();
    std::get<Issuance>(without_tac.body).tac.reset();
    without_tac.number = std::numeric_limits<RecordNumber>::max();
    without_tac.at_us = std::numeric_limits<std::int64_t>::min();
    CHECK(*decode(*encode(without_tac)) == without_tac);
}

TEST_CASE("an issuance record holds little more than what is the token's own") {
    const Sample made = sample(7, noon);
    CHECK(made.token.size() > 2600);
    CHECK(encode(issuance_record())->size() < 850);
    CHECK(encode(proved_record())->size() - encode(issuance_record())->size() < 70);
}

TEST_CASE("a record has the lowest version that can hold it") {
    const auto version = [](const Record& record) {
        const Bytes octets = *encode(record);
        der::Reader outer(octets);
        return outer.enter(der::sequence_tag, "record").read_int64("version");
    };
    CHECK(version(issuance_record()) == 1);
    CHECK(version(proved_record()) == 2);
    CHECK(version(event_record()) == 1);
    const auto blobs = blobs_of(std::get<Issuance>(proved_record().body));
    CHECK(std::count(blobs.begin(), blobs.end(), blob_id(Bytes{3})) == 1);
    // An event of version 2 doesn't exist.
    const auto event = encode_body(std::get<Event>(event_record().body));
    CHECK(decode(encode_around(0, 0, Salt{}, {1, event->der})));
    CHECK_FALSE(decode(encode_around(0, 0, Salt{}, {2, event->der})));
}

TEST_CASE("every changed bit is refused or gives another canonical record") {
    for (const Record& record : {issuance_record(), proved_record(), event_record()}) {
        const Bytes octets = *encode(record);
        int survivors = 0;
        for (std::size_t i = 0; i < octets.size(); ++i) {
            for (unsigned change = 1; change < 256; ++change) {
                Bytes changed = octets;
                changed[i] = static_cast<std::uint8_t>(changed[i] ^ change);
                const auto decoded = decode(changed);
                if (!decoded) continue;
                ++survivors;
                const auto again = encode(*decoded);
                REQUIRE(again);
                REQUIRE(*again == changed);
            }
        }
        CHECK(survivors > 0);
    }
}

TEST_CASE("every prefix and every longer record is refused") {
    for (const Record& record : {issuance_record(), proved_record(), event_record()}) {
        Bytes octets = *encode(record);
        for (std::size_t length = 0; length < octets.size(); ++length)
            REQUIRE_FALSE(decode(View(octets).first(length)));
        octets.push_back(0);
        REQUIRE_FALSE(decode(octets));
    }
}

TEST_CASE("a record of a later version is refused by name") {
    const Bytes later = der::sequence({der::integer(3), der::integer(0), der::integer(0)});
    const auto decoded = decode(later);
    REQUIRE_FALSE(decoded);
    CHECK_THAT(decoded.error().text, Catch::Contains("version 3"));
}

TEST_CASE("what is out of range is refused before it is written") {
    const auto refused = [](const Record& record, const std::string& word) {
        const auto octets = encode(record);
        REQUIRE_FALSE(octets);
        CHECK(octets.error().kind == Error::Kind::usage);
        CHECK_THAT(octets.error().text, Catch::Contains(word));
    };
    const auto with = [](auto change) {
        Record record = issuance_record();
        change(std::get<Issuance>(record.body));
        return record;
    };
    refused(with([](Issuance& i) { i.serial = {0, 0}; }), "serial");
    refused(with([](Issuance& i) { i.policy = "1"; }), "policy");
    refused(with([](Issuance& i) { i.imprint_algorithm = "sha256"; }), "imprint algorithm");
    refused(with([](Issuance& i) { i.imprint.clear(); }), "imprint");
    refused(with([](Issuance& i) { i.tsu = "two\nlines"; }), "tsu");
    refused(with([](Issuance& i) { i.clock_bound_us = -1; }), "clock bound");
    refused(with([](Issuance& i) { i.token.clear(); }), "token");
    refused(with([](Issuance& i) { i.token = {Literal{{1}}, Literal{{2}}}; }), "side by side");
    refused(with([](Issuance& i) { i.token = {Literal{}}; }), "empty literal");
    const auto event_with = [](auto change) {
        Record record = event_record();
        change(std::get<Event>(record.body));
        return record;
    };
    refused(event_with([](Event& e) { e.kind = "TAC"; }), "kind");
    refused(event_with([](Event& e) { e.subject = "\xff"; }), "subject");
    refused(event_with([](Event& e) { e.text = std::string(5000, 'x'); }), "text");
    refused(event_with([](Event& e) { e.fields[""] = std::int64_t{1}; }), "key");
    refused(event_with([](Event& e) { e.fields["x"] = std::string("\xc0\x80"); }), "UTF-8");
    Record unsalted = event_record();
    unsalted.salt.reset();
    refused(unsalted, "salt");
    Record salted = issuance_record();
    salted.salt = Salt{};
    refused(salted, "salt");
}

TEST_CASE("leading zeros of a serial number make no other record") {
    Record record = issuance_record();
    auto& issuance = std::get<Issuance>(record.body);
    const Bytes plain = *encode(record);
    issuance.serial.insert(issuance.serial.begin(), 3, 0);
    CHECK(*encode(record) == plain);
}
