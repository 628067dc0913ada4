#include "base/file.h"

#include <fcntl.h>
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
    const std::string temporary = path + ".new." + to_hex(random_octets(6));
    {
        const Descriptor file(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode));
        if (!file) return trouble(path, "write it");
        for (View rest = content; !rest.empty();) {
            const ssize_t put = ::write(file.get(), rest.data(), rest.size());
            if (put < 0 && errno == EINTR) continue;
            if (put < 0) {
                auto error = trouble(path, "write it");
                ::unlink(temporary.c_str());
                return error;
            }
            rest = rest.subspan(static_cast<std::size_t>(put));
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
