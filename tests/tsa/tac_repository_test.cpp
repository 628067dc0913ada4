// Any TAC that was ever accepted is found again, over months and restarts (TSA-10).
#include "tsa/tac_repository.h"

#include <catch2/catch.hpp>
#include <chrono>
#include <iostream>

#include "tests/hsm/opened.h"
#include "tests/tac/town.h"

using namespace kokuin;
using hsm::must;

namespace {

/// An archive with TACs in it: the same one each time but for its serial number.
struct Shelf {
    const workshop::Folder folder;
    const std::string dir = folder.at("archive");
    const WallTime start = town::in_an_hour();
    town::Audit audit;
    std::unique_ptr<store::Archive> archive;

    Shelf() {
        must(store::Archive::create(dir, start));
        open();
    }
    void open() {
        archive.reset();
        archive = must(store::Archive::open(dir));
    }
    Bytes tac(Bytes serial) {
        audit.tac.serial = std::move(serial);
        return audit.der();
    }
    store::BlobId keep(const Bytes& der, nanoseconds later = {}) {
        const store::Blob blob(der);
        store::Event event;
        event.kind = tsa::accepted_kind;
        event.subject = "tsu-1";
        for (auto& [key, value] : tac::Delivered{der, {}, audit.exchange}.to_fields())
            event.fields.emplace(key, value);
        event.blobs.push_back(blob.id());
        must(archive->append(start + later, event, {blob}));
        return blob.id();
    }
};

/// Asks until all has been read.
Result<std::optional<Bytes>> find(const tsa::TacRepository& tacs, std::string_view serial) {
    for (const auto end = std::chrono::steady_clock::now() + seconds(60);;) {
        auto found = tacs.find(serial);
        if (found || std::chrono::steady_clock::now() > end) return found;
        std::this_thread::sleep_for(milliseconds(1));
    }
}

Bytes found(const tsa::TacRepository& tacs, std::string_view serial) {
    auto der = must(find(tacs, serial));
    INFO(serial);
    REQUIRE(der);
    return *der;
}

}  // namespace

TEST_CASE("a TAC is found by its serial number, however that is written") {
    Shelf shelf;
    const Bytes der = shelf.tac({0x0a, 0xbc, 0xde});
    shelf.keep(der);
    tsa::TacRepository tacs(*shelf.archive);
    tacs.start();
    for (const auto* serial :
         {"abcde", "0abcde", "ABCDE", "aBcDe", "0000000000000000000000000000000000000abcde"})
        CHECK(found(tacs, serial) == der);
    for (const auto* serial :
         {"", "0", "abcd", "abcdef", "abcde0", "-abcde", "0xabcde", "abcde ", "abcdg", "..", "%61bcde"})
        CHECK(must(find(tacs, serial)) == std::nullopt);
    CHECK(must(find(tacs, std::string(100'000, 'a'))) == std::nullopt);
}

TEST_CASE("TACs of all months are found after a restart, and new ones at once") {
    Shelf shelf;
    std::vector<Bytes> ders;
    for (std::uint8_t i = 1; i <= 6; ++i) {
        ders.push_back(shelf.tac({i}));
        shelf.keep(ders.back(), std::chrono::hours(24 * 31) * (i / 2));
    }
    shelf.open();
    tsa::TacRepository tacs(*shelf.archive);
    // Nobody is told that there is none before all has been read.
    CHECK_FALSE(tacs.find("1"));
    tacs.start();
    for (std::uint8_t i = 1; i <= 6; ++i) CHECK(found(tacs, "0" + std::to_string(i)) == ders[i - 1]);
    CHECK(must(find(tacs, "7")) == std::nullopt);

    const Bytes next = shelf.tac({7});
    tacs.add("7", shelf.keep(next));
    CHECK(must(tacs.find("7")) == next);
    tacs.stop();
    CHECK(must(tacs.find("7")) == next);
    CHECK(must(tacs.find("1")) == ders[0]);
}

TEST_CASE("a serial number used twice is the TAC accepted last") {
    Shelf shelf;
    const Bytes first = shelf.tac({5});
    shelf.keep(first);
    shelf.audit.tac.delay += microseconds(1);
    const Bytes second = shelf.tac({5});
    shelf.keep(second, std::chrono::hours(24 * 31));
    tsa::TacRepository tacs(*shelf.archive);
    tacs.start();
    // Known not to be there: all of earlier runs has been read.
    CHECK(must(find(tacs, "7")) == std::nullopt);
    CHECK(found(tacs, "5") == second);
    shelf.audit.tac.delay += microseconds(1);
    const Bytes third = shelf.tac({5});
    tacs.add("5", shelf.keep(third));
    CHECK(found(tacs, "5") == third);
}

TEST_CASE("ten years of TACs", "[.speed]") {
    Shelf shelf;
    constexpr int months = 120;
    constexpr int a_month = 833;
    Bytes serial(16, 0x11);
    const Bytes der = shelf.tac(serial);
    for (int i = 0; i < months * a_month; ++i) {
        // Unsigned copies: only the serial number differs.
        Bytes next = serial;
        for (std::size_t at = 0; at < 4; ++at) next[15 - at] = static_cast<std::uint8_t>(i >> (8 * at));
        shelf.keep(town::replaced(der, View(serial), View(next)),
                   std::chrono::hours(24 * 31) * (i / a_month));
    }
    const auto ms = [](auto since) {
        return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - since).count();
    };
    tsa::TacRepository tacs(*shelf.archive);
    auto begin = std::chrono::steady_clock::now();
    tacs.start();
    std::cout << "start() returns after " << ms(begin) << " ms\n";
    CHECK(must(find(tacs, "1")) == std::nullopt);
    std::cout << "all " << months * a_month << " known after " << ms(begin) << " ms\n";
    for (const auto* which : {"11111111111111111111111100000000", "11111111111111111111111100001000"}) {
        begin = std::chrono::steady_clock::now();
        for (int i = 0; i < 100; ++i) (void)found(tacs, which);
        std::cout << "one answer takes " << ms(begin) / 100 << " ms\n";
    }
}
