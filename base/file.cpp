#include "base/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "base/descriptor.h"

namespace kokuin {
namespace {

Error trouble(const std::string& path, const char* doing) {
    return Error::environment(path + ": can't " + doing + ": " + std::strerror(errno));
}

bool write_all(int file, View rest) {
    while (!rest.empty()) {
        const ssize_t put = ::write(file, rest.data(), rest.size());
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) return false;
        rest = rest.subspan(static_cast<std::size_t>(put));
    }
    return true;
}

}  // namespace

Result<Bytes> read_file(const std::string& path, std::size_t limit) {
    const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file) return trouble(path, "open it");
    Bytes content;
    Bytes chunk(64U << 10U);
    while (true) {
        const ssize_t got = ::read(file.get(), chunk.data(), chunk.size());
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return trouble(path, "read it");
        if (got == 0) return content;
        append(content, View(chunk).first(static_cast<std::size_t>(got)));
        if (content.size() > limit)
            return Error::usage(path + ": larger than the " + std::to_string(limit) +
                                " octets expected here");
    }
}

Done write_file(const std::string& path, View content, unsigned mode) {
    // A device, a pipe or a link is written into: a file in its place would break it for everybody.
    struct stat there {};
    if (::lstat(path.c_str(), &there) == 0 && !S_ISREG(there.st_mode)) {
        const Descriptor file(::open(path.c_str(), O_WRONLY | O_TRUNC | O_CLOEXEC));
        if (!file || !write_all(file.get(), content)) return trouble(path, "write it");
        // Devices and pipes know no fsync.
        if (::fsync(file.get()) != 0 && errno != EINVAL && errno != EROFS && errno != ENOTSUP)
            return trouble(path, "write it");
        return {};
    }
    const std::string temporary = path + ".new." + to_hex(random_octets(6));
    {
        const Descriptor file(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode));
        if (!file) return trouble(path, "write it");
        if (!write_all(file.get(), content)) {
            auto error = trouble(path, "write it");
            ::unlink(temporary.c_str());
            return error;
        }
        if (::fsync(file.get()) != 0) {
            auto error = trouble(path, "write it");
            ::unlink(temporary.c_str());
            return error;
        }
    }
    if (std::rename(temporary.c_str(), path.c_str()) != 0) {
        auto error = trouble(path, "put it in place");
        ::unlink(temporary.c_str());
        return error;
    }
    auto folder = std::filesystem::path(path).parent_path();
    if (folder.empty()) folder = ".";
    const Descriptor directory(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!directory || ::fsync(directory.get()) != 0) return trouble(path, "make it durable");
    return {};
}

}  // namespace kokuin
