// Disks that fail, fill up and lie. Real SQLite; the failures come from a VFS between it and the disk.
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <chrono>
#include <fstream>
#include <map>
#include <thread>

#include "store/archive.h"
#include "tests/store/failing_vfs.h"
#include "tests/store/support.h"

using namespace kokuin;
using namespace kokuin::store;
using namespace kokuin::store::test;

namespace {

/// What was acknowledged: number and sample.
using Acknowledged = std::map<RecordNumber, Sample>;

bool append_one(Archive& archive, std::uint64_t seed, std::int64_t time, Acknowledged& acknowledged) {
    Sample made = sample(seed, time);
    const auto number = archive.append(at(time), made.issuance, made.blobs);
    if (number) {
        CHECK(acknowledged.emplace(*number, std::move(made)).second);
        return true;
    }
    CHECK(number.error().kind == Error::Kind::environment);
    return false;
}

void check_all(const std::string& dir, const Acknowledged& acknowledged) {
    const auto records = all_records(dir);  // gap-free, or this fails
    for (const auto& [number, made] : acknowledged) {
        REQUIRE(static_cast<std::size_t>(number) < records.size());
        REQUIRE(std::get<Issuance>(records[static_cast<std::size_t>(number)].record.body) == made.issuance);
    }
    const auto reader = ArchiveReader::open(dir);
    for (const auto& [number, made] : acknowledged) {
        const auto shown = (*reader)->show(made.issuance.serial);
        REQUIRE(shown);
        REQUIRE(shown->token == made.token);
    }
}

}  // namespace

TEST_CASE("whichever write fails, and however: nothing acknowledged is lost, and the archive recovers") {
    install_failing_vfs();
    using How = FailPlan::How;
    int persisted_though_failed = 0;
    for (const How how : {How::before, How::after, How::full}) {
        for (const bool lasting : {false, true}) {
            for (int skip = 0; skip < 24; ++skip) {
                INFO("how " << static_cast<int>(how) << " lasting " << lasting << " skip " << skip);
                const Folder folder;
                const std::string dir = folder / "a";
                Acknowledged acknowledged;
                std::uint64_t seed = 0;
                int refused = 0;
                {
                    const auto archive = fresh_archive(dir);
                    REQUIRE(append_one(*archive, seed++, noon, acknowledged));
                    plan_failure({how, skip, lasting});
                    // The month changes on the way: its operations fail in their turn as well.
                    for (int i = 0; i < 6; ++i)
                        if (!append_one(*archive, seed++, i < 3 ? noon : december, acknowledged)) ++refused;
                    if (heal() > 0 && lasting) {
                        CHECK(refused > 0);
                    }
                    if (lasting && refused > 0) CHECK(archive->state().kind != ArchiveState::Kind::in_doubt);
                    // Room again: the very next append succeeds.
                    REQUIRE(append_one(*archive, seed++, december, acknowledged));
                    REQUIRE(append_one(*archive, seed++, december, acknowledged));
                    CHECK(archive->state().kind == ArchiveState::Kind::ready);
                    CHECK(archive->state().text.empty());
                    CHECK_FALSE(archive->in_doubt());
                }
                check_all(dir, acknowledged);
                if (all_records(dir).size() > acknowledged.size()) ++persisted_though_failed;
                const auto archive = Archive::open(dir);
                REQUIRE(archive);
                REQUIRE(append_one(**archive, seed++, december, acknowledged));
                check_all(dir, acknowledged);
            }
        }
    }
    CHECK(persisted_though_failed > 0);  // the lie was really told
}

TEST_CASE("an archive that has lost what it acknowledged stops for good and says what is missing") {
    install_failing_vfs();
    const Folder folder;
    const auto archive = fresh_archive(folder / "a");
    Acknowledged acknowledged;
    for (std::uint64_t i = 0; i < 3; ++i) REQUIRE(append_one(*archive, i, noon, acknowledged));
    plan_failure({FailPlan::How::lose_log, 0, false});
    CHECK_FALSE(append_one(*archive, 10, noon, acknowledged));
    heal();
    CHECK_FALSE(append_one(*archive, 11, noon, acknowledged));
    REQUIRE(archive->in_doubt());
    CHECK_THAT(*archive->in_doubt(), Catch::Contains("record 2 was acknowledged"));
    CHECK(archive->state().kind == ArchiveState::Kind::in_doubt);
    CHECK_FALSE(append_one(*archive, 12, noon, acknowledged));
    CHECK(archive->in_doubt());
}

TEST_CASE("the archive recovers by itself, without an append") {
    install_failing_vfs();
    const Folder folder;
    const auto archive = fresh_archive(folder / "a");
    Acknowledged acknowledged;
    plan_failure({FailPlan::How::full, 0, true});
    CHECK_FALSE(append_one(*archive, 1, noon, acknowledged));
    CHECK(archive->state().kind == ArchiveState::Kind::failing);
    CHECK_THAT(archive->state().text, Catch::Contains("make room"));
    heal();
    const auto patience = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (archive->state().kind != ArchiveState::Kind::ready && std::chrono::steady_clock::now() < patience)
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    CHECK(archive->state().kind == ArchiveState::Kind::ready);
}

TEST_CASE("a group fails together, under many threads, and every caller hears of it") {
    install_failing_vfs();
    const Folder folder;
    const std::string dir = folder / "a";
    Acknowledged all;
    {
        const auto archive = fresh_archive(dir);
        std::vector<std::thread> threads;
        std::vector<Acknowledged> per_thread(6);
        std::atomic<int> refused{0};
        std::atomic<int> running{6};
        for (std::size_t t = 0; t < per_thread.size(); ++t) {
            threads.emplace_back([&, t] {
                for (std::uint64_t i = 0; i < 120; ++i) {
                    Sample made = sample(t * 1000 + i, noon);
                    const auto number = archive->append(at(noon), made.issuance, made.blobs);
                    if (number) {
                        per_thread[t].emplace(*number, std::move(made));
                    } else {
                        ++refused;
                    }
                }
                --running;
            });
        }
        int plans = 0;
        while (running > 0) {
            plan_failure(
                {plans % 2 == 0 ? FailPlan::How::after : FailPlan::How::full, plans % 7, plans % 3 == 0});
            ++plans;
            std::this_thread::yield();
            heal();
        }
        for (auto& thread : threads) thread.join();
        CHECK_FALSE(archive->in_doubt());
        std::size_t total = 0;
        for (auto& one : per_thread) {
            total += one.size();
            all.merge(one);
        }
        CHECK(all.size() == total);  // no number was given twice
        CHECK(total + static_cast<std::size_t>(refused) == 720);
        CHECK(total > 0);
        CHECK(refused > 0);
    }
    check_all(dir, all);
}

TEST_CASE("a full disk refuses, and room heals") {
    // A real small file system if we may mount one; else a limit on the size of files.
    const Folder folder;
    const std::string disk = folder / "disk";
    REQUIRE(::mkdir(disk.c_str(), 0755) == 0);
    if (::mount("tmpfs", disk.c_str(), "tmpfs", 0, "size=2m") != 0) {
        WARN("no right to mount: the full disk was tested with the failing VFS only");
        return;
    }
    struct Unmount {
        std::string path;
        ~Unmount() { ::umount2(path.c_str(), MNT_DETACH); }
    } const unmount{disk};
    const std::string filler = disk + "/filler";
    {
        std::ofstream stream(filler);
        stream << std::string(1U << 20U, 'x');
    }
    const std::string dir = disk + "/a";
    Acknowledged acknowledged;
    {
        const auto archive = fresh_archive(dir);
        std::uint64_t seed = 0;
        while (seed < 5000 && append_one(*archive, seed, noon, acknowledged)) ++seed;
        REQUIRE(seed < 5000);
        CHECK(acknowledged.size() > 50);
        CHECK(archive->state().kind == ArchiveState::Kind::failing);
        CHECK_THAT(archive->state().text, Catch::Contains(dir));
        for (int i = 0; i < 5; ++i) CHECK_FALSE(append_one(*archive, ++seed, noon, acknowledged));
        REQUIRE(::unlink(filler.c_str()) == 0);
        REQUIRE(append_one(*archive, ++seed, noon, acknowledged));
        REQUIRE(append_one(*archive, ++seed, noon, acknowledged));
        CHECK_FALSE(archive->in_doubt());
    }
    check_all(dir, acknowledged);
}
