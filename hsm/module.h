// A PKCS#11 module (the HSM's library), loaded once and shared.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <shared_mutex>
#include <string>

#include <p11-kit/pkcs11.h>

#include "base/result.h"

namespace kokuin::hsm {

/// What a CK_RV says: "CKR_PIN_INCORRECT (0xa0)".
std::string words(CK_RV value);

/// A loaded module. PKCS#11 has one state per module and process, so whoever uses a module shares this
/// object: calls hold use(), and initialise() waits until none is running.
class Module {
  public:
    /// Loads the library and initialises it for many threads (CKF_OS_LOCKING_OK: without it SoftHSM crashes
    /// with two). Error::usage: no such library, or it is none of PKCS#11. An HSM that doesn't answer is no
    /// error here: Token tells it, and waits for it.
    static Result<std::shared_ptr<Module>> load(const std::string& path);
    ~Module();
    // C_Finalize is called once, and no function of the library after it is unloaded.
    Module(const Module&) = delete;
    Module& operator=(const Module&) = delete;

    [[nodiscard]] const std::string& path() const { return path_; }
    /// The module's functions. Valid as long as the Module.
    [[nodiscard]] CK_FUNCTION_LIST& functions() const { return *functions_; }
    /// To be held during every call of functions().
    [[nodiscard]] std::shared_lock<std::shared_mutex> use() const { return std::shared_lock(mutex_); }
    /// How often the module was initialised: handles of another generation are void.
    [[nodiscard]] std::uint64_t generation() const { return generation_; }
    /// C_Finalize and C_Initialize, unless that was done since `seen`, or a token of this module works and
    /// would lose its sessions by it.
    Done initialise(std::uint64_t seen);
    /// A Token counts itself here while it works.
    std::atomic<int>& working() { return working_; }

  private:
    Module(std::string path, CK_FUNCTION_LIST* functions) : path_(std::move(path)), functions_(functions) {}
    CK_RV start();

    std::string path_;
    CK_FUNCTION_LIST* functions_;
    mutable std::shared_mutex mutex_;
    std::atomic<std::uint64_t> generation_{0};
    std::atomic<int> working_{0};
};

}  // namespace kokuin::hsm
