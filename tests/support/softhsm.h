// A real PKCS#11 token for tests: SoftHSM in a folder of its own, and the same behind another process that
// can be killed. Failures throw std::runtime_error: without a token there is no test.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace kokuin::testing {

/// Runs a program (found in PATH) to its end, without a shell; its output and errors together.
struct Ran {
    int status = -1;  ///< exit code, 128 + signal if it was killed
    std::string output;
};
Ran run(const std::vector<std::string>& command);

/// A folder with SoftHSM's configuration and tokens; removed with everything in it when it goes. Not
/// copyable: it owns the folder. While it lives the environment of this process points to it (SOFTHSM2_CONF),
/// so there is one at a time, and it must be made before a Module is loaded and go after it.
class SoftHsm {
  public:
    static constexpr const char* pin = "1234-user";
    static constexpr const char* so_pin = "5678-officer";

    /// With one token of this label.
    explicit SoftHsm(const std::string& label = "kokuin-test");
    ~SoftHsm();
    SoftHsm(const SoftHsm&) = delete;
    SoftHsm& operator=(const SoftHsm&) = delete;

    /// One more token, with the same PINs.
    void add_token(const std::string& label);
    [[nodiscard]] const std::string& folder() const { return folder_; }
    [[nodiscard]] const std::string& label() const { return label_; }
    /// The library, to be loaded into this process.
    [[nodiscard]] static std::string module();

  private:
    std::string label_;
    std::string folder_;
};

/// SoftHSM's tokens behind p11-kit's remoting: a server process, and p11-kit's client module that talks to
/// it. While it lives P11_KIT_SERVER_ADDRESS of this process names its socket. Not copyable: it owns the
/// process. The test must ignore SIGPIPE.
class RemoteSoftHsm {
  public:
    explicit RemoteSoftHsm(const SoftHsm& tokens);
    ~RemoteSoftHsm();
    RemoteSoftHsm(const RemoteSoftHsm&) = delete;
    RemoteSoftHsm& operator=(const RemoteSoftHsm&) = delete;

    /// kill -9 of the server and of whatever it has started. Returns when they are gone.
    void kill();
    /// Starts the server again on the same socket; returns when it takes connections.
    void start();
    /// The client module, to be loaded into this process.
    [[nodiscard]] static std::string module();

  private:
    std::string socket_;
    pid_t group_ = -1;
};

}  // namespace kokuin::testing
