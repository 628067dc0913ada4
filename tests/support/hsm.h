// A real PKCS#11 token for tests, whichever module it is in, and the same behind another process that can be
// killed. Failures throw std::runtime_error: without a token there is no test.
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>

namespace kokuin::testing {

/// A module with its tokens in a folder of their own, removed with everything in it when it goes. Not
/// copyable: it owns the folder. It must be made before a hsm::Module is loaded and go after it, and tokens
/// are added while none is loaded. One at a time: modules find theirs by the environment of the process.
class Hsm {
  public:
    static constexpr const char* pin = "1234-user";
    static constexpr const char* so_pin =
        "5678-officer";  ///< where the module's tokens have an officer's PIN

    virtual ~Hsm();
    Hsm(const Hsm&) = delete;
    Hsm& operator=(const Hsm&) = delete;

    /// One more token, with the same PINs.
    virtual void add_token(const std::string& label) = 0;
    /// A place where a token of this label can be made.
    virtual void add_slot(const std::string& label) = 0;
    /// The library, to be loaded into this process, and what is said to it at its start.
    [[nodiscard]] virtual std::string module_path() const = 0;
    [[nodiscard]] virtual std::string module_parameters() const { return {}; }
    /// Whether its keys have what PKCS#11 wants of them: CKA_LOCAL true of those made in the token, and a
    /// CKA_ALWAYS_AUTHENTICATE.
    [[nodiscard]] virtual bool attributes_complete() const { return true; }
    /// Whether it refuses to wrap a key that is not CKA_EXTRACTABLE, as PKCS#11 wants (C_WrapKey).
    [[nodiscard]] virtual bool keeps_keys() const { return true; }
    [[nodiscard]] virtual bool has_ed25519() const { return true; }
    [[nodiscard]] const std::string& folder() const { return folder_; }
    /// Of its first token.
    [[nodiscard]] const std::string& label() const { return label_; }
    /// The library, for a program that has nothing to say to it; good for children of this process.
    [[nodiscard]] std::string module_for_others() const;

  protected:
    explicit Hsm(std::string label);

  private:
    std::string label_;
    std::string folder_;
};

/// With one token of this label, in the module that the environment names: KOKUIN_TEST_HSM is "softhsm" (also
/// where it isn't set) or "nss".
std::unique_ptr<Hsm> hsm_under_test(const std::string& label = "kokuin-test");

/// Tokens behind p11-kit's remoting: a server process, and p11-kit's client module that talks to it. While it
/// lives P11_KIT_SERVER_ADDRESS of this process names its socket. Not copyable: it owns the process. The test
/// must ignore SIGPIPE.
class RemoteHsm {
  public:
    explicit RemoteHsm(const Hsm& tokens);
    ~RemoteHsm();
    RemoteHsm(const RemoteHsm&) = delete;
    RemoteHsm& operator=(const RemoteHsm&) = delete;

    /// kill -9 of the server and of whatever it has started. Returns when they are gone.
    void kill();
    /// Starts the server again on the same socket; returns when it takes connections.
    void start();
    /// The client module, to be loaded into this process.
    [[nodiscard]] static std::string module();

  private:
    std::string socket_;
    std::string provider_;
    pid_t group_ = -1;
};

}  // namespace kokuin::testing
