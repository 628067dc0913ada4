#include "hsm/cryptoki.h"

#include <algorithm>
#include <array>
#include <cstdio>

namespace kokuin::hsm {
namespace {

enum class Effect {
    request,  // the request was at fault; the session is as it was
    lost,     // session, login, token or module may be gone
    pin,      // the token refused the PIN
};

struct Meaning {
    CK_RV rv;
    const char* name;
    Effect effect;
    const char* words;
    const char* advice;  // "" where there is none but to look into the module's log
};

#define KOKUIN_RV(name) name, #name
constexpr std::array meanings{
    Meaning{KOKUIN_RV(CKR_OK), Effect::request, "no error", ""},
    Meaning{KOKUIN_RV(CKR_CANCEL), Effect::lost, "cancelled", ""},
    Meaning{KOKUIN_RV(CKR_HOST_MEMORY), Effect::request, "this machine is short of memory",
            "free some memory"},
    Meaning{KOKUIN_RV(CKR_SLOT_ID_INVALID), Effect::lost, "the slot is gone",
            "check that the HSM is connected"},
    Meaning{KOKUIN_RV(CKR_GENERAL_ERROR), Effect::lost, "the module failed beyond recovery",
            "check the module's configuration and log"},
    Meaning{KOKUIN_RV(CKR_FUNCTION_FAILED), Effect::lost, "the function failed", "see the module's log"},
    Meaning{KOKUIN_RV(CKR_ARGUMENTS_BAD), Effect::request, "the module doesn't take these arguments", ""},
    Meaning{KOKUIN_RV(CKR_NO_EVENT), Effect::request, "no event", ""},
    Meaning{KOKUIN_RV(CKR_NEED_TO_CREATE_THREADS), Effect::lost, "the module needs threads of its own", ""},
    Meaning{KOKUIN_RV(CKR_CANT_LOCK), Effect::lost, "the module can't be used by several threads",
            "use a module that supports CKF_OS_LOCKING_OK"},
    Meaning{KOKUIN_RV(CKR_ATTRIBUTE_READ_ONLY), Effect::request, "an attribute can't be set", ""},
    Meaning{KOKUIN_RV(CKR_ATTRIBUTE_SENSITIVE), Effect::request, "the attribute is sensitive", ""},
    Meaning{KOKUIN_RV(CKR_ATTRIBUTE_TYPE_INVALID), Effect::request, "the token doesn't know an attribute",
            ""},
    Meaning{KOKUIN_RV(CKR_ATTRIBUTE_VALUE_INVALID), Effect::request,
            "the token doesn't take the value of an attribute", ""},
    Meaning{KOKUIN_RV(CKR_ACTION_PROHIBITED), Effect::request, "the token's policy forbids it", ""},
    Meaning{KOKUIN_RV(CKR_DATA_INVALID), Effect::request, "the data is invalid", ""},
    Meaning{KOKUIN_RV(CKR_DATA_LEN_RANGE), Effect::request, "the data has the wrong length for this key",
            "use a longer key"},
    Meaning{KOKUIN_RV(CKR_DEVICE_ERROR), Effect::lost, "the device failed or can't be reached",
            "check the HSM and its connection"},
    Meaning{KOKUIN_RV(CKR_DEVICE_MEMORY), Effect::request, "the device is short of memory",
            "remove objects or close sessions of other programs"},
    Meaning{KOKUIN_RV(CKR_DEVICE_REMOVED), Effect::lost, "the device was removed", "connect the HSM again"},
    Meaning{KOKUIN_RV(CKR_ENCRYPTED_DATA_INVALID), Effect::request, "the encrypted data is invalid", ""},
    Meaning{KOKUIN_RV(CKR_ENCRYPTED_DATA_LEN_RANGE), Effect::request,
            "the encrypted data has the wrong length", ""},
    Meaning{KOKUIN_RV(CKR_FUNCTION_CANCELED), Effect::lost, "the function was cancelled", ""},
    Meaning{KOKUIN_RV(CKR_FUNCTION_NOT_PARALLEL), Effect::request, "no function runs in parallel", ""},
    Meaning{KOKUIN_RV(CKR_FUNCTION_NOT_SUPPORTED), Effect::request, "the module doesn't offer this function",
            ""},
    Meaning{KOKUIN_RV(CKR_KEY_HANDLE_INVALID), Effect::lost, "the key is gone",
            "check that the key is in the token"},
    Meaning{KOKUIN_RV(CKR_KEY_SIZE_RANGE), Effect::request,
            "the key has a length that the token doesn't support", "use a length that it supports"},
    Meaning{KOKUIN_RV(CKR_KEY_TYPE_INCONSISTENT), Effect::request,
            "the key is of another type than the mechanism's", "use a key of that type"},
    Meaning{KOKUIN_RV(CKR_KEY_NOT_NEEDED), Effect::request, "no key is needed", ""},
    Meaning{KOKUIN_RV(CKR_KEY_CHANGED), Effect::request, "the key has changed", ""},
    Meaning{KOKUIN_RV(CKR_KEY_NEEDED), Effect::request, "a key is needed", ""},
    Meaning{KOKUIN_RV(CKR_KEY_INDIGESTIBLE), Effect::request, "the key can't be digested", ""},
    Meaning{KOKUIN_RV(CKR_KEY_FUNCTION_NOT_PERMITTED), Effect::request,
            "the key's attributes forbid this use", "use a key with CKA_SIGN"},
    Meaning{KOKUIN_RV(CKR_KEY_NOT_WRAPPABLE), Effect::request, "the key can't be wrapped", ""},
    Meaning{KOKUIN_RV(CKR_KEY_UNEXTRACTABLE), Effect::request, "the key can't be extracted", ""},
    Meaning{KOKUIN_RV(CKR_MECHANISM_INVALID), Effect::request, "the token doesn't offer this mechanism", ""},
    Meaning{KOKUIN_RV(CKR_MECHANISM_PARAM_INVALID), Effect::request, "the mechanism's parameters are invalid",
            ""},
    Meaning{KOKUIN_RV(CKR_OBJECT_HANDLE_INVALID), Effect::lost, "the object is gone",
            "check that the object is in the token"},
    Meaning{KOKUIN_RV(CKR_OPERATION_ACTIVE), Effect::lost, "the session is busy with another operation", ""},
    Meaning{KOKUIN_RV(CKR_OPERATION_NOT_INITIALIZED), Effect::lost, "the session has lost its operation", ""},
    Meaning{KOKUIN_RV(CKR_PIN_INCORRECT), Effect::pin, "the PIN is wrong",
            "correct the PIN and start again; it is not tried a second time"},
    Meaning{KOKUIN_RV(CKR_PIN_INVALID), Effect::pin, "the PIN has characters that the token doesn't take",
            "correct the PIN and start again"},
    Meaning{KOKUIN_RV(CKR_PIN_LEN_RANGE), Effect::pin, "the PIN is too long or too short",
            "correct the PIN and start again"},
    Meaning{KOKUIN_RV(CKR_PIN_EXPIRED), Effect::pin, "the PIN has expired",
            "set a new PIN with the HSM's tools and start again"},
    Meaning{KOKUIN_RV(CKR_PIN_LOCKED), Effect::pin, "the PIN is locked",
            "unlock it with the security officer's PIN and start again"},
    Meaning{KOKUIN_RV(CKR_SESSION_CLOSED), Effect::lost, "the session was closed meanwhile", ""},
    Meaning{KOKUIN_RV(CKR_SESSION_COUNT), Effect::request, "the token has no session left",
            "lower the number of sessions, or close those of other programs"},
    Meaning{KOKUIN_RV(CKR_SESSION_HANDLE_INVALID), Effect::lost, "the session is gone", ""},
    Meaning{KOKUIN_RV(CKR_SESSION_PARALLEL_NOT_SUPPORTED), Effect::request, "parallel sessions don't exist",
            ""},
    Meaning{KOKUIN_RV(CKR_SESSION_READ_ONLY), Effect::request, "the session is read-only", ""},
    Meaning{KOKUIN_RV(CKR_SESSION_EXISTS), Effect::request, "a session is open already", ""},
    Meaning{KOKUIN_RV(CKR_SESSION_READ_ONLY_EXISTS), Effect::request, "a read-only session is open already",
            ""},
    Meaning{KOKUIN_RV(CKR_SESSION_READ_WRITE_SO_EXISTS), Effect::request, "the security officer is logged in",
            "log the security officer out"},
    Meaning{KOKUIN_RV(CKR_SIGNATURE_INVALID), Effect::request, "the signature is wrong", ""},
    Meaning{KOKUIN_RV(CKR_SIGNATURE_LEN_RANGE), Effect::request, "the signature has the wrong length", ""},
    Meaning{KOKUIN_RV(CKR_TEMPLATE_INCOMPLETE), Effect::request, "the token wants more attributes", ""},
    Meaning{KOKUIN_RV(CKR_TEMPLATE_INCONSISTENT), Effect::request,
            "the token doesn't take these attributes together", ""},
    Meaning{KOKUIN_RV(CKR_TOKEN_NOT_PRESENT), Effect::lost, "the token isn't in its slot",
            "connect the token again"},
    Meaning{KOKUIN_RV(CKR_TOKEN_NOT_RECOGNIZED), Effect::lost, "the token isn't recognised",
            "check that the token is initialised"},
    Meaning{KOKUIN_RV(CKR_TOKEN_WRITE_PROTECTED), Effect::request, "the token is write-protected",
            "lift its write protection"},
    Meaning{KOKUIN_RV(CKR_UNWRAPPING_KEY_HANDLE_INVALID), Effect::request, "the unwrapping key is gone", ""},
    Meaning{KOKUIN_RV(CKR_UNWRAPPING_KEY_SIZE_RANGE), Effect::request,
            "the unwrapping key has the wrong length", ""},
    Meaning{KOKUIN_RV(CKR_UNWRAPPING_KEY_TYPE_INCONSISTENT), Effect::request,
            "the unwrapping key has the wrong type", ""},
    Meaning{KOKUIN_RV(CKR_USER_ALREADY_LOGGED_IN), Effect::request, "the user is logged in already", ""},
    Meaning{KOKUIN_RV(CKR_USER_NOT_LOGGED_IN), Effect::lost, "the user is not logged in any more", ""},
    Meaning{KOKUIN_RV(CKR_USER_PIN_NOT_INITIALIZED), Effect::pin, "the token has no user PIN yet",
            "set one with the HSM's tools and start again"},
    Meaning{KOKUIN_RV(CKR_USER_TYPE_INVALID), Effect::request, "the token doesn't know this kind of user",
            "where it has no security officer its PINs can't be set anew: make a new token"},
    Meaning{KOKUIN_RV(CKR_USER_ANOTHER_ALREADY_LOGGED_IN), Effect::lost, "another user is logged in",
            "log that user out"},
    Meaning{KOKUIN_RV(CKR_USER_TOO_MANY_TYPES), Effect::lost, "too many users are logged in",
            "log one of them out"},
    Meaning{KOKUIN_RV(CKR_WRAPPED_KEY_INVALID), Effect::request, "the wrapped key is invalid", ""},
    Meaning{KOKUIN_RV(CKR_WRAPPED_KEY_LEN_RANGE), Effect::request, "the wrapped key has the wrong length",
            ""},
    Meaning{KOKUIN_RV(CKR_WRAPPING_KEY_HANDLE_INVALID), Effect::request, "the wrapping key is gone", ""},
    Meaning{KOKUIN_RV(CKR_WRAPPING_KEY_SIZE_RANGE), Effect::request, "the wrapping key has the wrong length",
            ""},
    Meaning{KOKUIN_RV(CKR_WRAPPING_KEY_TYPE_INCONSISTENT), Effect::request,
            "the wrapping key has the wrong type", ""},
    Meaning{KOKUIN_RV(CKR_RANDOM_SEED_NOT_SUPPORTED), Effect::request, "the generator takes no seed", ""},
    Meaning{KOKUIN_RV(CKR_RANDOM_NO_RNG), Effect::request, "the token has no random generator",
            "use a token that has one"},
    Meaning{KOKUIN_RV(CKR_DOMAIN_PARAMS_INVALID), Effect::request, "the domain parameters are invalid", ""},
    Meaning{KOKUIN_RV(CKR_CURVE_NOT_SUPPORTED), Effect::request, "the curve isn't supported", ""},
    Meaning{KOKUIN_RV(CKR_BUFFER_TOO_SMALL), Effect::lost, "the answer is longer than it should be", ""},
    Meaning{KOKUIN_RV(CKR_SAVED_STATE_INVALID), Effect::request, "the saved state is invalid", ""},
    Meaning{KOKUIN_RV(CKR_INFORMATION_SENSITIVE), Effect::request, "the information is sensitive", ""},
    Meaning{KOKUIN_RV(CKR_STATE_UNSAVEABLE), Effect::request, "the state can't be saved", ""},
    Meaning{KOKUIN_RV(CKR_CRYPTOKI_NOT_INITIALIZED), Effect::lost, "the module isn't initialised", ""},
    Meaning{KOKUIN_RV(CKR_CRYPTOKI_ALREADY_INITIALIZED), Effect::lost, "the module is initialised already",
            "share one Module between all that use this library"},
    Meaning{KOKUIN_RV(CKR_MUTEX_BAD), Effect::lost, "a lock is broken", ""},
    Meaning{KOKUIN_RV(CKR_MUTEX_NOT_LOCKED), Effect::lost, "a lock is not locked", ""},
    Meaning{KOKUIN_RV(CKR_NEW_PIN_MODE), Effect::pin, "the token wants a new PIN",
            "set it with the HSM's tools"},
    Meaning{KOKUIN_RV(CKR_NEXT_OTP), Effect::pin, "the token wants a one-time password", ""},
    Meaning{KOKUIN_RV(CKR_EXCEEDED_MAX_ITERATIONS), Effect::request, "the token found no parameters in time",
            "try again"},
    Meaning{KOKUIN_RV(CKR_FIPS_SELF_TEST_FAILED), Effect::lost, "the token failed its self-test",
            "have the HSM repaired"},
    Meaning{KOKUIN_RV(CKR_LIBRARY_LOAD_FAILED), Effect::lost, "the module can't load a library that it needs",
            "install it; see the module's documentation"},
    Meaning{KOKUIN_RV(CKR_PIN_TOO_WEAK), Effect::pin, "the PIN is too weak", "choose another PIN"},
    Meaning{KOKUIN_RV(CKR_PUBLIC_KEY_INVALID), Effect::request, "the public key is invalid", ""},
    Meaning{KOKUIN_RV(CKR_FUNCTION_REJECTED), Effect::request,
            "the request was rejected by the token's owner", ""},
};
#undef KOKUIN_RV

const Meaning* find(CK_RV rv) {
    const auto* at =
        std::find_if(meanings.begin(), meanings.end(), [rv](const Meaning& m) { return m.rv == rv; });
    return at == meanings.end() ? nullptr : at;
}

}  // namespace

std::string name_of(CK_RV rv) {
    if (const Meaning* meaning = find(rv)) return meaning->name;
    std::array<char, 40> text{};
    if (rv >= CKR_VENDOR_DEFINED)
        std::snprintf(text.data(), text.size(), "CKR_VENDOR_DEFINED+0x%lx", rv - CKR_VENDOR_DEFINED);
    else
        std::snprintf(text.data(), text.size(), "CKR 0x%lx", rv);
    return text.data();
}

Error failure(CK_RV rv, const std::string& tried) {
    const Meaning* meaning = find(rv);
    std::string text = tried + ": " + name_of(rv) + " (" +
                       (meaning ? meaning->words : "an error of the module's own, see its documentation") +
                       ")";
    if (meaning && *meaning->advice) text += std::string("; ") + meaning->advice;
    return Error::environment(std::move(text));
}

bool is_loss(CK_RV rv) {
    const Meaning* meaning = find(rv);
    return meaning ? meaning->effect == Effect::lost : true;
}

bool is_pin_refusal(CK_RV rv) {
    const Meaning* meaning = find(rv);
    return meaning && meaning->effect == Effect::pin;
}

std::string field_text(const CK_UTF8CHAR* field, std::size_t length) {
    while (length > 0 && (field[length - 1] == ' ' || field[length - 1] == '\0')) --length;
    std::string text(reinterpret_cast<const char*>(field), length);
    for (char& c : text)
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
    return text;
}

}  // namespace kokuin::hsm
