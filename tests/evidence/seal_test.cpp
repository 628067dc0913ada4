// Seals out of a real archive: what was written twice, and what is damaged.
#include "evidence/seal.h"

#include <catch2/catch.hpp>

#include "base/der.h"
#include "store/archive.h"
#include "store/tlog/note.h"
#include "tests/support/folder.h"

using namespace kokuin;
using namespace kokuin::evidence;

namespace {

constexpr auto hash = pki::Hash::sha256;

struct House {
    const testing::Folder folder;
    const std::string dir = folder.path + "/archive";
    const WallTime now = *from_rfc3339("2026-10-05T00:00:00Z");
    std::unique_ptr<store::Archive> archive;
    tlog::TreeHead head;

    House() {
        REQUIRE(store::Archive::create(dir, now, "tsa.example"));
        auto opened = store::Archive::open(dir);
        REQUIRE(opened);
        archive = std::move(*opened);
        for (int i = 0; i < 5; ++i) {
            store::Event event;
            event.kind = "server.started";
            REQUIRE(archive->append(now, event));
        }
        head = archive->head();
    }
    void add(const Entry& entry) { REQUIRE(archive->append(now, entry.event, entry.blobs)); }
    Entry made(const std::string& month, tlog::TreeHead of, const Kinds& kinds = {}) const {
        const auto key =
            tlog::VerifierKey::make(archive->origin(), tlog::VerifierKey::Type::ed25519, Bytes(32, 1));
        REQUIRE(key);
        // Whether it is signed well isn't looked at here.
        const tlog::Note note{tlog::Checkpoint{archive->origin(), of}.text(),
                              {tlog::signature_line(*key, Bytes(64, 2))}};
        return make_seal(month, {0, static_cast<store::RecordNumber>(of.size), 256}, of, note.write(), kinds);
    }
    Seals seals(store::RecordNumber end = 1000) const {
        auto reader = store::ArchiveReader::open(dir);
        REQUIRE(reader);
        auto read = read_seals(**reader, end);
        REQUIRE(read);
        return std::move(*read);
    }
};

Stamped stamped(int day) {
    const WallTime time = *from_rfc3339("2026-11-01T00:00:00Z") + std::chrono::hours(24 * day);
    return {{}, 0, time, "sha256", "CN=Other", time + std::chrono::hours(24 * 365)};
}

Bytes stamp(int index) {
    return der::octets(Bytes(20, static_cast<std::uint8_t>(index)));
}

}  // namespace

TEST_CASE("what a failed write has left all the same is passed over when it was repeated") {
    House house;
    const Grouping grouping{0, 5, 256};
    for (int twice = 0; twice < 2; ++twice) house.add(house.made("2026-09", house.head));
    for (int twice = 0; twice < 2; ++twice)
        house.add(make_stamp("2026-09", 0, grouping, {Bytes(32, 1)}, stamped(twice), hash, stamp(twice)));
    for (int twice = 0; twice < 2; ++twice)
        house.add(make_renewal("2026-09", 0, 1, stamped(10 + twice), hash, stamp(10 + twice)));
    house.add(make_stamp("2026-09", 1, grouping, {Bytes(64, 1)}, stamped(20), pki::Hash::sha512, stamp(20)));

    const auto seals = house.seals();
    CHECK(seals.faulty.empty());
    REQUIRE(seals.good.size() == 1);
    const auto& seal = seals.good.front();
    CHECK(seal.head == house.head);
    REQUIRE(seal.month.layers().size() == 2);
    CHECK(seal.month.layers()[0].stamps == std::vector<Bytes>{stamp(0), stamp(10)});
    CHECK(seal.stamped == stamped(20).time);
    CHECK(seal.until == stamped(20).until);
    CHECK(seals.find("2026-09") == &seal);
    CHECK(seals.find("2026-10") == nullptr);

    // As it was when that many records were there: five events, then these.
    CHECK(house.seals(5).good.empty());
    CHECK(house.seals(6).good.front().month.layers().empty());
    CHECK(house.seals(8).good.front().month.layers().front().stamps.size() == 1);
}

TEST_CASE("a seal that can't be read spoils no other") {
    House house;
    const Grouping grouping{0, 5, 256};
    house.add(house.made("2026-09", house.head));
    auto other = house.head;
    other.root[0] ^= 1U;

    SECTION("the same month over other records") {
        house.add(house.made("2026-09", other));
    }
    SECTION("records that aren't there yet") {
        other.size = 1000;
        house.add(house.made("2026-08", other));
    }
    SECTION("says another root than its checkpoint") {
        auto entry = house.made("2026-08", house.head);
        entry.event.fields["root"] = Bytes(32, 9);
        house.add(entry);
    }
    SECTION("a time-stamp of a month that isn't sealed") {
        house.add(make_stamp("2026-08", 0, grouping, {Bytes(32, 1)}, stamped(0), hash, stamp(0)));
    }
    SECTION("a chain that isn't the next one") {
        house.add(house.made("2026-08", house.head));
        house.add(make_stamp("2026-08", 1, grouping, {Bytes(32, 1)}, stamped(0), hash, stamp(0)));
    }
    SECTION("SHA-1") {
        house.add(house.made("2026-08", house.head));
        house.add(make_stamp("2026-08", 0, grouping, {Bytes(20, 1)}, stamped(0), pki::Hash::sha1, stamp(0)));
    }
    SECTION("groups that aren't as many as the month's") {
        house.add(house.made("2026-08", house.head));
        house.add(make_stamp("2026-08", 0, grouping, {}, stamped(0), hash, stamp(0)));
    }
    SECTION("a field is missing") {
        house.add(house.made("2026-08", house.head));
        auto entry = make_stamp("2026-08", 0, grouping, {Bytes(32, 1)}, stamped(0), hash, stamp(0));
        entry.event.fields.erase("until_us");
        house.add(entry);
    }
    house.add(house.made("2026-10", house.head));
    const auto seals = house.seals();
    REQUIRE(seals.faulty.size() == 1);
    CHECK(seals.faulty.front().second.find("record ") == 0);
    CHECK(seals.find("2026-10") != nullptr);
    CHECK(seals.find(seals.faulty.front().first) == nullptr);
    const auto refused = evidence_of_month(house.dir, seals.faulty.front().first);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().kind == Error::Kind::environment);
    const auto unstamped = evidence_of_month(house.dir, "2026-10");
    REQUIRE_FALSE(unstamped);
    CHECK(unstamped.error().kind == Error::Kind::no);
}
