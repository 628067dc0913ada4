// How hsm calls into a module: entering it, sessions, and initialising it anew. Internal to hsm.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>

#include "base/result.h"
#include "base/secret.h"
#include "hsm/cryptoki.h"
#include "hsm/module.h"

namespace kokuin::hsm {

/// A PIN as PKCS#11 takes it, which doesn't change it. Valid as long as the secret.
inline CK_UTF8CHAR* pin_octets(const Secret& pin) {
    return const_cast<CK_UTF8CHAR*>(pin.view().data());
}

struct Module::State {
    CK_FUNCTION_LIST* functions = nullptr;
    std::mutex mutex;
    std::condition_variable left;  // a call has returned
    // p11-kit's client sends the calls of all threads through one socket. When its other end dies, the thread
    // that reads is told, and those that wait behind it wait for ever (seen with 0.24.1). So there one thread
    // calls at a time, which costs nothing: the other end works off one call after the other. Recursive: a
    // call may open a session.
    bool one_at_a_time = false;
    std::recursive_mutex turn;
    unsigned in_progress = 0;  // calls inside the module
    bool shut = false;         // it is being initialised anew: nobody enters
    std::uint64_t epoch = 1;   // handles of another epoch mean nothing, or something else
    bool initialised = false;
    unsigned working = 0;                  // Tokens that work at this moment
    std::set<std::string> refused_tokens;  // identities of tokens that have called a PIN wrong
};

struct ModuleInternals {
    static Module::State& of(const Module& module) { return *module.state_; }

    /// C_Finalize and C_Initialize, if the module is still in the epoch that the caller has failed in
    /// (otherwise somebody else has done it already: done). Refused while another Token works, or if the
    /// calls in progress don't return within `patience`. Afterwards a new epoch has begun even if the module
    /// refused to start.
    static Done reinitialise(Module& module, std::uint64_t failed_epoch, std::chrono::milliseconds patience);

    /// Counts a Token as working, which protects it from reinitialise(); true if that epoch still stands.
    static bool begin_work(Module& module, std::uint64_t epoch);
    static void end_work(Module& module);

    static void refuse_token(Module& module, const std::string& identity);
    static bool is_refused(Module& module, const std::string& identity);
};

/// The right to call into the module for a moment: while one exists the module isn't initialised anew.
/// Entering never waits for that, and for other threads only where the module takes one call at a time.
/// Belongs to one thread. Not copyable: it is counted once.
class ModuleCall {
  public:
    /// Nothing if the module has been initialised anew since `epoch`, or is at this moment: then the handles
    /// of that epoch are gone.
    static std::optional<ModuleCall> enter(Module& module, std::uint64_t epoch);
    ModuleCall(ModuleCall&& other) noexcept
        : turn_(std::move(other.turn_)), module_(std::exchange(other.module_, nullptr)) {}
    ModuleCall& operator=(ModuleCall&&) = delete;
    ~ModuleCall();

    CK_FUNCTION_LIST* operator->() const { return ModuleInternals::of(*module_).functions; }

  private:
    ModuleCall(std::unique_lock<std::recursive_mutex> turn, Module* module)
        : turn_(std::move(turn)), module_(module) {}
    std::unique_lock<std::recursive_mutex> turn_;
    Module* module_;
};

/// A session; closed when it goes, if its epoch still stands. Not copyable: the handle names one session, and
/// its second owner would close what another has opened since.
class Session {
  public:
    /// Opens a session with the token in this slot. `flags`: CKF_RW_SESSION or 0.
    static Result<Session, CK_RV> open(const std::shared_ptr<Module>& module, std::uint64_t epoch,
                                       CK_SLOT_ID slot, CK_FLAGS flags);
    Session(Session&& other) noexcept
        : module_(std::move(other.module_)),
          epoch_(other.epoch_),
          handle_(std::exchange(other.handle_, CK_INVALID_HANDLE)) {}
    Session& operator=(Session&& other) noexcept;
    Session(const Session&) = delete;
    Session& operator=(const Session&) = delete;
    ~Session() { close(); }

    [[nodiscard]] CK_SESSION_HANDLE handle() const { return handle_; }

  private:
    Session(std::shared_ptr<Module> module, std::uint64_t epoch, CK_SESSION_HANDLE handle)
        : module_(std::move(module)), epoch_(epoch), handle_(handle) {}
    void close() noexcept;

    std::shared_ptr<Module> module_;
    std::uint64_t epoch_;
    CK_SESSION_HANDLE handle_;
};

}  // namespace kokuin::hsm
