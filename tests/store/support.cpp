#include "tests/store/support.h"

#include <botan/hash.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <catch2/catch.hpp>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <random>

#include "base/der.h"

namespace kokuin::store::test {

Folder::Folder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "kokuin-store-XXXXXX").string();
    REQUIRE(::mkdtemp(pattern.data()) != nullptr);
    path_ = pattern;
}

Folder::~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
}

Bytes noise(std::uint64_t seed, std::size_t size) {
    std::mt19937_64 generator(seed * 2654435761U + 17);
    Bytes octets(size);
    for (auto& octet : octets) octet = static_cast<std::uint8_t>(generator());
    return octets;
}

const std::vector<Blob>& common_blobs() {
    // TSU certificate, its issuer, a TAC, the constant stretch of signed attributes.
    static const std::vector<Blob> blobs{Blob(noise(1, 1200)), Blob(noise(2, 900)), Blob(noise(3, 700)),
                                         Blob(noise(4, 180))};
    return blobs;
}

Sample sample(std::uint64_t seed, std::int64_t time_us) {
    const auto& blobs = common_blobs();
    Sample result;
    result.blobs = blobs;
    Issuance& issuance = result.issuance;
    const auto time = static_cast<std::uint64_t>(time_us);
    for (int shift = 48; shift >= 0; shift -= 8)
        issuance.serial.push_back(static_cast<std::uint8_t>(time >> shift));
    append(issuance.serial, noise(seed ^ 0x5e71a1U, 12));
    issuance.serial =
        Bytes(issuance.serial.begin() + (issuance.serial[0] == 0 ? 1 : 0), issuance.serial.end());
    issuance.gen_time_us = time_us;
    issuance.policy = seed % 2 == 0 ? "1.3.6.1.4.1.1291.1.1.1.1" : "1.3.6.1.4.1.1291.1.1.1.2";
    issuance.imprint_algorithm = "2.16.840.1.101.3.4.2.1";
    issuance.imprint = noise(seed ^ 0x1337U, 32);
    issuance.tsu = "tsu1";
    issuance.tac = TacReference{blobs[2].id(), Bytes{0x01, 0x02}};
    issuance.clock_bound_us = 31234;
    issuance.certificate = blobs[0].id();

    const Bytes info = der::sequence({der::integer(1), der::oid(issuance.policy),
                                      der::octets(issuance.imprint), der::unsigned_integer(issuance.serial)});
    const auto hash = Botan::HashFunction::create_or_throw("SHA-512");
    hash->update(info.data(), info.size());
    Bytes digest(hash->output_length());
    hash->final(digest.data());
    Bytes inner = info;
    append(inner, blobs[0].content());
    append(inner, blobs[1].content());
    append(inner, blobs[3].content());
    append(inner, der::octets(digest));
    append(inner, der::octets(noise(seed ^ 0xef01U, 256)));
    result.token = der::tlv(der::sequence_tag, inner);
    const auto begin = static_cast<std::int64_t>(result.token.size() - inner.size());
    issuance.token = split(result.token, blobs, issuance.imprint, issuance.serial,
                           Digest{"2.16.840.1.101.3.4.2.3", begin, static_cast<std::int64_t>(info.size())});
    return result;
}

std::vector<Found> all_records(const std::string& dir) {
    auto reader = ArchiveReader::open(dir);
    REQUIRE(reader);
    std::vector<Found> records;
    for (RecordNumber number = 0;; ++number) {
        auto found = (*reader)->record(number);
        if (!found) {
            REQUIRE(found.error().kind == Error::Kind::no);
            break;
        }
        REQUIRE(found->record.number == number);
        records.push_back(std::move(*found));
    }
    return records;
}

std::unique_ptr<Archive> fresh_archive(const std::string& dir) {
    const auto created = Archive::create(dir, at(noon));
    if (!created) FAIL(created.error().text);
    auto archive = Archive::open(dir);
    if (!archive) FAIL(archive.error().text);
    return std::move(*archive);
}

Ran run(const std::string& command) {
    Ran ran;
    FILE* pipe = ::popen(("( " + command + " ) 2>&1").c_str(), "re");
    REQUIRE(pipe != nullptr);
    std::array<char, 4096> buffer{};
    while (const std::size_t size = std::fread(buffer.data(), 1, buffer.size(), pipe))
        ran.output.append(buffer.data(), size);
    const int status = ::pclose(pipe);
    ran.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    return ran;
}

Child spawn(const std::string& name, const std::string& argument) {
    std::array<int, 2> ends{};
    REQUIRE(::pipe2(ends.data(), O_CLOEXEC) == 0);
    const pid_t pid = ::fork();
    REQUIRE(pid >= 0);
    if (pid == 0) {
        ::dup2(ends[1], STDOUT_FILENO);
        ::setenv("KOKUIN_TEST_ARGUMENT", argument.c_str(),
                 1);  // NOLINT(concurrency-mt-unsafe): one thread here
        ::execl("/proc/self/exe", "test_store", name.c_str(), static_cast<char*>(nullptr));
        ::_exit(127);
    }
    ::close(ends[1]);
    return {pid, ends[0]};
}

}  // namespace kokuin::store::test
