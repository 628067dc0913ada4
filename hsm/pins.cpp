#include "hsm/pins.h"

namespace kokuin::hsm {
namespace {

CK_RV login(const ModuleCall& call, const Session& session, const Secret& pin) {
    return call->C_Login(session.handle(), CKU_SO, pin_octets(pin), pin.view().size());
}

}  // namespace

std::optional<PinFailure> set_pins(const std::shared_ptr<Module>& module, const Locator& locator,
                                   const PinChange& change) {
    const auto epoch = module->epoch();
    const auto call = ModuleCall::enter(*module, epoch);
    if (!call)
        return PinFailure{
            Error::environment("PKCS#11 module " + module->path() + ": is being initialised anew"), true};
    const auto token = locator.find(*call);
    if (!token) return PinFailure{token.error(), true};
    const auto where = "token '" + token->label + "' (serial " + token->serial + "): ";
    if (token->flags & (CKF_SO_PIN_LOCKED | CKF_SO_PIN_FINAL_TRY))
        return PinFailure{
            Error::usage(where +
                         "the security officer's PIN is locked, or one wrong try away from it; it wasn't "
                         "tried"),
            true};
    const auto session = Session::open(module, epoch, token->slot, CKF_RW_SESSION);
    if (!session) return PinFailure{failure(session.error(), where + "opening a session"), true};

    bool is_new = false;
    CK_RV rv = CKR_PIN_INCORRECT;
    if (change.begun) {
        rv = login(*call, *session, change.new_officer);
        is_new = rv == CKR_OK;
    }
    if (rv == CKR_PIN_INCORRECT) rv = login(*call, *session, change.officer);
    if (rv != CKR_OK) {
        auto error = failure(rv, where + "the security officer's login");
        if (is_pin_refusal(rv)) error.kind = Error::Kind::usage;
        return PinFailure{std::move(error), !change.begun};
    }
    const char* doing = "setting the security officer's PIN";
    if (!is_new)
        rv = (*call)->C_SetPIN(session->handle(), pin_octets(change.officer), change.officer.view().size(),
                               pin_octets(change.new_officer), change.new_officer.view().size());
    const bool officer_set = rv == CKR_OK;
    if (officer_set) {
        doing = "setting the user's PIN";
        rv =
            (*call)->C_InitPIN(session->handle(), pin_octets(change.new_user), change.new_user.view().size());
    }
    (*call)->C_Logout(session->handle());
    if (rv == CKR_OK) return std::nullopt;
    // A PIN that the token finds too short or too long was looked at before anything was written.
    return PinFailure{failure(rv, where + doing), !change.begun && !officer_set && !is_loss(rv)};
}

}  // namespace kokuin::hsm
