// A new token in a free slot. Stands alone: it runs once in the life of a token, with no Token open.
#include <algorithm>
#include <cstring>
#include <optional>

#include "base/secret.h"
#include "hsm/call.h"
#include "hsm/commands.h"

namespace kokuin::hsm {
namespace {

// What to tell if the HSM doesn't want a PIN because of what it is.
std::optional<Error> refused_pin(CK_RV value, const std::string& file) {
    if (value != CKR_PIN_LEN_RANGE && value != CKR_PIN_INVALID) return std::nullopt;
    return Error::usage(
        file + ": the HSM refuses this PIN (" + name_of(value) +
        "); write another one, of a length and of characters that it allows, and repeat the command");
}

Error failed(const Settings& settings, const std::string& doing, CK_RV value) {
    return failure(value, settings.module + ": " + doing);
}

/// Where the new token goes.
struct Place {
    CK_SLOT_ID slot;
    bool begun;  ///< there is a token of this label already, whose user has no PIN yet
};

Result<Place> find_place(const ModuleCall& module, const Settings& settings) {
    CK_SLOT_ID slots[256];
    CK_ULONG count = std::size(slots);
    if (const CK_RV done = module->C_GetSlotList(CK_TRUE, slots, &count); done != CKR_OK)
        return failed(settings, "listing the slots", done);
    std::optional<CK_SLOT_ID> free_slot;
    std::optional<CK_SLOT_ID> begun_slot;
    bool named = false;
    for (const CK_SLOT_ID* slot = slots; slot != slots + count; ++slot) {
        CK_TOKEN_INFO info{};
        if (module->C_GetTokenInfo(*slot, &info) != CKR_OK) continue;
        const bool same_label = field_text(info.label, sizeof info.label) == settings.token;
        if ((info.flags & CKF_TOKEN_INITIALIZED) == 0) {
            // Where the module's own configuration names its tokens, they have their names before they are
            // made.
            if (!named) free_slot = *slot;
            named |= same_label;
        } else if (same_label) {
            if ((info.flags & CKF_USER_PIN_INITIALIZED) != 0)
                return Error::usage(settings.module + ": there is a token '" + settings.token +
                                    "' already; it is left as it is");
            begun_slot = *slot;
        }
    }
    if (begun_slot) return Place{*begun_slot, true};
    if (free_slot) return Place{*free_slot, false};
    return Error::environment(settings.module + ": no free slot for a new token");
}

/// C_InitToken. The token has the label afterwards, or it is an error.
Done make_token(const ModuleCall& module, CK_SLOT_ID slot, const Settings& settings, const NewPins& pins) {
    CK_UTF8CHAR label[sizeof(CK_TOKEN_INFO::label)];
    std::memset(label, ' ', sizeof label);
    std::copy(settings.token.begin(), settings.token.end(), label);
    CK_RV done = module->C_InitToken(slot, pin_octets(pins.officer), pins.officer.view().size(), label);
    // A free slot has no PIN that this one could differ from: SoftHSM calls a wrong length incorrect.
    if (done == CKR_PIN_INCORRECT) done = CKR_PIN_INVALID;
    if (const auto refused = refused_pin(done, pins.officer_from)) return *refused;
    if (done != CKR_OK) return failed(settings, "C_InitToken", done);
    CK_TOKEN_INFO made{};
    done = module->C_GetTokenInfo(slot, &made);
    if (done != CKR_OK) return failed(settings, "looking at the new token", done);
    if (const auto name = field_text(made.label, sizeof made.label); name != settings.token)
        return Error::usage(settings.module + ": calls its new token '" + name + "', not '" + settings.token +
                            "' as it was asked to; give it that name in the module's own configuration, or "
                            "write its own into [hsm] token, and repeat the command");
    return {};
}

}  // namespace

Done initialise_token(const Settings& settings, const std::string& so_pin_file) {
    const auto pin = read_secret_file(settings.pin_file);
    if (!pin) return pin.error();
    const auto so_pin = read_secret_file(so_pin_file);
    if (!so_pin) return so_pin.error();
    return initialise_token(settings, {*pin, settings.pin_file, *so_pin, so_pin_file});
}

Done initialise_token(const Settings& settings, const NewPins& pins) {
    const auto& label = settings.token;
    if (label.rfind("pkcs11:", 0) == 0 || label.size() > sizeof(CK_TOKEN_INFO::label))
        return Error::usage("[hsm] token '" + label +
                            "': a new token needs a label of at most 32 octets, no URI");
    const auto loaded = Module::load(settings.module, settings.module_parameters);
    if (!loaded) return loaded.error();
    const auto entered = ModuleCall::enter(**loaded, (*loaded)->epoch());
    if (!entered) return Error::environment(settings.module + ": is being initialised anew");
    const auto& module = *entered;
    const auto place = find_place(module, settings);
    if (!place) return place.error();

    // A call that got no further than the officer's PIN left a token without a user's: it is gone on with,
    // never initialised again. What the HSM thinks of a PIN is known only when it has been tried.
    if (!place->begun)
        if (auto made = make_token(module, place->slot, settings, pins); !made) return made;
    CK_SESSION_HANDLE session = 0;
    CK_RV done =
        module->C_OpenSession(place->slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, nullptr, nullptr, &session);
    if (done != CKR_OK) return failed(settings, "opening a session", done);
    const char* doing = "the security officer's login";
    const std::string* from = &pins.officer_from;
    done = module->C_Login(session, CKU_SO, pin_octets(pins.officer), pins.officer.view().size());
    // A token that keeps no officer's PIN (NSS) calls the one that it was given a moment ago incorrect: there
    // the officer is whoever comes before the user has a PIN.
    if (done == CKR_PIN_INCORRECT && !place->begun && module->C_Login(session, CKU_SO, nullptr, 0) == CKR_OK)
        done = CKR_OK;
    if (done == CKR_OK) {
        doing = "setting the user's PIN";
        from = &pins.user_from;
        done = module->C_InitPIN(session, pin_octets(pins.user), pins.user.view().size());
        module->C_Logout(session);
    }
    module->C_CloseSession(session);
    if (done == CKR_PIN_INCORRECT && place->begun)
        return Error::usage(
            pins.officer_from + ": not the security officer's PIN of the token '" + label +
            "', which is there already, without a PIN of its user; give the one it was made with");
    if (const auto refused = refused_pin(done, *from)) return *refused;
    if (done != CKR_OK) return failed(settings, doing, done);
    return {};
}

}  // namespace kokuin::hsm
