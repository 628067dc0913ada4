// Makes an archive of very many tokens, for scripts/bench: as large as real ones and spread over months, but
// signed by nobody. Prints some of them as JSON, one a line: {"serial", "imprint", "gen_time"}.
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <random>
#include <string>

#include "base/time.h"
#include "store/archive.h"

using namespace kokuin;

namespace {

constexpr std::int64_t first_us = 1767225600'000000;                // 2026-01-01
constexpr std::int64_t month_us = std::int64_t{31} * 86400'000000;  // each of them is another month
constexpr int months = 12;

class Fill {
  public:
    explicit Fill(std::uint64_t seed) : random_(seed) {}

    Bytes octets(std::size_t size) {
        Bytes all(size);
        for (std::size_t i = 0; i < size; i += 8) {
            const std::uint64_t word = random_();
            for (std::size_t k = 0; k < 8 && i + k < size; ++k)
                all[i + k] = static_cast<std::uint8_t>(word >> (8 * k));
        }
        return all;
    }

    store::Issuance issuance(std::int64_t gen_time_us) {
        store::Issuance made;
        // Time in front, as tsad does it.
        made.serial = {1};
        for (int shift = 48; shift >= 0; shift -= 8)
            made.serial.push_back(static_cast<std::uint8_t>(gen_time_us >> shift));
        append(made.serial, octets(10));
        made.gen_time_us = gen_time_us;
        made.policy = "1.3.6.1.4.1.1291.1.1.1.1";
        made.imprint_algorithm = "2.16.840.1.101.3.4.2.3";
        made.imprint = octets(64);
        made.tsu = "tsu-1";
        made.tac = store::TacReference{blobs_[1].id(), Bytes(16, 7)};
        made.clock_bound_us = 31234;
        made.clock = store::ClockProof{blobs_[2].id(), gen_time_us * 1000, gen_time_us * 1000, 180, -60, 60};
        made.certificate = blobs_[0].id();
        made.token = {store::BlobReference{blobs_[3].id()},
                      store::Field::imprint,
                      store::Literal{octets(2)},
                      store::Field::serial,
                      store::Literal{octets(26)},
                      store::BlobReference{blobs_[4].id()},
                      store::Literal{octets(256)}};
        return made;
    }
    [[nodiscard]] const std::vector<store::Blob>& blobs() const { return blobs_; }

  private:
    std::mt19937_64 random_;
    const std::vector<store::Blob> blobs_{store::Blob(octets(1000)), store::Blob(octets(850)),
                                          store::Blob(octets(200)), store::Blob(octets(90)),
                                          store::Blob(octets(700))};
};

/// So many records wait at once, at most.
class InFlight {
  public:
    void begin() {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return waiting_ < 4096; });
        ++waiting_;
    }
    void end(const Result<store::RecordNumber>& outcome) {
        const std::lock_guard lock(mutex_);
        if (!outcome && failed_.empty()) failed_ = outcome.error().text;
        --waiting_;
        changed_.notify_one();
    }
    std::string all_done() {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return waiting_ == 0; });
        return failed_;
    }

  private:
    std::mutex mutex_;
    std::condition_variable changed_;
    std::size_t waiting_ = 0;
    std::string failed_;
};

}  // namespace

int main(int argc, char** argv) {
    const std::int64_t tokens = argc == 3 ? std::atoll(argv[2]) : 0;
    if (tokens < months) {
        std::fprintf(stderr, "kokuin-fill DIR TOKENS: makes an archive of at least %d tokens in DIR\n",
                     months);
        return 2;
    }
    const std::string dir = argv[1];
    if (auto done = store::Archive::create(dir, from_unix_us(first_us)); !done) {
        std::fprintf(stderr, "kokuin-fill: %s\n", done.error().text.c_str());
        return exit_code(done.error().kind);
    }
    auto archive = store::Archive::open(dir);
    if (!archive) {
        std::fprintf(stderr, "kokuin-fill: %s\n", archive.error().text.c_str());
        return exit_code(archive.error().kind);
    }
    Fill fill(1);
    InFlight in_flight;
    const std::int64_t step = months * month_us / tokens;
    const std::int64_t shown = std::max<std::int64_t>(1, tokens / 40);
    for (std::int64_t i = 0; i < tokens; ++i) {
        const std::int64_t gen_time_us = first_us + i * step / 1000 * 1000;
        const auto made = fill.issuance(gen_time_us);
        if (i % shown == shown / 2)
            std::printf("{\"serial\":\"%s\",\"imprint\":\"%s\",\"gen_time\":\"%s\"}\n",
                        to_hex(made.serial).c_str(), to_hex(made.imprint).c_str(),
                        to_rfc3339(from_unix_us(gen_time_us)).c_str());
        in_flight.begin();
        (*archive)->append(
            from_unix_us(gen_time_us), made, fill.blobs(),
            [&in_flight](const Result<store::RecordNumber>& outcome) { in_flight.end(outcome); });
    }
    if (const auto failed = in_flight.all_done(); !failed.empty()) {
        std::fprintf(stderr, "kokuin-fill: %s\n", failed.c_str());
        return 3;
    }
    return 0;
}
