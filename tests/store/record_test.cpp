#include "store/record.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <limits>

#include "base/der.h"
#include "store/context.h"
#include "tests/store/support.h"

using namespace kokuin;
using namespace kokuin::store;
using namespace kokuin::store::test;

namespace {

Record issuance_record() {
    const Sample made = sample(7, noon);
    return {41, noon + 5, std::nullopt, made.issuance};
}

/// With the proof of its clock.
Record proved_record() {
    Record record = issuance_record();
    std::get<Issuance>(record.body).clock =
        ClockProof{blob_id(Bytes{3}), 5'000'000'123, noon * 1000 + 456, 60, -40, 40};
    return record;
}

/// The blobs of a segment in which these issuances have been written.
BlobLookup beside(const std::vector<Record>& records) {
    std::map<BlobId, Bytes> blobs;
    for (const Record& record : records) {
        const auto* issuance = std::get_if<Issuance>(&record.body);
        if (!issuance) continue;
        const auto body = encode_body(*issuance);
        REQUIRE(body);
        const View content = body->context->content();
        blobs[body->context->id()] = Bytes(content.begin(), content.end());
    }
    return [blobs](const BlobId& id) {
        const auto found = blobs.find(id);
        return found == blobs.end() ? std::optional<Bytes>() : std::optional(found->second);
    };
}

Result<Record> read(View octets, const BlobLookup& blobs) {
    Contexts contexts;
    return decode(octets, contexts, blobs);
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
        const auto again = read(*octets, beside({record}));
        REQUIRE(again);
        CHECK(*again == record);
    }
    Record without_tac = issuance_record();
    std::get<Issuance>(without_tac.body).tac.reset();
    without_tac.number = std::numeric_limits<RecordNumber>::max();
    without_tac.at_us = std::numeric_limits<std::int64_t>::min();
    CHECK(*read(*encode(without_tac), beside({without_tac})) == without_tac);
}

TEST_CASE("an issuance record holds nothing but what is the token's own") {
    const Sample made = sample(7, noon);
    CHECK(made.token.size() > 2600);
    // 256 of them are the signature.
    CHECK(encode(issuance_record())->size() < 430);
    CHECK(encode(proved_record())->size() - encode(issuance_record())->size() < 70);
}

TEST_CASE("issuances share a context where nothing but their own differs") {
    const auto context = [](const Record& record) {
        return encode_body(std::get<Issuance>(record.body))->context->id();
    };
    const auto of = [](std::uint64_t seed) {
        return Record{0, noon, std::nullopt, sample(seed, noon + static_cast<std::int64_t>(seed)).issuance};
    };
    CHECK(context(of(1)) == context(of(3)));
    CHECK(context(issuance_record()) == context(proved_record()));
    CHECK(context(of(1)) != context(of(2)));  // another policy
    // The record names it, and commits to all of it.
    const auto bare = decode_bare(*encode(of(1)));
    REQUIRE(bare);
    CHECK(std::get<OwnIssuance>(bare->body).context == context(of(1)));
    for (const auto change : std::vector<void (*)(Issuance&)>{
             [](Issuance& one) { one.policy += ".5"; }, [](Issuance& one) { one.imprint_algorithm += ".5"; },
             [](Issuance& one) { one.tsu += "x"; }, [](Issuance& one) { one.tac.reset(); },
             [](Issuance& one) { one.tac->blob[0] ^= 1; }, [](Issuance& one) { one.tac->serial[1] ^= 1; },
             [](Issuance& one) { one.certificate[31] ^= 1; },
             [](Issuance& one) { one.token.emplace_back(Field::serial); },
             [](Issuance& one) {
                 for (Part& part : one.token)
                     if (auto* digest = std::get_if<Digest>(&part)) digest->length -= 1;
             }}) {
        Record other = of(1);
        change(std::get<Issuance>(other.body));
        CHECK(context(other) != context(of(1)));
        CHECK(*read(*encode(other), beside({other})) == other);
    }
}

TEST_CASE("a record has the version of its kind") {
    const auto version = [](const Record& record) {
        const Bytes octets = *encode(record);
        der::Reader outer(octets);
        return outer.enter(der::sequence_tag, "record").read_int64("version");
    };
    CHECK(version(issuance_record()) == 3);
    CHECK(version(proved_record()) == 3);
    CHECK(version(event_record()) == 1);
    const auto blobs = blobs_of(std::get<Issuance>(proved_record().body));
    CHECK(std::count(blobs.begin(), blobs.end(), blob_id(Bytes{3})) == 1);
    // Each kind has one.
    const auto event = encode_body(std::get<Event>(event_record().body));
    const auto issuance = encode_body(std::get<Issuance>(proved_record().body));
    CHECK(decode_bare(encode_around(0, 0, Salt{}, {1, event->der})));
    CHECK(decode_bare(encode_around(0, 0, std::nullopt, {3, issuance->der})));
    for (const std::int64_t other : {2, 3}) {
        CHECK_FALSE(decode_bare(encode_around(0, 0, Salt{}, {other, event->der})));
        CHECK_FALSE(decode_bare(encode_around(0, 0, std::nullopt, {other, event->der})));
    }
    for (const std::int64_t other : {1, 2}) {
        CHECK_FALSE(decode_bare(encode_around(0, 0, Salt{}, {other, issuance->der})));
        CHECK_FALSE(decode_bare(encode_around(0, 0, std::nullopt, {other, issuance->der})));
    }
}

TEST_CASE("without its context a record says what is its own, and nothing else") {
    const Record record = proved_record();
    const auto& issuance = std::get<Issuance>(record.body);
    const Bytes octets = *encode(record);
    const auto bare = decode_bare(octets);
    REQUIRE(bare);
    const auto& own = std::get<OwnIssuance>(bare->body);
    CHECK(bare->number == record.number);
    CHECK(own.serial == issuance.serial);
    CHECK(own.gen_time_us == issuance.gen_time_us);
    CHECK(own.imprint == issuance.imprint);
    CHECK(own.clock == issuance.clock);

    const auto refused = [&](const BlobLookup& blobs, const std::string& why) {
        const auto record_read = read(octets, blobs);
        REQUIRE_FALSE(record_read);
        CHECK(record_read.error().kind == Error::Kind::environment);
        CHECK_THAT(record_read.error().text, Catch::Contains(why) && !Catch::Contains("\n"));
    };
    const auto good = beside({record});
    const std::string name = "its context, the blob " + to_hex(own.context);
    refused([](const BlobId&) { return std::optional<Bytes>(); }, name + ", is missing");
    refused(
        [](const BlobId&) {
            return std::optional(Bytes{0x30, 0});
        },
        name + ", has another SHA-256 than its name");
    refused([](const BlobId&) { return Error::environment("the disk is gone"); }, "the disk is gone");
    // One that was read stays known; another one is asked for.
    Contexts contexts;
    CHECK(decode(octets, contexts, good));
    CHECK(decode(octets, contexts, [](const BlobId&) { return std::optional<Bytes>(); }));
    Record other = record;
    std::get<Issuance>(other.body).tsu = "tsu2";
    CHECK_FALSE(decode(*encode(other), contexts, good));
    CHECK(decode(*encode(other), contexts, beside({other})));
}

TEST_CASE("a context is canonical, and has as many places as its record has literals") {
    const Record record = proved_record();
    const auto body = encode_body(std::get<Issuance>(record.body));
    const Bytes context(body->context->content().begin(), body->context->content().end());
    // As somebody would write it who can write records: under the name that its octets have.
    const auto with_context = [&](const Bytes& other) {
        auto bare = decode_bare(*encode(record));
        std::get<OwnIssuance>(bare->body).context = blob_id(other);
        Contexts contexts;
        return complete(std::move(*bare), contexts, [&](const BlobId&) { return std::optional(other); });
    };
    REQUIRE(with_context(context));
    int survivors = 0;
    for (std::size_t i = 0; i < context.size(); ++i) {
        for (unsigned change = 1; change < 256; ++change) {
            Bytes changed = context;
            changed[i] = static_cast<std::uint8_t>(changed[i] ^ change);
            const auto decoded = with_context(changed);
            if (!decoded) continue;
            ++survivors;
            const auto again = encode_body(std::get<Issuance>(decoded->body));
            REQUIRE(again);
            REQUIRE(equal(again->context->content(), changed));
        }
    }
    CHECK(survivors > 0);
    for (std::size_t length = 0; length < context.size(); ++length)
        REQUIRE_FALSE(
            with_context(Bytes(context.begin(), context.begin() + static_cast<std::ptrdiff_t>(length))));
    Bytes longer = context;
    longer.push_back(0);
    CHECK_FALSE(with_context(longer));

    Context parsed = *decode_context(context);
    CHECK(encode(parsed) == context);
    Context more = parsed;
    more.token.emplace_back(Field::serial);
    more.token.emplace_back(Literal{});
    CHECK_THAT(with_context(encode(more)).error().text, Catch::Contains("too few literals"));
    Context fewer = parsed;
    REQUIRE(std::holds_alternative<Literal>(fewer.token.back()));
    fewer.token.pop_back();
    CHECK_THAT(with_context(encode(fewer)).error().text, Catch::Contains("too many literals"));
    Context side = parsed;
    side.token.emplace_back(Literal{});
    CHECK_THAT(with_context(encode(side)).error().text, Catch::Contains("side by side"));
    Context empty = parsed;
    empty.token.clear();
    CHECK_THAT(with_context(encode(empty)).error().text, Catch::Contains("no parts"));
    Bytes later = context;
    REQUIRE(later[5] == 1);
    later[5] = 2;
    CHECK_THAT(with_context(later).error().text, Catch::Contains("version 2"));
}

TEST_CASE("every changed bit is refused or gives another canonical record") {
    for (const Record& record : {issuance_record(), proved_record(), event_record()}) {
        const Bytes octets = *encode(record);
        const auto blobs = beside({record});
        int survivors = 0;
        for (std::size_t i = 0; i < octets.size(); ++i) {
            for (unsigned change = 1; change < 256; ++change) {
                Bytes changed = octets;
                changed[i] = static_cast<std::uint8_t>(changed[i] ^ change);
                const auto decoded = read(changed, blobs);
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
            REQUIRE_FALSE(decode_bare(View(octets).first(length)));
        octets.push_back(0);
        REQUIRE_FALSE(decode_bare(octets));
    }
}

TEST_CASE("a record of a later version is refused by name") {
    const Bytes later = der::sequence({der::integer(4), der::integer(0), der::integer(0)});
    const auto decoded = decode_bare(later);
    REQUIRE_FALSE(decoded);
    CHECK_THAT(decoded.error().text, Catch::Contains("version 4"));
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
    refused(with([](Issuance& i) { i.token = {Digest{"1.3.14.3.2.26", 0, 1}}; }), "hash that isn't known");
    for (const auto& [begin, length] : {std::pair(-1, 5), std::pair(0, 0), std::pair(5, -1)})
        refused(with([&](Issuance& i) {
                    i.token = {Digest{"2.16.840.1.101.3.4.2.3", begin, length}};
                }),
                "digest of no octets");
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
