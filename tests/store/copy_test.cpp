// Auditors: no right to write, on a live archive and on copies in all states.
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <functional>

#include "store/archive.h"
#include "store/segment.h"
#include "tests/store/support.h"

using namespace kokuin;
using namespace kokuin::store;
using namespace kokuin::store::test;
namespace fs = std::filesystem;

namespace {

constexpr unsigned nobody = 65534;

/// Runs `work` in a child as somebody who may only read (root ignores permissions); its exit code.
int as_auditor(const std::function<bool()>& work) {
    const pid_t pid = ::fork();
    REQUIRE(pid >= 0);
    if (pid == 0) {
        if (::geteuid() == 0 && (::setgid(nobody) != 0 || ::setuid(nobody) != 0)) ::_exit(9);
        ::_exit(work() ? 0 : 1);
    }
    int status = 0;
    REQUIRE(::waitpid(pid, &status, 0) == pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/// The number of issuances an auditor sees, as exit code 0 if it is `count` and the last token is whole.
int auditor_sees(const std::string& dir, RecordNumber count) {
    return as_auditor([&] {
        auto reader = ArchiveReader::open(dir);
        if (!reader) {
            std::fprintf(stderr, "%s\n", reader.error().text.c_str());
            return false;
        }
        RecordNumber seen = 0;
        Bytes serial;
        const auto done = (*reader)->find({}, [&](const Found& found) {
            ++seen;
            serial = found.issuance().serial;
            return true;
        });
        if (!done) std::fprintf(stderr, "%s\n", done.error().text.c_str());
        const auto shown = (*reader)->show(serial);
        return done && seen == count && shown &&
               shown->token == sample(static_cast<std::uint64_t>(seen - 1), noon).token;
    });
}

void fill(Archive& archive, RecordNumber from, RecordNumber to) {
    for (RecordNumber i = from; i < to; ++i) {
        const Sample made = sample(static_cast<std::uint64_t>(i), noon);
        REQUIRE(archive.append(at(noon), made.issuance, made.blobs));
    }
}

/// Nobody but the owner may write; everybody may read.
void lock_up(const std::string& dir) {
    for (const auto& entry : fs::directory_iterator(dir)) ::chmod(entry.path().c_str(), 0444);
    ::chmod(dir.c_str(), 0555);
}

std::string copy(const Folder& folder, const std::string& dir, const std::string& name, bool with_log,
                 bool with_memory) {
    const std::string to = folder / name;
    fs::create_directory(to);
    const std::string from = segment_path(dir, "2026-11");
    fs::copy(from, segment_path(to, "2026-11"));
    if (with_log) fs::copy(from + "-wal", segment_path(to, "2026-11") + "-wal");
    if (with_memory) fs::copy(from + "-shm", segment_path(to, "2026-11") + "-shm");
    lock_up(to);
    return to;
}

}  // namespace

TEST_CASE("an auditor without any right to write reads a live archive and all kinds of copies") {
    const Folder folder;
    ::chmod(folder.path().c_str(), 0755);
    const std::string dir = folder / "a";
    auto archive = fresh_archive(dir);
    ::chmod(dir.c_str(), 0755);
    fill(*archive, 0, 300);
    CHECK(auditor_sees(dir, 300) == 0);
    fill(*archive, 300, 310);
    CHECK(auditor_sees(dir, 310) == 0);

    // Copied while the writer is there: the log holds most of it.
    CHECK(auditor_sees(copy(folder, dir, "with-log", true, false), 310) == 0);
    CHECK(auditor_sees(copy(folder, dir, "with-both", true, true), 310) == 0);
    archive.reset();
    // After a clean end there is no log; the file still says that it had one.
    CHECK(auditor_sees(copy(folder, dir, "clean", false, false), 310) == 0);
    lock_up(dir);
    CHECK(auditor_sees(dir, 310) == 0);
    ::chmod(dir.c_str(), 0755);
}

TEST_CASE("an auditor reads what a killed writer left") {
    const Folder folder;
    ::chmod(folder.path().c_str(), 0755);
    const std::string dir = folder / "a";
    const pid_t pid = ::fork();
    REQUIRE(pid >= 0);
    if (pid == 0) {
        if (!Archive::create(dir, at(noon))) ::_exit(1);
        auto archive = Archive::open(dir);
        for (std::uint64_t i = 0; archive && i < 100; ++i) {
            const Sample made = sample(i, noon);
            if (!(*archive)->append(at(noon), made.issuance, made.blobs)) ::_exit(1);
        }
        ::kill(::getpid(), SIGKILL);
    }
    int status = 0;
    REQUIRE(::waitpid(pid, &status, 0) == pid);
    REQUIRE(WIFSIGNALED(status));
    ::chmod(dir.c_str(), 0755);
    CHECK(auditor_sees(dir, 100) == 0);
    lock_up(dir);
    CHECK(auditor_sees(dir, 100) == 0);
    ::chmod(dir.c_str(), 0755);
    const auto archive = Archive::open(dir);
    if (!archive) FAIL(archive.error().text);
    CHECK((*archive)->state().next == 100);
}
