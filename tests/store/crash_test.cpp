// kill -9 in the middle of writing: what was acknowledged is there.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <catch2/catch.hpp>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <thread>

#include "store/archive.h"
#include "tests/store/support.h"

using namespace kokuin;
using namespace kokuin::store;
using namespace kokuin::store::test;

namespace {

/// Seed and time of what thread `thread` of the child of `round` writes as its `i`-th; months pass quickly
/// there.
std::uint64_t seed_of(std::uint64_t round, std::uint64_t thread, std::uint64_t i) {
    return (round * 16 + thread) * 100'000 + i;
}
std::int64_t time_of(std::uint64_t seed) {
    const std::uint64_t round = seed / 1'600'000;
    const std::uint64_t i = seed % 100'000;
    return noon + static_cast<std::int64_t>((round * 20 + i / 4) * 86'400'000'000U);
}

}  // namespace

TEST_CASE("child: writes until it is killed", "[.child]") {
    const char* argument = std::getenv("KOKUIN_TEST_ARGUMENT");  // NOLINT(concurrency-mt-unsafe)
    REQUIRE(argument != nullptr);
    const std::string text = argument;
    const auto colon = text.find(':');
    const std::uint64_t round = std::stoull(text.substr(0, colon));
    auto archive = Archive::open(text.substr(colon + 1));
    REQUIRE(archive);
    std::vector<std::thread> threads;
    for (std::uint64_t thread = 0; thread < 6; ++thread) {
        threads.emplace_back([&, thread] {
            for (std::uint64_t i = 0; i < 100'000; ++i) {
                const std::uint64_t seed = seed_of(round, thread, i);
                const Sample made = sample(seed, time_of(seed));
                const auto number = (*archive)->append(at(time_of(seed)), made.issuance, made.blobs);
                if (!number) std::abort();
                // One write(2) a line: the parent believes what it can read.
                std::array<char, 64> line{};
                const int size =
                    std::snprintf(line.data(), line.size(), "ack %lld %llu\n",
                                  static_cast<long long>(*number), static_cast<unsigned long long>(seed));
                if (::write(STDOUT_FILENO, line.data(), static_cast<std::size_t>(size)) != size) std::abort();
            }
        });
    }
    for (auto& thread : threads) thread.join();
}

TEST_CASE("kill -9 loses nothing that was acknowledged") {
    const Folder folder;
    const std::string dir = folder / "a";
    REQUIRE(Archive::create(dir, at(noon)));
    std::map<RecordNumber, std::uint64_t> acknowledged;
    constexpr std::uint64_t rounds = 20;
    for (std::uint64_t round = 0; round < rounds; ++round) {
        const Child child = spawn("child: writes until it is killed", std::to_string(round) + ":" + dir);
        std::string output;
        std::array<char, 4096> buffer{};
        const std::size_t enough = 60 + round * 15;  // killed after another amount each time
        bool killed = false;
        while (true) {
            const auto size = ::read(child.output, buffer.data(), buffer.size());
            if (size <= 0) break;
            output.append(buffer.data(), static_cast<std::size_t>(size));
            if (!killed && output.size() > enough * 17) {
                killed = true;
                ::kill(child.pid, SIGKILL);
            }
        }
        ::close(child.output);
        int status = 0;
        REQUIRE(::waitpid(child.pid, &status, 0) == child.pid);
        REQUIRE(killed);
        REQUIRE(WIFSIGNALED(status));
        std::size_t begin = 0;
        for (auto end = output.find('\n'); end != std::string::npos;
             begin = end + 1, end = output.find('\n', begin)) {
            long long number = 0;
            unsigned long long seed = 0;
            if (std::sscanf(output.c_str() + begin, "ack %lld %llu", &number, &seed) != 2) continue;
            REQUIRE(acknowledged.emplace(number, seed).second);  // no number twice
        }
        // An auditor looks at what the dead one left, before anybody has repaired it.
        if (round % 5 == 0) {
            const auto records = all_records(dir);
            REQUIRE(records.size() > static_cast<std::size_t>(acknowledged.rbegin()->first));
        }
    }
    { REQUIRE(Archive::open(dir)); }
    CHECK(acknowledged.size() > 1000);
    const auto reader = ArchiveReader::open(dir);
    REQUIRE(reader);
    CHECK((*reader)->segments()->size() > 5);
    RecordNumber expected = 0;
    std::size_t seen = 0;
    REQUIRE((*reader)->find({}, [&](const Found& found) {
        REQUIRE(found.record.number == expected++);
        const auto known = acknowledged.find(found.record.number);
        if (known == acknowledged.end()) return true;
        ++seen;
        const Sample made = sample(known->second, time_of(known->second));
        REQUIRE(found.issuance() == made.issuance);
        if (found.record.number % 50 == 0)
            REQUIRE((*reader)->show(made.issuance.serial)->token == made.token);
        return true;
    }));
    CHECK(seen == acknowledged.size());
}
