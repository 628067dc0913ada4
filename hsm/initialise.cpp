// A new token in a free slot. Stands alone: it runs once in the life of a token, with no Token open.
#include <p11-kit/p11-kit.h>
#include <p11-kit/pkcs11.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <optional>

#include "base/secret.h"
#include "hsm/commands.h"
#include "hsm/cryptoki.h"

namespace kokuin::hsm {
namespace {

/// The module, initialised; leaves it in good order.
class Loaded {
  public:
    static Result<std::unique_ptr<Loaded>> load(const std::string& path) {
        CK_FUNCTION_LIST* functions = p11_kit_module_load(path.c_str(), P11_KIT_MODULE_UNMANAGED);
        if (!functions)
            return Error::usage(path + ": can't be loaded as a PKCS#11 module; check [hsm] module");
        auto loaded = std::unique_ptr<Loaded>(new Loaded(functions));
        CK_C_INITIALIZE_ARGS arguments{};
        arguments.flags = CKF_OS_LOCKING_OK;
        if (const CK_RV done = functions->C_Initialize(&arguments); done != CKR_OK)
            return Error::environment(path + ": C_Initialize failed: " + name_of(done) +
                                      "; is the HSM connected?");
        loaded->initialised_ = true;
        return loaded;
    }
    ~Loaded() {
        if (initialised_) functions_->C_Finalize(nullptr);
        p11_kit_module_release(functions_);
    }
    Loaded(const Loaded&) = delete;
    Loaded& operator=(const Loaded&) = delete;
    CK_FUNCTION_LIST* operator->() const { return functions_; }

  private:
    explicit Loaded(CK_FUNCTION_LIST* functions) : functions_(functions) {}
    CK_FUNCTION_LIST* functions_;
    bool initialised_ = false;
};

CK_UTF8CHAR* octets(const Secret& secret) {
    return const_cast<CK_UTF8CHAR*>(secret.view().data());
}

// What to tell if the HSM doesn't want a PIN because of what it is.
std::optional<Error> refused_pin(CK_RV value, const std::string& file) {
    if (value != CKR_PIN_LEN_RANGE && value != CKR_PIN_INVALID) return std::nullopt;
    return Error::usage(
        file + ": the HSM refuses this PIN (" + name_of(value) +
        "); write another one, of a length and of characters that it allows, and repeat the command");
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
    const auto loaded = Loaded::load(settings.module);
    if (!loaded) return loaded.error();
    const auto& module = **loaded;
    const auto failed = [&](const char* doing, CK_RV value) {
        return Error::environment(settings.module + ": " + doing + " failed: " + name_of(value));
    };

    CK_UTF8CHAR padded[sizeof(CK_TOKEN_INFO::label)];
    std::memset(padded, ' ', sizeof padded);
    std::copy(label.begin(), label.end(), padded);
    CK_SLOT_ID slots[256];
    CK_ULONG count = std::size(slots);
    CK_RV done = module->C_GetSlotList(CK_TRUE, slots, &count);
    if (done != CKR_OK) return failed("C_GetSlotList", done);
    const CK_SLOT_ID* free_slot = nullptr;
    const CK_SLOT_ID* begun_slot = nullptr;  // a token of this label whose user has no PIN yet
    for (const CK_SLOT_ID* slot = slots; slot != slots + count; ++slot) {
        CK_TOKEN_INFO info{};
        if (module->C_GetTokenInfo(*slot, &info) != CKR_OK) continue;
        if ((info.flags & CKF_TOKEN_INITIALIZED) == 0)
            free_slot = slot;
        else if (std::memcmp(info.label, padded, sizeof padded) == 0) {
            if ((info.flags & CKF_USER_PIN_INITIALIZED) != 0)
                return Error::usage(settings.module + ": there is a token '" + label +
                                    "' already; it is left as it is");
            begun_slot = slot;
        }
    }
    if (!free_slot && !begun_slot)
        return Error::environment(settings.module + ": no free slot for a new token");

    // A call that got no further than the officer's PIN left a token without a user's: it is gone on with,
    // never initialised again. What the HSM thinks of a PIN is known only when it has been tried.
    if (!begun_slot) {
        done = module->C_InitToken(*free_slot, octets(pins.officer), pins.officer.view().size(), padded);
        // A free slot has no PIN that this one could differ from: SoftHSM calls a wrong length incorrect.
        if (done == CKR_PIN_INCORRECT) done = CKR_PIN_INVALID;
        if (const auto refused = refused_pin(done, pins.officer_from)) return *refused;
        if (done != CKR_OK) return failed("C_InitToken", done);
    }
    CK_SESSION_HANDLE session = 0;
    done = module->C_OpenSession(begun_slot ? *begun_slot : *free_slot, CKF_SERIAL_SESSION | CKF_RW_SESSION,
                                 nullptr, nullptr, &session);
    if (done != CKR_OK) return failed("C_OpenSession", done);
    const char* doing = "the security officer's login";
    const std::string* from = &pins.officer_from;
    done = module->C_Login(session, CKU_SO, octets(pins.officer), pins.officer.view().size());
    if (done == CKR_OK) {
        doing = "setting the user's PIN";
        from = &pins.user_from;
        done = module->C_InitPIN(session, octets(pins.user), pins.user.view().size());
        module->C_Logout(session);
    }
    module->C_CloseSession(session);
    if (done == CKR_PIN_INCORRECT && begun_slot)
        return Error::usage(
            pins.officer_from + ": not the security officer's PIN of the token '" + label +
            "', which is there already, without a PIN of its user; give the one it was made with");
    if (const auto refused = refused_pin(done, *from)) return *refused;
    if (done != CKR_OK) return failed(doing, done);
    return {};
}

}  // namespace kokuin::hsm
