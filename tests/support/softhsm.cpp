#include "tests/support/softhsm.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <thread>

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

std::string first_of(const std::vector<std::string>& paths) {
    for (const auto& path : paths)
        if (std::filesystem::exists(path)) return path;
    throw std::runtime_error(paths.front() + " is missing; scripts/setup installs it");
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

std::string SoftHsm::module() {
    return first_of({"/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so"});
}

SoftHsm::SoftHsm(const std::string& label) : label_(label) {
    std::string pattern = (std::filesystem::temp_directory_path() / "kokuin-softhsm-XXXXXX").string();
    if (!mkdtemp(pattern.data())) throw std::runtime_error("no temporary folder");
    folder_ = pattern;
    std::filesystem::create_directory(folder_ + "/tokens");
    std::ofstream(folder_ + "/softhsm2.conf") << "directories.tokendir = " << folder_ << "/tokens\n"
                                              << "objectstore.backend = file\nlog.level = ERROR\n";
    setenv("SOFTHSM2_CONF", (folder_ + "/softhsm2.conf").c_str(), 1);
    add_token(label);
#if defined(__SANITIZE_THREAD__)
    // The thread sanitizer ends the process when a library that is named in its suppressions is unloaded.
    dlopen(module().c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
#endif
}

SoftHsm::~SoftHsm() {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
}

void SoftHsm::add_token(const std::string& label) {
    const Ran ran =
        run({"softhsm2-util", "--init-token", "--free", "--label", label, "--pin", pin, "--so-pin", so_pin});
    if (ran.status != 0) throw std::runtime_error("softhsm2-util: " + ran.output);
}

std::string RemoteSoftHsm::module() {
    return first_of(
        {"/usr/lib/x86_64-linux-gnu/pkcs11/p11-kit-client.so", "/usr/lib/pkcs11/p11-kit-client.so"});
}

RemoteSoftHsm::RemoteSoftHsm(const SoftHsm& tokens) : socket_(tokens.folder() + "/remote.sock") {
    setenv("P11_KIT_SERVER_ADDRESS", ("unix:path=" + socket_).c_str(), 1);
    start();
}

RemoteSoftHsm::~RemoteSoftHsm() {
    kill();
    unsetenv("P11_KIT_SERVER_ADDRESS");
}

void RemoteSoftHsm::start() {
    ::unlink(socket_.c_str());
    const int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    group_ = spawn({"p11-kit", "server", "-f", "-n", socket_, "--provider", SoftHsm::module(), "pkcs11:"},
                   null, true);
    close(null);
    // It takes connections as soon as the socket can be connected to.
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    socket_.copy(address.sun_path, sizeof address.sun_path - 1);
    while (std::chrono::steady_clock::now() < end) {
        const int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        const bool up = connect(probe, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
        close(probe);
        if (up) return;
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    throw std::runtime_error("p11-kit server doesn't start");
}

void RemoteSoftHsm::kill() {
    if (group_ <= 0) return;
    // The server and one process for each connection.
    ::kill(-group_, SIGKILL);
    int status = 0;
    waitpid(group_, &status, 0);
    group_ = -1;
}

}  // namespace kokuin::testing
