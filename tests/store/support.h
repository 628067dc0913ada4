// What the store's tests share: folders that go away, records that look like real ones, child processes.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "store/archive.h"
#include "store/reader.h"
#include "store/record.h"

namespace kokuin::store::test {

/// A fresh folder below the system's temporary folder; removed with all it holds.
class Folder {
  public:
    Folder();
    ~Folder();
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;
    [[nodiscard]] const std::string& path() const { return path_; }
    [[nodiscard]] std::string operator/(const std::string& name) const { return path_ + "/" + name; }

  private:
    std::string path_;
};

/// `size` octets that depend on `seed` only and look random.
Bytes noise(std::uint64_t seed, std::size_t size);

/// A token-shaped octet string and what an issuance says of it. Same seed, same everything.
struct Sample {
    Issuance issuance;
    Bytes token;
    std::vector<Blob> blobs;
};
/// About 3 KB, of which some 500 octets are its own. `time_us`: genTime; the serial number is time-ordered in
/// front.
Sample sample(std::uint64_t seed, std::int64_t time_us);
/// A sample without the work of making blobs again: they are the same for all seeds.
const std::vector<Blob>& common_blobs();

/// 2026-11-23T12:00:00Z, µs since 1970.
constexpr std::int64_t noon = 1795435200'000000;
/// 2026-12-01T00:00:00Z, the next month's first.
constexpr std::int64_t december = 1796083200'000000;
inline WallTime at(std::int64_t us) {
    return from_unix_us(us);
}

/// All of the archive's records by number, decoded; checks that there is no gap from 0 to the last.
std::vector<Found> all_records(const std::string& dir);

/// Makes an archive (at `noon`) and opens it.
std::unique_ptr<Archive> fresh_archive(const std::string& dir);

/// Runs a shell command; its output (stdout and stderr) and exit code.
struct Ran {
    int code = -1;
    std::string output;
};
Ran run(const std::string& command);

/// Runs this test program's hidden test case `name` in a child process with `argument` in the environment as
/// KOKUIN_TEST_ARGUMENT; its stdout is read from `output`.
struct Child {
    pid_t pid = -1;
    int output = -1;
};
Child spawn(const std::string& name, const std::string& argument);

}  // namespace kokuin::store::test
