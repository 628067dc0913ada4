#include "store/parts.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <random>

#include "tests/store/support.h"

using namespace kokuin;
using namespace kokuin::store;
using namespace kokuin::store::test;

namespace {

BlobSource source_of(const std::vector<Blob>& blobs) {
    return [&blobs](const BlobId& id) -> std::optional<Bytes> {
        for (const Blob& blob : blobs)
            if (blob.id() == id) return Bytes(blob.content().begin(), blob.content().end());
        return std::nullopt;
    };
}

}  // namespace

TEST_CASE("blob names are SHA-256") {
    CHECK(to_hex(blob_id(as_view("abc"))) ==
          "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    CHECK(Blob(Bytes{'a', 'b', 'c'}).id() == blob_id(as_view("abc")));
}

TEST_CASE("a token is cut at what is known, and joined again") {
    const Sample made = sample(3, noon);
    const Parts& parts = made.issuance.token;
    const auto references = std::count_if(parts.begin(), parts.end(), [](const Part& part) {
        return std::holds_alternative<BlobReference>(part);
    });
    CHECK(references == 3);
    CHECK(std::count(parts.begin(), parts.end(), Part(Field::imprint)) == 1);
    CHECK(std::count(parts.begin(), parts.end(), Part(Field::serial)) == 1);
    const auto joined = join(parts, source_of(made.blobs), made.issuance.imprint, made.issuance.serial);
    REQUIRE(joined);
    CHECK(*joined == made.token);
}

TEST_CASE("join(split(t)) is t for whatever octets") {
    std::mt19937 generator(1);
    for (int round = 0; round < 2000; ++round) {
        // A small alphabet and many pieces, so that everything overlaps with everything.
        const auto pick = [&](std::size_t most) {
            return static_cast<std::size_t>(generator() % (most + 1));
        };
        const auto octets = [&](std::size_t size) {
            Bytes result(size);
            for (auto& octet : result) octet = static_cast<std::uint8_t>(generator() % 2);
            return result;
        };
        std::vector<Blob> blobs;
        Bytes token = octets(pick(30));
        const Bytes imprint = octets(pick(12));
        const Bytes serial = octets(pick(12));
        for (std::size_t i = pick(5); i > 0; --i) {
            const Bytes content = round % 3 == 0 ? Bytes(pick(90), 1) : octets(pick(90));
            blobs.emplace_back(content);
            for (std::size_t k = pick(2); k > 0; --k) append(token, content);
            append(token, octets(pick(9)));
            if (pick(1) == 0) append(token, imprint);
            if (pick(1) == 0) append(token, serial);
        }
        const Parts parts = split(token, blobs, imprint, serial);
        const auto joined = join(parts, source_of(blobs), imprint, serial);
        REQUIRE(joined);
        REQUIRE(*joined == token);
    }
}

TEST_CASE("the longer of two nested blobs wins, in any order") {
    const Bytes outer = noise(1, 300);
    const Blob large{Bytes(outer)};
    const Blob small{Bytes(outer.begin() + 100, outer.begin() + 200)};
    for (const auto& known : {std::vector<Blob>{large, small}, std::vector<Blob>{small, large}})
        CHECK(split(outer, known, {}, {}) == Parts{BlobReference{large.id()}});
}

TEST_CASE("a missing blob is named") {
    const Sample made = sample(3, noon);
    const auto joined = join(
        made.issuance.token, [](const BlobId&) { return std::nullopt; }, made.issuance.imprint,
        made.issuance.serial);
    REQUIRE_FALSE(joined);
    CHECK(joined.error().kind == Error::Kind::environment);
    CHECK_THAT(joined.error().text, Catch::Contains(to_hex(common_blobs()[0].id())));
}
