#include "hsm/call.h"

#include <utility>

namespace kokuin::hsm {

std::optional<ModuleCall> ModuleCall::enter(Module& module, std::uint64_t epoch) {
    Module::State& state = ModuleInternals::of(module);
    std::unique_lock turn(state.turn, std::defer_lock);
    if (state.one_at_a_time) turn.lock();
    // Judged after the turn has come: what happened meanwhile counts.
    const std::lock_guard lock(state.mutex);
    if (state.shut || state.epoch != epoch) return std::nullopt;
    ++state.in_progress;
    return ModuleCall(std::move(turn), &module);
}

ModuleCall::~ModuleCall() {
    if (!module_) return;
    Module::State& state = ModuleInternals::of(*module_);
    const std::lock_guard lock(state.mutex);
    if (--state.in_progress == 0 && state.shut) state.left.notify_all();
}

Result<Session, CK_RV> Session::open(const std::shared_ptr<Module>& module, std::uint64_t epoch,
                                     CK_SLOT_ID slot, CK_FLAGS flags) {
    const auto call = ModuleCall::enter(*module, epoch);
    if (!call) return CK_RV{CKR_SESSION_CLOSED};
    CK_SESSION_HANDLE handle = CK_INVALID_HANDLE;
    const CK_RV rv = (*call)->C_OpenSession(slot, flags | CKF_SERIAL_SESSION, nullptr, nullptr, &handle);
    if (rv != CKR_OK) return rv;
    return Session(module, epoch, handle);
}

Session& Session::operator=(Session&& other) noexcept {
    if (this != &other) {
        close();
        module_ = std::move(other.module_);
        epoch_ = other.epoch_;
        handle_ = std::exchange(other.handle_, CK_INVALID_HANDLE);
    }
    return *this;
}

void Session::close() noexcept {
    if (handle_ == CK_INVALID_HANDLE) return;
    // In a later epoch this number may be somebody else's session.
    if (const auto call = ModuleCall::enter(*module_, epoch_)) (*call)->C_CloseSession(handle_);
    handle_ = CK_INVALID_HANDLE;
}

}  // namespace kokuin::hsm
