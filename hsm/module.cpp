#include "hsm/module.h"

#include <p11-kit/p11-kit.h>

#include <array>
#include <cstdio>
#include <mutex>
#include <utility>

namespace kokuin::hsm {
namespace {

#define KOKUIN_CKR(name)            \
    std::pair<CK_RV, const char*> { \
        name, #name                 \
    }
constexpr std::array known{KOKUIN_CKR(CKR_OK),
                           KOKUIN_CKR(CKR_CANCEL),
                           KOKUIN_CKR(CKR_HOST_MEMORY),
                           KOKUIN_CKR(CKR_SLOT_ID_INVALID),
                           KOKUIN_CKR(CKR_GENERAL_ERROR),
                           KOKUIN_CKR(CKR_FUNCTION_FAILED),
                           KOKUIN_CKR(CKR_ARGUMENTS_BAD),
                           KOKUIN_CKR(CKR_CANT_LOCK),
                           KOKUIN_CKR(CKR_ATTRIBUTE_READ_ONLY),
                           KOKUIN_CKR(CKR_ATTRIBUTE_SENSITIVE),
                           KOKUIN_CKR(CKR_ATTRIBUTE_TYPE_INVALID),
                           KOKUIN_CKR(CKR_ATTRIBUTE_VALUE_INVALID),
                           KOKUIN_CKR(CKR_DATA_INVALID),
                           KOKUIN_CKR(CKR_DATA_LEN_RANGE),
                           KOKUIN_CKR(CKR_DEVICE_ERROR),
                           KOKUIN_CKR(CKR_DEVICE_MEMORY),
                           KOKUIN_CKR(CKR_DEVICE_REMOVED),
                           KOKUIN_CKR(CKR_FUNCTION_CANCELED),
                           KOKUIN_CKR(CKR_FUNCTION_NOT_SUPPORTED),
                           KOKUIN_CKR(CKR_KEY_HANDLE_INVALID),
                           KOKUIN_CKR(CKR_KEY_SIZE_RANGE),
                           KOKUIN_CKR(CKR_KEY_TYPE_INCONSISTENT),
                           KOKUIN_CKR(CKR_KEY_FUNCTION_NOT_PERMITTED),
                           KOKUIN_CKR(CKR_MECHANISM_INVALID),
                           KOKUIN_CKR(CKR_MECHANISM_PARAM_INVALID),
                           KOKUIN_CKR(CKR_OBJECT_HANDLE_INVALID),
                           KOKUIN_CKR(CKR_OPERATION_ACTIVE),
                           KOKUIN_CKR(CKR_OPERATION_NOT_INITIALIZED),
                           KOKUIN_CKR(CKR_PIN_INCORRECT),
                           KOKUIN_CKR(CKR_PIN_INVALID),
                           KOKUIN_CKR(CKR_PIN_LEN_RANGE),
                           KOKUIN_CKR(CKR_PIN_EXPIRED),
                           KOKUIN_CKR(CKR_PIN_LOCKED),
                           KOKUIN_CKR(CKR_SESSION_CLOSED),
                           KOKUIN_CKR(CKR_SESSION_COUNT),
                           KOKUIN_CKR(CKR_SESSION_HANDLE_INVALID),
                           KOKUIN_CKR(CKR_SESSION_PARALLEL_NOT_SUPPORTED),
                           KOKUIN_CKR(CKR_SESSION_READ_ONLY),
                           KOKUIN_CKR(CKR_SESSION_EXISTS),
                           KOKUIN_CKR(CKR_TEMPLATE_INCOMPLETE),
                           KOKUIN_CKR(CKR_TEMPLATE_INCONSISTENT),
                           KOKUIN_CKR(CKR_TOKEN_NOT_PRESENT),
                           KOKUIN_CKR(CKR_TOKEN_NOT_RECOGNIZED),
                           KOKUIN_CKR(CKR_TOKEN_WRITE_PROTECTED),
                           KOKUIN_CKR(CKR_USER_ALREADY_LOGGED_IN),
                           KOKUIN_CKR(CKR_USER_NOT_LOGGED_IN),
                           KOKUIN_CKR(CKR_USER_PIN_NOT_INITIALIZED),
                           KOKUIN_CKR(CKR_USER_TYPE_INVALID),
                           KOKUIN_CKR(CKR_USER_ANOTHER_ALREADY_LOGGED_IN),
                           KOKUIN_CKR(CKR_USER_TOO_MANY_TYPES),
                           KOKUIN_CKR(CKR_RANDOM_NO_RNG),
                           KOKUIN_CKR(CKR_BUFFER_TOO_SMALL),
                           KOKUIN_CKR(CKR_CRYPTOKI_NOT_INITIALIZED),
                           KOKUIN_CKR(CKR_CRYPTOKI_ALREADY_INITIALIZED)};
#undef KOKUIN_CKR

}  // namespace

std::string words(CK_RV value) {
    std::array<char, 32> number{};
    std::snprintf(number.data(), number.size(), "0x%lx", value);
    for (const auto& [code, name] : known)
        if (code == value) return std::string(name) + " (" + number.data() + ")";
    return std::string("CKR ") + number.data();
}

Result<std::shared_ptr<Module>> Module::load(const std::string& path) {
    // Unmanaged: no configuration of the system has a say in which HSM this is, and no wrapper stands on the
    // path of a signature.
    CK_FUNCTION_LIST* functions = p11_kit_module_load(path.c_str(), P11_KIT_MODULE_UNMANAGED);
    if (!functions) {
        const char* why = p11_kit_message();
        return Error::usage(path + ": can't be loaded as a PKCS#11 module (" +
                            (why ? why : "no reason given") + "); check [hsm] module");
    }
    auto module = std::shared_ptr<Module>(new Module(path, functions));
    const CK_RV done = module->start();
    // A module behind a socket (p11-kit's client) can't initialise while its other end is away: Token tries
    // again.
    if (done == CKR_OK || done == CKR_CRYPTOKI_ALREADY_INITIALIZED) module->generation_ = 1;
    return module;
}

Module::~Module() {
    functions_->C_Finalize(nullptr);
    p11_kit_module_release(functions_);
}

CK_RV Module::start() {
    CK_C_INITIALIZE_ARGS arguments{};
    arguments.flags = CKF_OS_LOCKING_OK;
    return functions_->C_Initialize(&arguments);
}

Done Module::initialise(std::uint64_t seen) {
    const std::unique_lock lock(mutex_);
    if ((generation_ != 0 && generation_ != seen) || working_ > 0) return {};
    functions_->C_Finalize(nullptr);
    const CK_RV done = start();
    if (done != CKR_OK && done != CKR_CRYPTOKI_ALREADY_INITIALIZED)
        return Error::environment(path_ + ": C_Initialize failed: " + words(done) +
                                  "; is the HSM connected and its service running?");
    ++generation_;
    return {};
}

}  // namespace kokuin::hsm
