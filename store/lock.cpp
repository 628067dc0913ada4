#include "store/lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace kokuin::store {

Result<Lock> Lock::take(const std::string& dir) {
    const std::string path = dir + "/lock";
    // O_NOFOLLOW: it is truncated below; through a link that would be some other file.
    const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
    if (file < 0)
        return Error::environment(path + ": " + std::strerror(errno) +
                                  "; the archive's writer must be able to write there");
    Lock lock(file);
    if (::flock(file, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK)
            return Error::environment(path + ": can't be locked: " + std::strerror(errno));
        char text[32] = {};
        const auto size = ::pread(file, text, sizeof text - 1, 0);
        std::string holder(text, static_cast<std::size_t>(std::max<ssize_t>(size, 0)));
        holder.erase(
            std::find_if_not(holder.begin(), holder.end(), [](char c) { return c >= '0' && c <= '9'; }),
            holder.end());
        return Error::environment(dir + ": another process writes this archive" +
                                  (holder.empty() ? "" : " (process " + holder + ")") +
                                  ": ask that one, or stop it first");
    }
    const std::string text = std::to_string(::getpid()) + "\n";
    // Only for the message above: the lock holds also if the disk is too full for this.
    if (::ftruncate(file, 0) == 0) (void)!::pwrite(file, text.data(), text.size(), 0);
    return lock;
}

Lock::~Lock() {
    if (file_ >= 0) ::close(file_);
}

Lock::Lock(Lock&& other) noexcept : file_(std::exchange(other.file_, -1)) {}

Lock& Lock::operator=(Lock&& other) noexcept {
    std::swap(file_, other.file_);
    return *this;
}

}  // namespace kokuin::store
