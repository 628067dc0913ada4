// A PKCS#11 module that hands everything to another one (KOKUIN_MODULE), and says something to it at its
// start (KOKUIN_MODULE_PARAMETERS): for programs that can't, such as pkcs11-tool and the server of p11-kit.
#include <dlfcn.h>
#include <p11-kit/pkcs11.h>

#include <cstdlib>

namespace {

CK_FUNCTION_LIST* theirs = nullptr;

CK_RV initialise(void* arguments) {
    struct {
        CK_C_INITIALIZE_ARGS arguments;
        void* none;
    } given{};
    if (arguments) given.arguments = *static_cast<CK_C_INITIALIZE_ARGS*>(arguments);
    given.arguments.flags |= CKF_OS_LOCKING_OK;
    given.arguments.pReserved = std::getenv("KOKUIN_MODULE_PARAMETERS");
    return theirs->C_Initialize(&given.arguments);
}

}  // namespace

extern "C" CK_RV C_GetFunctionList(CK_FUNCTION_LIST** list) {
    static CK_FUNCTION_LIST ours;
    if (!theirs) {
        const char* path = std::getenv("KOKUIN_MODULE");
        void* library = path ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : nullptr;
        const auto get =
            library ? reinterpret_cast<CK_C_GetFunctionList>(dlsym(library, "C_GetFunctionList")) : nullptr;
        if (!get || get(&theirs) != CKR_OK) return CKR_GENERAL_ERROR;
        ours = *theirs;
        ours.C_Initialize = initialise;
    }
    *list = &ours;
    return CKR_OK;
}
