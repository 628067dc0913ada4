#include "store/archive.h"

#include <unistd.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <filesystem>
#include <mutex>
#include <optional>
#include <set>
#include <stdexcept>
#include <thread>

#include "store/segment.h"
#include "tests/store/support.h"

using namespace kokuin;
using namespace kokuin::store;
using namespace kokuin::store::test;
namespace fs = std::filesystem;

namespace {

constexpr std::int64_t second = 1'000'000;

template <typename T>
T must(Result<T> got) {
    if (!got) FAIL(got.error().text);
    return std::move(*got);
}

Event event(const std::string& kind, const std::string& subject, const std::string& text) {
    Event made;
    made.kind = kind;
    made.subject = subject;
    made.text = text;
    return made;
}

std::vector<RecordNumber> numbers(const std::string& dir, const Query& query) {
    std::vector<RecordNumber> found;
    auto reader = ArchiveReader::open(dir);
    REQUIRE(reader);
    REQUIRE((*reader)->find(query, [&](const Found& one) {
        found.push_back(one.record.number);
        return true;
    }));
    return found;
}

}  // namespace

TEST_CASE("an archive is made once and never invented") {
    const Folder folder;
    const std::string dir = folder / "archive";
    const auto missing = Archive::open(dir);
    REQUIRE_FALSE(missing);
    CHECK(missing.error().kind == Error::Kind::usage);
    CHECK_THAT(missing.error().text, Catch::Contains(dir + ": ") && Catch::Contains("archive init"));
    CHECK_FALSE(fs::exists(dir));
    CHECK_FALSE(ArchiveReader::open(dir));

    REQUIRE(Archive::create(dir, at(noon)));
    const auto again = Archive::create(dir, at(noon));
    REQUIRE_FALSE(again);
    CHECK(again.error().kind == Error::Kind::usage);
    CHECK(fs::exists(dir + "/2026-11.sqlite"));
    REQUIRE(Archive::open(dir));
    CHECK(Archive::create(folder / "no/parent", at(noon)).error().kind == Error::Kind::environment);
}

TEST_CASE("a second writer is told who the first one is") {
    const Folder folder;
    const auto first = fresh_archive(folder / "a");
    const auto second_one = Archive::open(folder / "a");
    REQUIRE_FALSE(second_one);
    CHECK(second_one.error().kind == Error::Kind::environment);
    CHECK_THAT(second_one.error().text, Catch::Contains("process " + std::to_string(::getpid())));
}

TEST_CASE("what is appended is found by serial, imprint, time and policy, and its token is whole") {
    const Folder folder;
    const std::string dir = folder / "a";
    std::vector<Sample> samples;
    {
        const auto archive = fresh_archive(dir);
        for (std::uint64_t i = 0; i < 600; ++i) {
            samples.push_back(sample(i, noon + static_cast<std::int64_t>(i) * second));
            CHECK(must(archive->append(at(samples.back().issuance.gen_time_us), samples.back().issuance,
                                       samples.back().blobs)) == static_cast<RecordNumber>(i));
        }
        CHECK(archive->state().records == 600);
    }
    CHECK_FALSE(fs::exists(dir + "/2026-11.sqlite-wal"));
    auto reader = ArchiveReader::open(dir);
    REQUIRE(reader);
    for (const std::size_t i : {0U, 5U, 299U, 599U}) {
        const Issuance& issuance = samples[i].issuance;
        Bytes padded{0, 0};
        append(padded, issuance.serial);
        const auto shown = (*reader)->show(padded);
        REQUIRE(shown);
        CHECK(shown->token == samples[i].token);
        CHECK(shown->found.issuance() == issuance);
        CHECK(shown->found.segment == "2026-11");
        CHECK(equal(shown->certificate, common_blobs()[0].content()));
        CHECK(equal(*shown->tac, common_blobs()[2].content()));

        Query query;
        query.imprint = issuance.imprint;
        CHECK(numbers(dir, query) == std::vector<RecordNumber>{static_cast<RecordNumber>(i)});
        query.policy = i % 2 == 0 ? "1.3.6.1.4.1.1291.1.1.1.2" : "1.3.6.1.4.1.1291.1.1.1.1";
        CHECK(numbers(dir, query).empty());
    }
    Query window;
    window.from = at(noon + 10 * second);
    window.to = at(noon + 20 * second);
    CHECK(numbers(dir, window) == std::vector<RecordNumber>{10, 11, 12, 13, 14, 15, 16, 17, 18, 19});
    window.policy = "1.3.6.1.4.1.1291.1.1.1.1";
    CHECK(numbers(dir, window) == std::vector<RecordNumber>{10, 12, 14, 16, 18});
    CHECK(numbers(dir, {}).size() == 600);

    const auto missing = (*reader)->show(Bytes{1, 2, 3});
    REQUIRE_FALSE(missing);
    CHECK(missing.error().kind == Error::Kind::no);
    // A visitor ends the search.
    int visited = 0;
    REQUIRE((*reader)->find({}, [&](const Found&) { return ++visited < 300; }));
    CHECK(visited == 300);
}

TEST_CASE("the same imprint may be stamped many times") {
    const Folder folder;
    const auto archive = fresh_archive(folder / "a");
    std::vector<RecordNumber> expected;
    for (std::uint64_t i = 0; i < 700; ++i) {
        Sample made = sample(i, noon);
        made.issuance.imprint = noise(99, 32);
        expected.push_back(must(archive->append(at(noon), made.issuance, made.blobs)));
    }
    Query query;
    query.imprint = noise(99, 32);
    CHECK(numbers(folder / "a", query) == expected);
}

TEST_CASE("events are kept with their blobs, and the last one of a kind is found after a restart") {
    const Folder folder;
    const Blob tac(noise(5, 500));
    Event accepted = event("tac.accepted", "tsu1", "offset 0");
    accepted.fields["serial"] = Bytes{1, 2};
    accepted.blobs = {tac.id()};
    {
        const auto archive = fresh_archive(folder / "a");
        CHECK_FALSE(archive->append(at(noon), accepted));  // its blob didn't come with it
        REQUIRE(archive->append(at(noon), accepted, {tac}));
        REQUIRE(archive->append(at(noon), event("tac.accepted", "tsu2", "other")));
        accepted.text = "second";
        REQUIRE(archive->append(at(december), accepted, {tac}));
        REQUIRE(archive->append(at(december), event("gate.opened", "tsu1", "")));
    }
    auto archive = Archive::open(folder / "a");
    REQUIRE(archive);
    const auto latest = (*archive)->latest_event("tac.accepted", "tsu1");
    REQUIRE(latest);
    REQUIRE(*latest);
    CHECK(std::get<Event>((*latest)->body) == accepted);
    CHECK((*latest)->salt);
    CHECK(std::get<Event>((**(*archive)->latest_event("tac.accepted", "tsu2")).body).text == "other");
    CHECK_FALSE(*(*archive)->latest_event("tac.stop", "tsu1"));
    const auto content = (*archive)->blob(tac.id());
    REQUIRE(content);
    CHECK(equal(*content, tac.content()));
    CHECK((*archive)->blob(blob_id(Bytes{9})).error().kind == Error::Kind::no);

    auto reader = ArchiveReader::open(folder / "a");
    EventQuery query;
    query.kind = "tac.accepted";
    std::vector<std::string> texts;
    REQUIRE((*reader)->events(query, [&](const Found& found) {
        texts.push_back(found.event().text);
        return true;
    }));
    CHECK(texts == std::vector<std::string>{"offset 0", "other", "second"});
    query = {};
    query.from = at(december);
    int later = 0;
    REQUIRE((*reader)->events(query, [&](const Found&) { return ++later > 0; }));
    CHECK(later == 2);
    // Two salts are never the same.
    CHECK((*reader)->record(0)->record.salt != (*reader)->record(1)->record.salt);
}

TEST_CASE("a new month begins a new segment that stands alone; no month goes back") {
    const Folder folder;
    const std::string dir = folder / "a";
    Sample november = sample(1, december - 1);
    Sample first = sample(2, december);
    Sample late = sample(3, december - 5);  // a neighbour that waited longer
    {
        const auto archive = fresh_archive(dir);
        CHECK(must(archive->append(at(december - 1), november.issuance, november.blobs)) == 0);
        CHECK(must(archive->append(at(december), first.issuance, first.blobs)) == 1);
        CHECK(must(archive->append(at(december - 5), late.issuance, late.blobs)) == 2);
        CHECK(archive->state().segment == "2026-12.sqlite");
        // Across a year, and several months skipped.
        CHECK(must(archive->append(at(december + 120 * 86400 * second), event("server.started", "", ""))) ==
              3);
        CHECK(archive->state().segment == "2027-03.sqlite");
    }
    {
        const auto reader = ArchiveReader::open(dir);
        CHECK(*(*reader)->segments() == std::vector<std::string>{"2026-11", "2026-12", "2027-03"});
        CHECK((*reader)->show(november.issuance.serial)->found.segment == "2026-11");
        CHECK((*reader)->show(late.issuance.serial)->found.segment == "2026-12");
        CHECK(all_records(dir).size() == 4);
    }

    // The finished ones are plain files, and each is enough alone. (An open reader would keep a log alive.)
    {
        const auto archive = Archive::open(dir);
        REQUIRE(archive);
        // Done in the background; what we wait for is the file, not the time.
        for (const char* name : {"2026-11", "2026-12"})
            for (int i = 0; i < 500 && fs::exists(segment_path(dir, name) + "-wal"); ++i) ::usleep(10'000);
    }
    for (const char* name : {"2026-11", "2026-12"}) {
        const std::string path = segment_path(dir, name);
        CHECK_FALSE(fs::exists(path + "-wal"));
        fs::create_directory(folder / name);
        fs::copy(path, (folder / name) + "/" + name + ".sqlite");
    }
    auto alone = ArchiveReader::open(folder / "2026-12");
    REQUIRE(alone);
    const auto shown = (*alone)->show(first.issuance.serial);
    REQUIRE(shown);
    CHECK(shown->token == first.token);
}

TEST_CASE("finished segments lose their log also when a reader stood in the way") {
    const Folder folder;
    const std::string dir = folder / "a";
    {
        const auto archive = fresh_archive(dir);
        REQUIRE(archive->append(at(noon), event("a", "", "")));
        auto reader = sqlite::Database::open(segment_path(dir, "2026-11"), sqlite::Database::Mode::read);
        REQUIRE(reader);
        REQUIRE(reader->execute("BEGIN; SELECT * FROM record;"));
        REQUIRE(archive->append(at(december), event("b", "", "")));
        REQUIRE(archive->append(at(december), event("c", "", "")));
    }
    {
        const auto archive = Archive::open(dir);
        REQUIRE(archive);
        // Done in the background; what we wait for is the file, not the time.
        for (int i = 0; i < 500 && fs::exists(segment_path(dir, "2026-11") + "-wal"); ++i) ::usleep(10'000);
        CHECK_FALSE(fs::exists(segment_path(dir, "2026-11") + "-wal"));
    }
    auto database = sqlite::Database::open(segment_path(dir, "2026-11"), sqlite::Database::Mode::read);
    CHECK(*database->text("PRAGMA journal_mode") == "delete");
}

TEST_CASE("a record waits for those that are announced, so that they share a commit") {
    const Folder folder;
    const std::string dir = folder / "a";
    REQUIRE(Archive::create(dir, at(noon)));
    ArchiveOptions options;
    options.company = std::chrono::hours(1);  // never by the time
    const auto archive = must(Archive::open(dir, options));
    std::vector<Sample> made;
    for (std::uint64_t i = 0; i < 9; ++i) made.push_back(sample(i, noon));
    std::mutex mutex;
    std::vector<RecordNumber> told;
    const auto append = [&](std::size_t index) {
        archive->append(at(noon), made[index].issuance, made[index].blobs,
                        [&](const Result<RecordNumber>& got) {
                            const std::lock_guard lock(mutex);
                            told.push_back(got ? *got : -1);
                        });
    };
    const auto told_so_far = [&] {
        const std::lock_guard lock(mutex);
        return told.size();
    };
    const auto wait_for = [&](std::size_t count) {
        while (told_so_far() < count) std::this_thread::yield();
    };

    // Nothing announced: at once.
    append(0);
    wait_for(1);
    CHECK(archive->state().groups == 1);

    // Two are on their way: three wait, the fourth is enough.
    {
        const auto one = archive->announce();
        const auto two = archive->announce();
        append(1);
        append(2);
        append(3);
        CHECK(told_so_far() == 1);
        append(4);
        wait_for(5);
        CHECK(archive->state().groups == 2);
    }

    // Those that were announced come to nothing.
    {
        auto one = std::make_optional(archive->announce());
        auto two = std::make_optional(archive->announce());
        auto three = std::make_optional(archive->announce());
        append(5);
        append(6);
        one.reset();
        CHECK(told_so_far() == 5);
        two.reset();
        wait_for(7);
        CHECK(archive->state().groups == 3);
    }
    // The end of an archive waits for nobody.
    {
        const auto one = archive->announce();
        append(7);
        CHECK(told_so_far() == 7);
    }
    wait_for(8);
    CHECK(told == std::vector<RecordNumber>{0, 1, 2, 3, 4, 5, 6, 7});

    // Refused at once: on this thread.
    const std::vector<Blob> none;
    Result<RecordNumber> refused(0);
    archive->append(at(noon), made[8].issuance, none,
                    [&](const Result<RecordNumber>& got) { refused = got; });
    REQUIRE_FALSE(refused);
    CHECK(refused.error().kind == Error::Kind::usage);
}

TEST_CASE("no record waits for company for longer than it may") {
    const Folder folder;
    const auto archive = fresh_archive(folder / "a");
    const auto never = archive->announce();
    const Sample made = sample(1, noon);
    CHECK(must(archive->append(at(noon), made.issuance, made.blobs)) == 0);
}

TEST_CASE("a caller that throws at its outcome doesn't end the archive") {
    const Folder folder;
    const auto archive = fresh_archive(folder / "a");
    const Sample made = sample(1, noon);
    archive->append(at(noon), made.issuance, made.blobs,
                    [](const Result<RecordNumber>&) { throw std::runtime_error("a defect"); });
    CHECK(must(archive->append(at(noon), made.issuance, made.blobs)) == 1);
}

TEST_CASE("many threads append, readers read meanwhile, and nobody sees half of anything") {
    const Folder folder;
    const std::string dir = folder / "a";
    const auto archive = fresh_archive(dir);
    constexpr int writers = 8;
    constexpr int each = 150;
    std::atomic<int> failures{0};
    std::atomic<int> done{0};
    std::vector<std::vector<RecordNumber>> got(writers);
    std::vector<std::thread> threads;
    for (int w = 0; w < writers; ++w) {
        threads.emplace_back([&, w] {
            for (int i = 0; i < each; ++i) {
                // The month changes in the middle.
                const std::int64_t time = i < each / 2 ? noon + i : december + i;
                const Sample made = sample(static_cast<std::uint64_t>(w * 1000 + i), time);
                const auto number = archive->append(at(time), made.issuance, made.blobs);
                if (number) {
                    got[static_cast<std::size_t>(w)].push_back(*number);
                } else {
                    ++failures;
                }
            }
            ++done;
        });
    }
    int rounds = 0;
    while (done < writers) {
        auto reader = ArchiveReader::open(dir);
        REQUIRE(reader);
        RecordNumber expected = 0;
        const auto found =
            (*reader)->find({}, [&](const Found& one) { return one.record.number == expected++; });
        REQUIRE(found);
        if (expected > 0) {
            const auto last = (*reader)->record(expected - 1);
            REQUIRE(last);
            REQUIRE((*reader)->show(last->issuance().serial));
        }
        ++rounds;
    }
    for (auto& thread : threads) thread.join();
    CHECK(rounds > 0);
    CHECK(failures == 0);
    std::set<RecordNumber> all;
    for (const auto& one : got) {
        CHECK(std::is_sorted(one.begin(), one.end()));
        all.insert(one.begin(), one.end());
    }
    CHECK(all.size() == writers * each);
    CHECK(*all.rbegin() == writers * each - 1);
    CHECK(all_records(dir).size() == writers * each);
    CHECK(archive->state().groups <= writers * each);
}

TEST_CASE("damage at the end of the archive is found at the start") {
    const Folder folder;
    const std::string dir = folder / "a";
    {
        const auto archive = fresh_archive(dir);
        for (std::uint64_t i = 0; i < 5; ++i) {
            const Sample made = sample(i, noon);
            REQUIRE(archive->append(at(noon), made.issuance, made.blobs));
        }
        REQUIRE(archive->append(at(noon), event("a", "b", "")));
    }
    const auto damage = [&](const char* sql) {
        const std::string copy = folder / "copy";
        fs::remove_all(copy);
        fs::copy(dir, copy);
        {
            auto database =
                sqlite::Database::open(segment_path(copy, "2026-11"), sqlite::Database::Mode::write);
            REQUIRE(database);
            const auto done = database->execute(sql);
            if (!done) FAIL(done.error().text);
        }
        const auto opened = Archive::open(copy);
        if (opened) return std::string("opened");
        CHECK(opened.error().kind == Error::Kind::environment);
        return opened.error().text;
    };
    CHECK_THAT(damage("DELETE FROM record WHERE number = 2"), Catch::Contains("record 2 is missing"));
    CHECK_THAT(damage("DELETE FROM by_imprint WHERE number = 3"), Catch::Contains("index lacks record 3"));
    CHECK_THAT(damage("DELETE FROM event"), Catch::Contains("index lacks record 5"));
    CHECK_THAT(damage("UPDATE record SET der = (SELECT der FROM record WHERE number = 1) WHERE number = 2"),
               Catch::Contains("number of another"));
    CHECK_THAT(damage("UPDATE record SET der = x'3000' WHERE number = 4"), Catch::Contains("record 4"));
    CHECK_THAT(damage("DELETE FROM record WHERE number = 5"), Catch::Contains("index names records"));
    const std::string of_context = " WHERE length(content) < 300 AND instr(content, 'tsu1') > 0";
    CHECK_THAT(damage(("DELETE FROM blob" + of_context).c_str()), Catch::Contains("its context, the blob"));
    CHECK_THAT(damage(("UPDATE blob SET content = x'30'" + of_context).c_str()),
               Catch::Contains("another SHA-256"));
    CHECK_THAT(damage("PRAGMA user_version = 3"), Catch::Contains("format 3"));
    CHECK_THAT(damage("PRAGMA application_id = 5"), Catch::Contains("no segment of a Kokuin archive"));
    CHECK(damage("SELECT 1") == "opened");
}

TEST_CASE("a blob with another content than its name is never used") {
    const Folder folder;
    const std::string dir = folder / "a";
    const Sample made = sample(1, noon);
    {
        const auto archive = fresh_archive(dir);
        REQUIRE(archive->append(at(noon), made.issuance, made.blobs));
    }
    std::vector<BlobId> ids = blobs_of(made.issuance);
    ids.push_back(encode_body(made.issuance)->context->id());
    for (const BlobId& id : ids) {
        auto database = sqlite::Database::open(segment_path(dir, "2026-11"), sqlite::Database::Mode::write);
        const std::string one = " WHERE id = x'" + to_hex(id) + "'";
        const auto good = database->text("SELECT hex(content) FROM blob" + one);
        REQUIRE(good);
        REQUIRE(database->execute(("UPDATE blob SET content = x'00'" + one).c_str()));
        const auto shown = (*ArchiveReader::open(dir))->show(made.issuance.serial);
        REQUIRE_FALSE(shown);
        CHECK(shown.error().kind == Error::Kind::environment);
        CHECK_THAT(shown.error().text, Catch::Contains("another SHA-256") && Catch::Contains(to_hex(id)));
        REQUIRE(database->execute(("UPDATE blob SET content = x'" + *good + "'" + one).c_str()));
        CHECK((*ArchiveReader::open(dir))->show(made.issuance.serial));
    }
}

TEST_CASE("the segments' seam is checked at the start") {
    const Folder folder;
    const std::string dir = folder / "a";
    {
        const auto archive = fresh_archive(dir);
        REQUIRE(archive->append(at(noon), event("a", "", "")));
        REQUIRE(archive->append(at(noon), event("b", "", "")));
        REQUIRE(archive->append(at(december), event("c", "", "")));
    }
    {
        auto database = sqlite::Database::open(segment_path(dir, "2026-11"), sqlite::Database::Mode::write);
        REQUIRE(database->execute("DELETE FROM record WHERE number = 1; DELETE FROM event WHERE number = 1"));
    }
    const auto opened = Archive::open(dir);
    REQUIRE_FALSE(opened);
    CHECK_THAT(opened.error().text, Catch::Contains("2026-12 begins with 2"));
}
