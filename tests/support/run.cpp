#include "tests/support/run.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <stdexcept>

extern char** environ;

namespace kokuin::testing {
namespace {

pid_t spawn(const std::vector<std::string>& command, int out, bool own_group) {
    std::vector<char*> arguments;
    for (const auto& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
    arguments.push_back(nullptr);
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&files, out, 1);
    posix_spawn_file_actions_adddup2(&files, out, 2);
    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    if (own_group) {
        posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
        posix_spawnattr_setpgroup(&attributes, 0);
    }
    pid_t child = -1;
    const int failed = posix_spawnp(&child, arguments[0], &files, &attributes, arguments.data(), environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&files);
    if (failed) throw std::runtime_error(command.front() + ": " + std::strerror(failed));
    return child;
}

}  // namespace

Ran run(const std::vector<std::string>& command) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("pipe failed");
    const pid_t child = spawn(command, ends[1], false);
    close(ends[1]);
    Ran ran;
    std::array<char, 4096> buffer{};
    for (;;) {
        const ssize_t got = read(ends[0], buffer.data(), buffer.size());
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) break;
        ran.output.append(buffer.data(), static_cast<std::size_t>(got));
    }
    close(ends[0]);
    int status = 0;
    waitpid(child, &status, 0);
    ran.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return ran;
}

pid_t start_in_group(const std::vector<std::string>& command) {
    const int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    const pid_t child = spawn(command, null, true);
    close(null);
    return child;
}

std::string first_of(const std::vector<std::string>& paths) {
    for (const auto& path : paths)
        if (std::filesystem::exists(path)) return path;
    throw std::runtime_error(paths.front() + " is missing; scripts/setup --test installs it");
}

}  // namespace kokuin::testing
