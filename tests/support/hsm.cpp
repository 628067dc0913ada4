#include "tests/support/hsm.h"

#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <thread>

#include "tests/support/run.h"
#include "tests/support/softhsm.h"
#include "tests/support/softokn.h"

namespace kokuin::testing {

Hsm::Hsm(std::string label) : label_(std::move(label)) {
    std::string pattern = (std::filesystem::temp_directory_path() / "kokuin-hsm-XXXXXX").string();
    if (!mkdtemp(pattern.data())) throw std::runtime_error("no temporary folder");
    folder_ = pattern;
}

Hsm::~Hsm() {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
}

std::string Hsm::module_for_others() const {
    if (module_parameters().empty()) return module_path();
    setenv("KOKUIN_MODULE", module_path().c_str(), 1);
    setenv("KOKUIN_MODULE_PARAMETERS", module_parameters().c_str(), 1);
    return KOKUIN_MODULE_WITH_PARAMETERS;
}

std::unique_ptr<Hsm> hsm_under_test(const std::string& label) {
    const char* named = std::getenv("KOKUIN_TEST_HSM");
    const std::string which = named ? named : "softhsm";
    if (which == "softhsm") return std::make_unique<SoftHsm>(label);
    if (which == "nss") return std::make_unique<Softokn>(label);
    throw std::runtime_error("KOKUIN_TEST_HSM is softhsm or nss, not '" + which + "'");
}

std::string RemoteHsm::module() {
    return first_of(
        {"/usr/lib/x86_64-linux-gnu/pkcs11/p11-kit-client.so", "/usr/lib/pkcs11/p11-kit-client.so"});
}

RemoteHsm::RemoteHsm(const Hsm& tokens)
    : socket_(tokens.folder() + "/remote.sock"), provider_(tokens.module_for_others()) {
    setenv("P11_KIT_SERVER_ADDRESS", ("unix:path=" + socket_).c_str(), 1);
    start();
}

RemoteHsm::~RemoteHsm() {
    kill();
    unsetenv("P11_KIT_SERVER_ADDRESS");
}

void RemoteHsm::start() {
    ::unlink(socket_.c_str());
    group_ = start_in_group({"p11-kit", "server", "-f", "-n", socket_, "--provider", provider_, "pkcs11:"});
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

void RemoteHsm::kill() {
    if (group_ <= 0) return;
    // The server and one process for each connection.
    ::kill(-group_, SIGKILL);
    int status = 0;
    waitpid(group_, &status, 0);
    group_ = -1;
}

}  // namespace kokuin::testing
