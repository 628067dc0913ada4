// A second place and backups: the same archive once more, at any moment a state that it had.
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <catch2/catch.hpp>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <mutex>
#include <thread>

#include "store/archive.h"
#include "store/backup.h"
#include "store/segment.h"
#include "store/tlog/note.h"
#include "tests/store/failing_vfs.h"
#include "tests/store/support.h"

using namespace kokuin;
using namespace kokuin::store;
using namespace kokuin::store::test;
namespace fs = std::filesystem;

namespace {

constexpr std::int64_t january = 1798761600'000000;

/// All that the segments of an archive hold, as SQLite's own program writes it down.
std::string contents(const std::string& dir) {
    std::string all;
    const auto names = list_segments(dir);
    REQUIRE(names);
    for (const std::string& name : *names) {
        const Ran dump = run("sqlite3 -readonly '" + segment_path(dir, name) + "' .dump");
        REQUIRE(dump.code == 0);
        all += name + "\n" + dump.output;
    }
    return all;
}

std::unique_ptr<Archive> open_with_copy(const std::string& dir, const std::string& copy, bool waits = false) {
    ArchiveOptions options;
    options.copy = CopySettings{copy, waits};
    auto archive = Archive::open(dir, std::move(options));
    if (!archive) FAIL(archive.error().text);
    return std::move(*archive);
}

std::unique_ptr<Archive> opened(const std::string& dir) {
    auto archive = Archive::open(dir);
    if (!archive) FAIL(archive.error().text);
    return std::move(*archive);
}

/// Waits until the copy does so; it must, for the archive says that it tries by itself.
CopyState copy_is(const Archive& archive, CopyState::Kind kind, RecordNumber least = 0) {
    const auto patience = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (true) {
        const CopyState state = *archive.copy();
        if (state.kind == kind && state.next >= least) return state;
        if (std::chrono::steady_clock::now() > patience)
            FAIL("the copy: " << state.text << " " << state.next);
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
}

Result<RecordNumber> append(Archive& archive, std::uint64_t seed, std::int64_t time = noon) {
    const Sample made = sample(seed, time);
    return archive.append(at(time), made.issuance, made.blobs);
}

Result<RecordNumber> tell(Archive& archive, const std::string& text, std::vector<Blob> blobs = {}) {
    Event event;
    event.kind = "test";
    event.subject = "copier";
    event.text = text;
    for (const Blob& blob : blobs) event.blobs.push_back(blob.id());
    return archive.append(at(noon), event, blobs);
}

/// A checkpoint over all records, and lines under it; nobody asks the store who signed them.
void sign(Archive& archive, const std::vector<std::string>& witnesses = {}) {
    const auto head = archive.head();
    tlog::Note note{tlog::Checkpoint{archive.origin(), head}.text(), {}};
    note.signatures.push_back({archive.origin(), {}, Bytes(64)});
    REQUIRE(archive.add_checkpoint(head, note));
    for (const std::string& witness : witnesses)
        REQUIRE(archive.add_cosignature(head.size, {witness, {}, Bytes(72)}));
}

}  // namespace

TEST_CASE("a copy holds what the archive holds: records, blobs, tree, checkpoints, cosignatures, segments") {
    const Folder folder;
    const std::string dir = folder / "a";
    const std::string copy = folder / "copy";
    REQUIRE(Archive::create(dir, at(noon)));
    {
        const auto archive = open_with_copy(dir, copy);
        std::uint64_t seed = 0;
        for (const std::int64_t month : {noon, december, january}) {
            for (int i = 0; i < 300; ++i) REQUIRE(append(*archive, seed++, month));
            REQUIRE(tell(*archive, "with a blob", {Blob(noise(seed, 5000))}));
            sign(*archive, {"w1", "w2"});
            REQUIRE(append(*archive, seed++, month));
            sign(*archive);
            sign(*archive, {"w1"});
        }
        copy_is(*archive, CopyState::Kind::ready, archive->state().next);
    }
    CHECK(list_segments(copy)->size() == 3);
    CHECK(contents(copy) == contents(dir));
    CHECK(all_records(copy).size() == 906);
    // It can be written like any archive, and the finished segments stand alone.
    CHECK_FALSE(fs::exists(segment_path(copy, "2026-11") + "-wal"));
    const auto written = Archive::open(copy);
    REQUIRE(written);
    CHECK(append(**written, 10'000, january));
}

TEST_CASE("a copy that was away is caught up, at once and while the archive goes on") {
    const Folder folder;
    const std::string dir = folder / "a";
    const std::string copy = folder / "copy";
    REQUIRE(Archive::create(dir, at(noon)));
    {
        std::vector<Sample> made;
        for (std::uint64_t i = 0; i < 1500; ++i) made.push_back(sample(i, i < 900 ? noon : december));
        const auto archive = opened(dir);
        for (const Sample& one : made)
            archive->append(at(one.issuance.gen_time_us), one.issuance, one.blobs, [](auto) {});
    }
    {
        const auto archive = open_with_copy(dir, copy);
        copy_is(*archive, CopyState::Kind::ready, 1500);
        CHECK(archive->copy()->same_disk);
        for (int round = 0; round < 3; ++round) {
            fs::rename(copy, folder / "elsewhere");
            REQUIRE(append(*archive, 3000 + static_cast<std::uint64_t>(round), december));
            const auto state = copy_is(*archive, CopyState::Kind::failing);
            CHECK_THAT(state.text, Catch::Contains(copy) && Catch::Contains("is its disk mounted?"));
            CHECK(archive->state().kind == ArchiveState::Kind::ready);  // nothing stops
            // Another folder in its place is taken for no copy, and stays empty.
            fs::create_directory(copy);
            REQUIRE(append(*archive, 4000 + static_cast<std::uint64_t>(round), december));
            CHECK(fs::is_empty(copy));
            fs::remove(copy);
            fs::rename(folder / "elsewhere", copy);
            copy_is(*archive, CopyState::Kind::ready, archive->state().next);
        }
    }
    CHECK(contents(copy) == contents(dir));
}

TEST_CASE("a copy that isn't one is named, and nothing is written into it") {
    const Folder folder;
    const std::string dir = folder / "a";
    const std::string copy = folder / "copy";
    { REQUIRE(append(*fresh_archive(dir), 1)); }
    const auto refused = [&](const std::string& why) {
        const auto before = contents(copy);
        ArchiveOptions options;
        options.copy = CopySettings{copy};
        const auto archive = Archive::open(dir, options);
        REQUIRE_FALSE(archive);
        CHECK(archive.error().kind == Error::Kind::no);
        CHECK_THAT(archive.error().text,
                   Catch::Contains(dir) && Catch::Contains(copy) && Catch::Contains(why));
        const auto backed = backup(dir, copy);
        REQUIRE_FALSE(backed);
        CHECK(backed.error().text == archive.error().text);
        CHECK(contents(copy) == before);
    };
    SECTION("of another archive") {
        { REQUIRE(append(*fresh_archive(copy), 1)); }
        refused("it is of the archive");
    }
    SECTION("of a later state: an old one was put in the archive's place") {
        fs::copy(dir, folder / "old");
        { REQUIRE(append(*open_with_copy(dir, copy), 2)); }
        fs::remove_all(dir);
        fs::rename(folder / "old", dir);
        refused("it holds 2 records, the archive only 1");
    }
    SECTION("of another one of two that were one") {
        fs::copy(dir, copy);
        { REQUIRE(append(*opened(dir), 2)); }
        { REQUIRE(append(*opened(copy), 3)); }
        refused("its 2 records aren't the first 2");
    }
    SECTION("with a month that the archive hasn't got") {
        fs::copy(dir, copy);
        { REQUIRE(append(*opened(copy), 3, december)); }
        refused("only the copy has a segment 2026-12");
    }
}

TEST_CASE("where a copy may be") {
    const Folder folder;
    const std::string dir = folder / "a";
    { REQUIRE(append(*fresh_archive(dir), 1)); }
    for (const std::string& inside : {dir, dir + "/copy", folder.path()}) {
        ArchiveOptions options;
        options.copy = CopySettings{inside};
        const auto archive = Archive::open(dir, options);
        REQUIRE_FALSE(archive);
        CHECK(archive.error().kind == Error::Kind::usage);
        CHECK_THAT(archive.error().text, Catch::Contains("a place of its own"));
    }
    CHECK_FALSE(fs::exists(dir + "/copy"));
    const auto failing = [&](const std::string& copy, bool may_begin, const std::string& why) {
        ArchiveOptions options;
        options.copy = CopySettings{copy, false, may_begin};
        const auto archive = Archive::open(dir, options);
        REQUIRE(archive);  // the copy's trouble isn't the archive's
        CHECK((*archive)->copy()->kind == CopyState::Kind::failing);
        CHECK_THAT((*archive)->copy()->text, Catch::Contains(why));
        CHECK(append(**archive, 7));
    };
    failing(folder / "none/copy", true, "its parent folder must exist");
    failing(folder / "gone", false, "is its disk mounted?");
    CHECK_FALSE(fs::exists(folder / "gone"));
    fs::create_directory(folder / "used");
    std::ofstream(folder / "used/letter") << "dear";
    failing(folder / "used", true, "isn't empty ('letter')");
    CHECK(fs::directory_iterator(folder / "used") != fs::directory_iterator());
    // Two writers at once: not even into a copy.
    const auto writer = open_with_copy(dir, folder / "copy");
    const auto second = backup(dir, folder / "copy");
    REQUIRE_FALSE(second);
    CHECK_THAT(second.error().text, Catch::Contains("another process writes this archive"));
}

TEST_CASE("where the copy is waited for, what was acknowledged is in both places, whichever write fails") {
    install_failing_vfs();
    using How = FailPlan::How;
    for (const How how : {How::before, How::after, How::full}) {
        for (const bool lasting : {false, true}) {
            // One that lasts is a disk that is gone; whichever write meets it first.
            for (int skip = 0; skip < 12; skip += lasting ? 6 : 1) {
                INFO("how " << static_cast<int>(how) << " lasting " << lasting << " skip " << skip);
                const Folder folder;
                const std::string dir = folder / "a";
                const std::string copy = folder / "copy";
                REQUIRE(Archive::create(dir, at(noon)));
                std::map<RecordNumber, std::uint64_t> acknowledged;
                std::uint64_t seed = 0;
                {
                    const auto archive = open_with_copy(dir, copy, true);
                    plan_failure({how, skip, lasting, "/copy/"});
                    for (; seed < 6; ++seed) {
                        const auto number = append(*archive, seed, seed < 3 ? noon : december);
                        if (number)
                            REQUIRE(acknowledged.emplace(*number, seed).second);
                        else
                            CHECK(number.error().kind == Error::Kind::environment);
                        // Whatever isn't a token needs no copy.
                        CHECK(tell(*archive, "goes on"));
                    }
                    if (heal() > 0 && lasting) CHECK(acknowledged.size() < 6);
                    copy_is(*archive, CopyState::Kind::ready);
                    CHECK(archive->state().kind == ArchiveState::Kind::ready);
                    const auto number = append(*archive, seed, december);
                    REQUIRE(number);
                    acknowledged.emplace(*number, seed);
                    // It is there when the append returns, not some time later.
                    CHECK(archive->copy()->next > *number);
                }
                for (const std::string& place : {dir, copy}) {
                    const auto records = all_records(place);
                    for (const auto& [number, which] : acknowledged)
                        REQUIRE(std::get<Issuance>(records[static_cast<std::size_t>(number)].record.body) ==
                                sample(which, which < 3 ? noon : december).issuance);
                }
                REQUIRE(contents(copy) == contents(dir));
            }
        }
    }
}

TEST_CASE("where the copy is waited for and is away, tokens are refused and everything else goes on") {
    const Folder folder;
    const std::string dir = folder / "a";
    const std::string copy = folder / "copy";
    REQUIRE(Archive::create(dir, at(noon)));
    {
        const auto archive = open_with_copy(dir, copy, true);
        REQUIRE(append(*archive, 1));
        fs::rename(copy, folder / "elsewhere");
        const auto first = append(*archive, 2);
        REQUIRE_FALSE(first);
        CHECK_THAT(first.error().text, Catch::Contains("is its disk mounted?"));
        CHECK(archive->state().kind == ArchiveState::Kind::failing);
        CHECK_THAT(archive->state().text, Catch::Contains(copy));
        // Not even written any more: no heap of tokens that nobody has got.
        const auto records = archive->state().next;
        REQUIRE_FALSE(append(*archive, 3));
        CHECK(archive->state().next == records);
        CHECK(tell(*archive, "is still told"));
        sign(*archive);
        fs::rename(folder / "elsewhere", copy);
        copy_is(*archive, CopyState::Kind::ready);
        CHECK(archive->state().kind == ArchiveState::Kind::ready);
        CHECK(append(*archive, 4));
    }
    CHECK(contents(copy) == contents(dir));
}

TEST_CASE("a copy's disk that hangs keeps nobody waiting for ever") {
    install_failing_vfs();
    const Folder folder;
    const std::string dir = folder / "a";
    const std::string copy = folder / "copy";
    REQUIRE(Archive::create(dir, at(noon)));
    {
        const auto archive = open_with_copy(dir, copy, true);
        REQUIRE(append(*archive, 1));
        plan_failure({FailPlan::How::hang, 0, true, "/copy/"});
        const auto stuck = append(*archive, 2);
        REQUIRE_FALSE(stuck);
        CHECK_THAT(stuck.error().text, Catch::Contains(copy) && Catch::Contains("hasn't taken a record for"));
        CHECK(archive->state().kind == ArchiveState::Kind::failing);
        CHECK_FALSE(append(*archive, 3));
        CHECK(tell(*archive, "is still told"));
        CHECK(heal() > 0);
        copy_is(*archive, CopyState::Kind::ready);
        CHECK(append(*archive, 4));
    }
    CHECK(contents(copy) == contents(dir));
}

TEST_CASE("the copy's disk is full: the archive goes on or refuses, as it was told to, and room heals") {
    const Folder folder;
    const std::string disk = folder / "disk";
    fs::create_directory(disk);
    if (::mount("tmpfs", disk.c_str(), "tmpfs", 0, "size=2m") != 0) {
        WARN("no right to mount: the full disk was tested with the failing VFS only");
        return;
    }
    struct Unmount {
        std::string path;
        ~Unmount() { ::umount2(path.c_str(), MNT_DETACH); }
    } const unmount{disk};
    const std::string copy = disk + "/copy";
    for (const bool waits : {false, true}) {
        fs::remove_all(copy);
        const std::string filler = disk + "/filler";
        std::ofstream(filler) << std::string(1U << 20U, 'x');
        const std::string dir = folder / (waits ? "waits" : "goes-on");
        REQUIRE(Archive::create(dir, at(noon)));
        {
            const auto archive = open_with_copy(dir, copy, waits);
            CHECK_FALSE(archive->copy()->same_disk);
            std::uint64_t seed = 0;
            while (seed < 3000 && archive->copy()->kind != CopyState::Kind::failing)
                CHECK((append(*archive, seed++).ok() || waits));
            REQUIRE(seed < 3000);
            CHECK(seed > 50);
            CHECK_THAT(archive->copy()->text, Catch::Contains(copy) && Catch::Contains("make room"));
            CHECK((archive->state().kind == ArchiveState::Kind::ready) == !waits);
            CHECK(append(*archive, seed++).ok() == !waits);
            CHECK(tell(*archive, "goes on"));
            fs::remove(filler);
            copy_is(*archive, CopyState::Kind::ready, archive->state().next);
            CHECK(append(*archive, seed++));
        }
        CHECK(contents(copy) == contents(dir));
    }
}

TEST_CASE("many at once share the fsyncs of the copy too") {
    const Folder folder;
    const std::string dir = folder / "a";
    const std::string copy = folder / "copy";
    REQUIRE(Archive::create(dir, at(noon)));
    {
        const auto archive = open_with_copy(dir, copy, true);
        std::vector<Sample> made;
        for (std::uint64_t i = 0; i < 600; ++i) made.push_back(sample(i, noon));
        std::mutex mutex;
        std::vector<RecordNumber> told;
        for (const Sample& one : made)
            archive->append(at(noon), one.issuance, one.blobs, [&](const Result<RecordNumber>& number) {
                const RecordNumber in_copy = archive->copy()->next;
                const std::lock_guard lock(mutex);
                told.push_back(number && *number < in_copy ? *number : -1);
            });
        copy_is(*archive, CopyState::Kind::ready, 600);
        const auto patience = std::chrono::steady_clock::now() + std::chrono::seconds(60);
        const auto all_told = [&] {
            const std::lock_guard lock(mutex);
            return told.size() == made.size();
        };
        while (!all_told() && std::chrono::steady_clock::now() < patience) std::this_thread::yield();
        REQUIRE(all_told());
        for (std::size_t i = 0; i < told.size(); ++i) REQUIRE(told[i] == static_cast<RecordNumber>(i));
        CHECK(archive->state().groups < 300);
    }
    CHECK(contents(copy) == contents(dir));
}

TEST_CASE("child: stamps into two places until it is killed", "[.child]") {
    const char* argument = std::getenv("KOKUIN_TEST_ARGUMENT");  // NOLINT(concurrency-mt-unsafe)
    REQUIRE(argument != nullptr);
    const std::string text = argument;
    const auto colon = text.find(':');
    const std::uint64_t round = std::stoull(text.substr(0, colon));
    const std::string dir = text.substr(colon + 1);
    const auto archive = open_with_copy(dir, dir + ".copy", true);
    copy_is(*archive, CopyState::Kind::ready);
    std::vector<std::thread> threads;
    for (std::uint64_t thread = 0; thread < 4; ++thread)
        threads.emplace_back([&, thread] {
            for (std::uint64_t i = 0; i < 100'000; ++i) {
                const std::uint64_t seed = ((round * 4) + thread) * 100'000 + i;
                const auto number = append(
                    *archive, seed, noon + static_cast<std::int64_t>((round * 31 + i / 8) * 86'400'000'000U));
                if (!number) std::abort();
                const std::string line = "ack " + std::to_string(*number) + "\n";
                if (::write(STDOUT_FILENO, line.data(), line.size()) < 0) std::abort();
            }
        });
    for (auto& thread : threads) thread.join();
}

TEST_CASE("kill -9: the copy that is waited for lacks nothing that was acknowledged, and goes on") {
    const Folder folder;
    const std::string dir = folder / "a";
    REQUIRE(Archive::create(dir, at(noon)));
    RecordNumber last = -1;
    for (std::uint64_t round = 0; round < 4; ++round) {
        const Child child =
            spawn("child: stamps into two places until it is killed", std::to_string(round) + ":" + dir);
        std::string output;
        std::array<char, 4096> buffer{};
        bool killed = false;
        while (true) {
            const auto size = ::read(child.output, buffer.data(), buffer.size());
            if (size <= 0) break;
            output.append(buffer.data(), static_cast<std::size_t>(size));
            if (!killed && output.size() > 200 + 200 * round) {
                killed = true;
                ::kill(child.pid, SIGKILL);
            }
        }
        ::close(child.output);
        int status = 0;
        REQUIRE(::waitpid(child.pid, &status, 0) == child.pid);
        REQUIRE(killed);
        std::size_t begin = 0;
        for (auto end = output.find('\n'); end != std::string::npos;
             begin = end + 1, end = output.find('\n', begin))
            last = std::max<RecordNumber>(last, std::stoll(output.substr(begin + 4, end - begin - 4)));
        // As an auditor finds them, before anybody has repaired anything.
        const auto here = all_records(dir);
        const auto there = all_records(dir + ".copy");
        REQUIRE(static_cast<RecordNumber>(there.size()) > last);
        REQUIRE(here.size() >= there.size());
        for (std::size_t i = 0; i < there.size(); i += 17) REQUIRE(here[i].record == there[i].record);
    }
    CHECK(last > 100);
    CHECK(list_segments(dir + ".copy")->size() > 3);
    { copy_is(*open_with_copy(dir, dir + ".copy"), CopyState::Kind::ready); }
    CHECK(contents(dir + ".copy") == contents(dir));
}

TEST_CASE("child: backs up", "[.child]") {
    const char* argument = std::getenv("KOKUIN_TEST_ARGUMENT");  // NOLINT(concurrency-mt-unsafe)
    REQUIRE(argument != nullptr);
    const std::string dir = argument;
    const auto made = backup(dir, dir + ".backup");
    ::_exit(made ? 0 : 3);
}

TEST_CASE("a backup that is killed is an earlier state, and the next one goes on from it") {
    const Folder folder;
    const std::string dir = folder / "a";
    const std::string to = dir + ".backup";
    const auto archive = fresh_archive(dir);
    std::vector<Sample> made;
    for (std::uint64_t i = 0; i < 1200; ++i)
        made.push_back(sample(i, i < 400 ? noon : i < 800 ? december : january));
    for (const Sample& one : made)
        archive->append(at(one.issuance.gen_time_us), one.issuance, one.blobs, [](auto) {});
    REQUIRE(tell(*archive, "all are there"));
    sign(*archive, {"w1"});
    const auto octets = [&] {
        std::uintmax_t sum = 0;
        for (const auto& entry : fs::directory_iterator(folder.path()))
            if (entry.path() == to)
                for (const auto& file : fs::directory_iterator(to)) {
                    std::error_code gone;
                    const auto size = fs::file_size(file, gone);
                    if (!gone) sum += size;
                }
        return sum;
    };
    std::size_t before = 0;
    int killed = 0;
    for (int round = 0; round < 6; ++round) {
        const Child child = spawn("child: backs up", dir);
        // In the midst: when so much more is on the disk.
        const auto enough = octets() + 4096 + static_cast<std::uintmax_t>(round) * 60'000;
        int status = 0;
        bool ended = false;
        while (!ended && octets() < enough) ended = ::waitpid(child.pid, &status, WNOHANG) == child.pid;
        if (!ended) {
            ::kill(child.pid, SIGKILL);
            REQUIRE(::waitpid(child.pid, &status, 0) == child.pid);
        }
        ::close(child.output);
        if (WIFSIGNALED(status)) ++killed;
        const auto names = list_segments(to);
        REQUIRE(names);
        if (names->empty()) continue;
        const auto records = all_records(to);
        CHECK(records.size() >= before);
        before = records.size();
        for (std::size_t i = 0; i < records.size(); i += 97)
            REQUIRE(std::get<Issuance>(records[i].record.body) == made[i].issuance);
    }
    CHECK(killed > 0);
    const auto first = backup(dir, to);
    REQUIRE(first);
    CHECK(first->before == static_cast<RecordNumber>(before));
    CHECK(first->records == 1201);
    CHECK(first->segments == std::vector<std::string>{"2026-11", "2026-12", "2027-01"});
    REQUIRE(first->checkpoint);
    CHECK(first->checkpoint->size == 1201);
    CHECK(first->same_disk);
    CHECK(contents(to) == contents(dir));
    // While the archive is written, and brought up to date.
    REQUIRE(append(*archive, 9000, january));
    const auto second = backup(dir, to);
    REQUIRE(second);
    CHECK(second->before == 1201);
    CHECK(second->records == 1202);
    CHECK(contents(to) == contents(dir));
}
