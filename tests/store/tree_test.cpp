// The tree over the records: of any size and over any number of months it is the one that the records make,
// and what was signed over it holds after every restart.
#include "store/tree_reader.h"

#include <atomic>
#include <thread>

#include <catch2/catch.hpp>

#include "base/sqlite/sqlite.h"
#include "store/archive.h"
#include "tests/store/support.h"

using namespace kokuin;
using namespace kokuin::store;
using namespace kokuin::store::test;

namespace {

constexpr std::int64_t month_us = 31LL * 86'400 * 1'000'000;

Event event(std::uint64_t i) {
    Event made;
    made.kind = "test";
    made.text = "event " + std::to_string(i);
    return made;
}

/// Leaves as they stand in the files, by plain SQL.
std::vector<tlog::Hash> leaves_of(const std::string& dir) {
    std::vector<tlog::Hash> leaves;
    for (const Found& found : all_records(dir)) leaves.push_back(tlog::leaf_hash(*encode(found.record)));
    return leaves;
}

tlog::TreeHead head_of(const std::vector<tlog::Hash>& leaves, std::size_t size) {
    tlog::Growing tree;
    for (std::size_t i = 0; i < size; ++i) tree.add(leaves[i]);
    return tree.head();
}

/// Signed by nobody: the store doesn't ask by whom.
Done add_checkpoint(Archive& archive, const tlog::TreeHead& head) {
    tlog::Note note{tlog::Checkpoint{archive.origin(), head}.text(), {}};
    note.signatures.push_back({archive.origin(), {}, Bytes(64)});
    return archive.add_checkpoint(head, note);
}

void sql(const std::string& path, const std::string& statements) {
    auto database = sqlite::Database::open(path, sqlite::Database::Mode::write);
    REQUIRE(database);
    REQUIRE(database->execute(statements.c_str()));
}

}  // namespace

TEST_CASE("the tree is that of the records, over months and restarts, and so are all proofs") {
    const Folder folder;
    const std::string dir = folder / "a";
    REQUIRE(Archive::create(dir, at(noon)));
    // Months with one record, with some, with more than two levels of tiles can be without.
    const std::size_t months[] = {3, 1, 700, 1, 1, 300, 40};
    std::uint64_t written = 0;
    std::vector<tlog::TreeHead> heads;
    for (std::size_t month = 0; month < std::size(months); ++month) {
        auto archive = Archive::open(dir);
        REQUIRE(archive);
        if (!heads.empty()) CHECK((*archive)->head() == heads.back());
        std::vector<std::thread> threads;
        std::atomic<std::size_t> left = months[month];
        for (int thread = 0; thread < 8; ++thread)
            threads.emplace_back([&] {
                while (left.fetch_sub(1) <= months[month] && left <= months[month]) {
                    if (!(*archive)->append(at(noon + static_cast<std::int64_t>(month) * month_us),
                                            event(left)))
                        std::abort();
                }
            });
        for (auto& thread : threads) thread.join();
        written = static_cast<std::uint64_t>((*archive)->state().next);
        heads.push_back((*archive)->head());
        CHECK(heads.back().size == written);
        REQUIRE(add_checkpoint(**archive, heads.back()));
        CHECK((*archive)->state().covered == written);
    }
    const auto leaves = leaves_of(dir);
    REQUIRE(leaves.size() == written);
    for (const auto& head : heads) CHECK(head == head_of(leaves, head.size));

    auto reader = TreeReader::open(dir);
    REQUIRE(reader);
    for (const std::uint64_t size :
         {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{255}, std::uint64_t{256}, std::uint64_t{257},
          std::uint64_t{512}, std::uint64_t{704}, written - 1, written}) {
        // A reader of its own for each, so that none lives on what another one has made.
        auto own = TreeReader::open(dir);
        const auto head = (*own)->head(size);
        REQUIRE(head);
        CHECK(*head == head_of(leaves, size));
        if (size == 0) continue;
        for (std::uint64_t number = 0; number < size; number += 1 + size / 37) {
            const auto proof = (*reader)->inclusion_proof(number, size);
            REQUIRE(proof);
            CHECK(tlog::verify_inclusion(number, leaves[number], *proof, *head));
        }
        for (std::uint64_t old = 0; old <= size; old += 1 + size / 29) {
            const auto proof = (*reader)->consistency_proof(old, size);
            REQUIRE(proof);
            CHECK(tlog::verify_consistency(head_of(leaves, old), *head, *proof));
        }
    }
    CHECK((*reader)->head(written + 1).error().kind == Error::Kind::usage);
    CHECK((*reader)->inclusion_proof(written, written).error().kind == Error::Kind::usage);
    const auto tile = (*reader)->tile(0, 1, 256);
    REQUIRE(tile);
    for (std::size_t i = 0; i < 256; ++i) CHECK(equal(View(*tile).subspan(32 * i, 32), leaves[256 + i]));
    CHECK((*reader)->tile(0, written / 256, written % 256));
    CHECK_FALSE((*reader)->tile(0, written / 256, written % 256 + 1));
    CHECK((*reader)->tile(1, 0, written / 256));
    CHECK_FALSE((*reader)->tile(6, 1, 1));
    CHECK_FALSE((*reader)->tile(7, 0, 1));
    CHECK_FALSE((*reader)->tile(6, ~std::uint64_t{0}, 1));
}

TEST_CASE("a checkpoint is durable, and a start on other records than it was signed over is refused") {
    const Folder folder;
    const std::string dir = folder / "a";
    REQUIRE(Archive::create(dir, at(noon), "tsa.example/archive"));
    std::string note;
    {
        auto archive = Archive::open(dir);
        REQUIRE(archive);
        CHECK((*archive)->origin().starts_with("tsa.example/archive/"));
        CHECK((*archive)->checkpoint().empty());
        for (std::uint64_t i = 0; i < 300; ++i) REQUIRE((*archive)->append(at(noon), event(i)));
        REQUIRE(add_checkpoint(**archive, (*archive)->head()));
        note = (*archive)->checkpoint();
        CHECK(tlog::Checkpoint::parse(tlog::Note::parse(note)->text)->head == (*archive)->head());
        // An older one afterwards changes nothing.
        REQUIRE(add_checkpoint(**archive, head_of(leaves_of(dir), 299)));
        CHECK((*archive)->checkpoint() == note);
        CHECK((*archive)->state().covered == 300);
    }
    const std::string path = dir + "/2026-11.sqlite";
    const auto refused = [&] {
        const auto archive = Archive::open(dir);
        REQUIRE_FALSE(archive);
        return archive.error().text;
    };
    {
        auto archive = Archive::open(dir);
        REQUIRE(archive);
        CHECK((*archive)->checkpoint() == note);
        CHECK((*archive)->state().covered == 300);
        REQUIRE((*archive)->append(at(noon), event(300)));
    }
    run("cp " + path + " " + path + ".good");
    const auto restore = [&] { run("cp " + path + ".good " + path); };
    sql(path, "DELETE FROM record WHERE number >= 290; DELETE FROM event WHERE number >= 290;");
    CHECK_THAT(refused(),
               Catch::Contains("its checkpoint of size 300 is signed, but the last record is 289"));
    restore();
    sql(path,
        "UPDATE tile SET hashes = CASE substr(hashes, 1, 1) WHEN x'00' THEN x'01' ELSE x'00' END || "
        "substr(hashes, 2)");
    CHECK_THAT(refused(), Catch::Contains("signed over other records"));
    restore();
    sql(path, "UPDATE checkpoint SET note = replace(note, 'tsa', 'tsb')");
    CHECK_THAT(refused(), Catch::Contains("of another log"));
    restore();
    sql(path, "UPDATE checkpoint SET note = 'x'");
    CHECK_THAT(refused(), Catch::Contains("can't be read"));
    restore();
    CHECK(Archive::open(dir));
}

TEST_CASE("a checkpoint of a month that has ended meanwhile is refused, and signed anew") {
    const Folder folder;
    const std::string dir = folder / "a";
    REQUIRE(Archive::create(dir, at(noon)));
    auto archive = Archive::open(dir);
    REQUIRE(archive);
    REQUIRE((*archive)->append(at(noon), event(0)));
    const tlog::TreeHead old = (*archive)->head();
    REQUIRE((*archive)->append(at(noon), event(1)));
    REQUIRE((*archive)->append(at(noon + month_us), event(2)));
    const Done done = add_checkpoint(**archive, old);
    REQUIRE_FALSE(done);
    CHECK(done.error().kind == Error::Kind::no);
    CHECK((*archive)->state().covered == 0);
    REQUIRE(add_checkpoint(**archive, (*archive)->head()));
    CHECK((*archive)->state().covered == 3);
}

TEST_CASE("cosignatures stand under their checkpoint, and the newest one that has some is shown with them") {
    const Folder folder;
    const std::string dir = folder / "a";
    REQUIRE(Archive::create(dir, at(noon)));
    auto archive = Archive::open(dir);
    REQUIRE(archive);
    const auto line = [](const std::string& name, std::uint8_t octet) {
        return tlog::NoteSignature{name, {1, 2, 3, octet}, Bytes(72, octet)};
    };
    const auto witnessed = [&] {
        const auto note = tlog::Note::parse((*archive)->witnessed());
        REQUIRE(note);
        std::vector<std::string> names;
        for (const auto& one : note->signatures) names.push_back(one.name);
        names.push_back(std::to_string(tlog::Checkpoint::parse(note->text)->head.size));
        return names;
    };
    const std::string origin = (*archive)->origin();
    using Names = std::vector<std::string>;
    CHECK((*archive)->witnessed().empty());
    // There is none that it could be under.
    CHECK((*archive)->add_cosignature(1, line("w1", 1)).error().kind == Error::Kind::no);
    for (std::uint64_t i = 0; i < 3; ++i) {
        REQUIRE((*archive)->append(at(noon), event(i)));
        REQUIRE(add_checkpoint(**archive, (*archive)->head()));
    }
    CHECK((*archive)->witnessed().empty());
    REQUIRE((*archive)->add_cosignature(2, line("w1", 1)));
    CHECK(witnessed() == Names{origin, "w1", "2"});
    REQUIRE((*archive)->add_cosignature(2, line("w2", 2)));
    REQUIRE((*archive)->add_cosignature(2, line("w1", 3)));  // the first one stays
    CHECK(witnessed() == Names{origin, "w1", "w2", "2"});
    REQUIRE((*archive)->add_cosignature(1, line("w1", 1)));
    CHECK(witnessed() == Names{origin, "w1", "w2", "2"});
    const std::string before = (*archive)->witnessed();
    archive->reset();
    archive = Archive::open(dir);
    REQUIRE(archive);
    CHECK((*archive)->witnessed() == before);
    REQUIRE((*archive)->add_cosignature(3, line("w2", 4)));
    CHECK(witnessed() == Names{origin, "w2", "3"});

    const auto reader = ArchiveReader::open(dir);
    CHECK((*reader)->latest_witnessed().value()->size == 3);
    CHECK((*reader)->latest_witnessed("w1").value()->size == 2);
    CHECK_FALSE((*reader)->latest_witnessed("w3").value());
    // A month later the finished segment gets no more; what it has is still shown.
    REQUIRE((*archive)->append(at(noon + month_us), event(3)));
    CHECK((*archive)->add_cosignature(3, line("w1", 5)).error().kind == Error::Kind::no);
    archive->reset();
    archive = Archive::open(dir);
    CHECK(witnessed() == Names{origin, "w2", "3"});
    CHECK((*archive)->state().kind == ArchiveState::Kind::ready);
}

TEST_CASE("a name that no log can have is refused before anything is made") {
    const Folder folder;
    const Done done = Archive::create(folder / "a", at(noon), "a name");
    REQUIRE_FALSE(done);
    CHECK(done.error().kind == Error::Kind::usage);
}
