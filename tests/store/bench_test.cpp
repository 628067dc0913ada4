// Not a test: test_store "[.bench]" prints what one archive writer can do here.
#include <algorithm>
#include <atomic>
#include <catch2/catch.hpp>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>

#include "store/archive.h"
#include "tests/store/support.h"

using namespace kokuin;
using namespace kokuin::store;
using namespace kokuin::store::test;

TEST_CASE("records per second", "[.bench]") {
    const Folder folder;
    const std::string dir = folder / "a";
    const char* asked = std::getenv("KOKUIN_BENCH_RECORDS");  // NOLINT(concurrency-mt-unsafe)
    const std::size_t total = asked ? std::stoul(asked) : 200'000;
    const auto archive = fresh_archive(dir);
    constexpr std::size_t prepared = 4096;
    std::vector<Sample> samples;
    for (std::size_t i = 0; i < prepared; ++i) samples.push_back(sample(i, noon));
    for (const std::size_t threads : {std::size_t{1}, std::size_t{8}, std::size_t{32}, std::size_t{128}}) {
        std::atomic<std::size_t> next{0};
        std::vector<std::vector<double>> times(threads);
        const std::size_t count = threads == 1 ? total / 10 : total;
        const ArchiveState before = archive->state();
        const auto begin = std::chrono::steady_clock::now();
        std::vector<std::thread> workers;
        for (std::size_t t = 0; t < threads; ++t) {
            workers.emplace_back([&, t] {
                while (true) {
                    const std::size_t i = next++;
                    if (i >= count) return;
                    // Serial numbers in order of time, imprints at random, as in life.
                    Issuance issuance = samples[i % prepared].issuance;
                    const auto stamp = static_cast<std::uint64_t>(threads) << 40U | i;
                    for (std::size_t k = 0; k < 8; ++k)
                        issuance.serial[k] = static_cast<std::uint8_t>(stamp >> (56 - 8 * k));
                    issuance.serial[0] = 1;
                    const std::uint64_t random = stamp * 0x9e3779b97f4a7c15U;
                    for (std::size_t k = 0; k < 8; ++k)
                        issuance.imprint[k] = static_cast<std::uint8_t>(random >> (56 - 8 * k));
                    const auto start = std::chrono::steady_clock::now();
                    if (!archive->append(at(noon), issuance, samples[i % prepared].blobs)) std::abort();
                    times[t].push_back(
                        std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start)
                            .count());
                }
            });
        }
        for (auto& worker : workers) worker.join();
        const double seconds =
            std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
        std::vector<double> all;
        for (const auto& one : times) all.insert(all.end(), one.begin(), one.end());
        std::sort(all.begin(), all.end());
        const ArchiveState after = archive->state();
        std::printf(
            "%3zu threads: %8.0f records/s, %5.1f a group, p50 %.2f ms, p99 %.2f ms, p99.9 %.2f ms, max %.1f "
            "ms\n",
            threads, static_cast<double>(count) / seconds,
            static_cast<double>(after.records - before.records) /
                static_cast<double>(after.groups - before.groups),
            all[all.size() / 2], all[all.size() * 99 / 100], all[all.size() * 999 / 1000], all.back());
        std::fflush(stdout);
    }
    std::printf("%s", run("ls -l --block-size=M " + dir).output.c_str());
}
