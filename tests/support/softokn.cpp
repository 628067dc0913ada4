#include "tests/support/softokn.h"

#include <p11-kit/p11-kit.h>
#include <p11-kit/pkcs11.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <stdexcept>

#include "tests/support/run.h"

namespace kokuin::testing {
namespace {

constexpr std::size_t first_slot = 4;  // below are NSS's own

void must(CK_RV value, const char* what) {
    if (value == CKR_OK) return;
    char text[80];
    std::snprintf(text, sizeof text, "softokn: %s: CKR 0x%lx", what, value);
    throw std::runtime_error(text);
}

}  // namespace

Softokn::Softokn(const std::string& label) : Hsm(label) {
    // "To request a lower iteration count for test environments" (NSS 3.47): it derives the key of its files
    // from the PIN anew for each part of a private key, at each signature.
    setenv("NSS_MAX_MP_PBE_ITERATION_COUNT", "10", 1);
    Softokn::add_token(label);
}

std::string Softokn::module_path() const {
    return first_of(
        {"/usr/lib/x86_64-linux-gnu/libsoftokn3.so", "/usr/lib/x86_64-linux-gnu/nss/libsoftokn3.so"});
}

std::string Softokn::module_parameters() const {
    std::string tokens;
    for (std::size_t i = 0; i < labels_.size(); ++i)
        tokens += std::to_string(first_slot + i) + "=[configdir='sql:" + folder() + "/" + std::to_string(i) +
                  "' tokenDescription='" + labels_[i] + "'] ";
    return "tokens=<" + tokens + ">";
}

void Softokn::add_slot(const std::string& label) {
    std::filesystem::create_directory(folder() + "/" + std::to_string(labels_.size()));
    labels_.push_back(label);
}

void Softokn::add_token(const std::string& label) {
    add_slot(label);
    CK_FUNCTION_LIST* p11 = p11_kit_module_load(module_path().c_str(), P11_KIT_MODULE_UNMANAGED);
    if (!p11) throw std::runtime_error("softokn can't be loaded");
    struct {
        CK_C_INITIALIZE_ARGS arguments;
        void* none;
    } given{};
    std::string parameters = module_parameters();
    given.arguments.flags = CKF_OS_LOCKING_OK;
    given.arguments.pReserved = parameters.data();
    must(p11->C_Initialize(&given.arguments), "C_Initialize");
    CK_SESSION_HANDLE session = 0;
    must(p11->C_OpenSession(first_slot + labels_.size() - 1, CKF_SERIAL_SESSION | CKF_RW_SESSION, nullptr,
                            nullptr, &session),
         "C_OpenSession");
    // Until its user has a PIN, anybody is its officer, and nobody afterwards.
    must(p11->C_Login(session, CKU_SO, nullptr, 0), "C_Login");
    std::string user = pin;
    must(p11->C_InitPIN(session, reinterpret_cast<CK_UTF8CHAR*>(user.data()), user.size()), "C_InitPIN");
    must(p11->C_Finalize(nullptr), "C_Finalize");
    p11_kit_module_release(p11);
}

}  // namespace kokuin::testing
