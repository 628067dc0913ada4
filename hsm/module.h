// A PKCS#11 module (a shared library) inside this process.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "base/result.h"

namespace kokuin::hsm {

/// One PKCS#11 module, loaded and initialised (C_Initialize with CKF_OS_LOCKING_OK: without it two threads
/// crash modules). PKCS#11 keeps its state per process and module, so a process has at most one Module for
/// one path: two Tokens that live in the same module share it (`Modules` below sees to that). A second one
/// for the same path is refused, because its C_Finalize would pull the module from under the first.
///
/// Not copyable nor movable: the module's state behind it is the process's, and every session names this
/// object. Thread-safe. The last owner's release calls C_Finalize and unloads the library.
class Module {
  public:
    /// Loads and initialises the library. `path`: a file, or a bare name in p11-kit's module folder
    /// ("opensc-pkcs11.so"). `parameters`: what its maker wants to have said at C_Initialize, as text in
    /// pReserved (NSS: docs/hsm.md); empty: nothing, as PKCS#11 has it (2.40, 3.1: "reserved for future
    /// use"). Fails (usage) if there is no such library or it is no PKCS#11 module, (environment) if it
    /// refuses to start.
    static Result<std::shared_ptr<Module>> load(const std::string& path, const std::string& parameters = {});
    ~Module();
    Module(const Module&) = delete;
    Module& operator=(const Module&) = delete;

    [[nodiscard]] const std::string& path() const { return path_; }
    [[nodiscard]] const std::string& parameters() const { return parameters_; }
    /// How often the module has been initialised: 1 after load(), one more after each recovery that needed
    /// it.
    [[nodiscard]] std::uint64_t epoch() const;

    struct State;  ///< hsm/call.h; for the inside of hsm

  private:
    friend struct ModuleInternals;
    Module(std::string path, std::string parameters, std::unique_ptr<State> state);

    std::string path_;
    std::string parameters_;
    std::unique_ptr<State> state_;
};

/// The modules of a process, one for each path, made when first asked for. Owned by main and handed to
/// whoever opens tokens; it keeps no module alive by itself. Thread-safe.
class Modules {
  public:
    /// As Module::load(). Error (usage) if the module is in use with other parameters.
    Result<std::shared_ptr<Module>> get(const std::string& path, const std::string& parameters = {});

  private:
    std::mutex mutex_;
    std::map<std::string, std::weak_ptr<Module>> by_path_;
};

}  // namespace kokuin::hsm
