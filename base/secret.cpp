#include "base/secret.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

#include "base/descriptor.h"

namespace kokuin {
namespace {

constexpr std::size_t longest_secret = 4096;

}  // namespace

Secret::Secret(View octets) {
    if (octets.empty()) return;
    const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    mapped_ = (octets.size() + page - 1) / page * page;
    void* pages = mmap(nullptr, mapped_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED) throw std::system_error(errno, std::generic_category(), "mmap");
    madvise(pages, mapped_, MADV_DONTDUMP);
    (void)mlock(pages, mapped_);  // refused under a small RLIMIT_MEMLOCK: see the header
    data_ = static_cast<std::uint8_t*>(pages);
    size_ = octets.size();
    std::memcpy(data_, octets.data(), size_);
}

Secret::~Secret() {
    release();
}

Secret::Secret(Secret&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      mapped_(std::exchange(other.mapped_, 0)) {}

Secret& Secret::operator=(Secret&& other) noexcept {
    if (this != &other) {
        release();
        data_ = std::exchange(other.data_, nullptr);
        size_ = std::exchange(other.size_, 0);
        mapped_ = std::exchange(other.mapped_, 0);
    }
    return *this;
}

void Secret::release() noexcept {
    if (!data_) return;
    explicit_bzero(data_, size_);
    munmap(data_, mapped_);
    data_ = nullptr;
    size_ = mapped_ = 0;
}

Result<Secret> read_secret_file(const std::string& path) {
    // O_NONBLOCK: a pipe is refused below, not waited for.
    const Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (!file)
        return Error::usage(path + ": the file with the secret can't be read: " + std::strerror(errno));
    struct stat status {};
    if (fstat(file.get(), &status) != 0) return Error::environment(path + ": " + std::strerror(errno));
    if (!S_ISREG(status.st_mode)) return Error::usage(path + ": a secret is read from a regular file only");
    if ((status.st_mode & 077U) != 0)
        return Error::usage(path + ": others may read this secret; close it with 'chmod 600 " + path + "'");
    if (status.st_uid != geteuid() && status.st_uid != 0)
        return Error::usage(path + ": this secret belongs to another user; make it yours with chown");
    std::array<std::uint8_t, longest_secret + 1> buffer{};
    std::size_t size = 0;
    while (size < buffer.size()) {
        const ssize_t got = read(file.get(), buffer.data() + size, buffer.size() - size);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return Error::environment(path + ": " + std::strerror(errno));
        if (got == 0) break;
        size += static_cast<std::size_t>(got);
    }
    const bool too_long = size > longest_secret;
    if (size > 0 && buffer[size - 1] == '\n') --size;
    Secret secret{View(buffer).first(too_long ? 0 : size)};
    explicit_bzero(buffer.data(), buffer.size());
    if (too_long) return Error::usage(path + ": longer than any secret (4096 octets)");
    if (secret.empty()) return Error::usage(path + ": the file with the secret is empty");
    return secret;
}

void forbid_core_dumps() {
    const rlimit none{0, 0};
    setrlimit(RLIMIT_CORE, &none);
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

}  // namespace kokuin
