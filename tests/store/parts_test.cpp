#include "store/parts.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <limits>
#include <random>

#include "tests/store/support.h"

using namespace kokuin;
using namespace kokuin::store;
using namespace kokuin::store::test;

namespace {

const std::string sha256 = "2.16.840.1.101.3.4.2.1";

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
    CHECK(std::count_if(parts.begin(), parts.end(),
                        [](const Part& part) { return std::holds_alternative<Digest>(part); }) == 1);
    const auto joined = join(parts, source_of(made.blobs), made.issuance.imprint, made.issuance.serial);
    REQUIRE(joined);
    CHECK(*joined == made.token);
}

TEST_CASE("join(split(t)) is t for whatever octets") {
    std::mt19937 generator(1);
    std::ptrdiff_t digests = 0;
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
        // Of octets that are there or not, in front of their digest or behind it, or around it.
        const auto place = [&] { return static_cast<std::int64_t>(pick(token.size() + 2)) - 1; };
        Digest digest{sha256, place(), place()};
        if (round % 2 == 0 && digest.begin >= 0 && digest.length > 0 &&
            digest.begin + digest.length <= static_cast<std::int64_t>(token.size())) {
            const auto made = blob_id(View(token).subspan(static_cast<std::size_t>(digest.begin),
                                                          static_cast<std::size_t>(digest.length)));
            append(token, made);
            append(token, Bytes(pick(1) == 0 ? 0 : 3, 1));
            if (pick(3) == 0) token.insert(token.begin(), made.begin(), made.end());
        }
        const Parts parts = split(token, blobs, imprint, serial, digest);
        digests += std::count_if(parts.begin(), parts.end(),
                                 [](const Part& part) { return std::holds_alternative<Digest>(part); });
        const auto joined = join(parts, source_of(blobs), imprint, serial);
        REQUIRE(joined);
        REQUIRE(*joined == token);
    }
    CHECK(digests > 300);
}

TEST_CASE("a digest is computed from what comes before it, or is an error") {
    const Bytes head = noise(5, 60);
    const auto rebuilt = [&](const Digest& digest) {
        return join({Literal{head}, digest, Literal{{1}}}, source_of({}), {}, {});
    };
    const auto good = rebuilt({sha256, 10, 50});
    REQUIRE(good);
    Bytes expected = head;
    append(expected, blob_id(View(head).subspan(10)));
    expected.push_back(1);
    CHECK(*good == expected);
    // Nothing is known of them but that split() has found them in the token.
    CHECK(split(*good, {}, {}, {}, Digest{sha256, 10, 50}) ==
          Parts{Literal{head}, Digest{sha256, 10, 50}, Literal{{1}}});
    CHECK(split(*good, {}, {}, {}, Digest{sha256, 10, 49}) == Parts{Literal{*good}});
    constexpr auto most = std::numeric_limits<std::int64_t>::max();
    for (const Digest& wrong :
         {Digest{sha256, 10, 51}, Digest{sha256, 61, 1}, Digest{sha256, -1, 5}, Digest{sha256, 0, 0},
          Digest{sha256, 5, most}, Digest{sha256, most, most}, Digest{"1.3.14.3.2.26", 0, 5}}) {
        const auto refused = rebuilt(wrong);
        REQUIRE_FALSE(refused);
        CHECK_THAT(refused.error().text, Catch::Contains("digest of octets that don't come before it"));
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
