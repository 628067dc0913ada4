// The module under a test, without our code: plain PKCS#11.
#pragma once

#include <p11-kit/p11-kit.h>
#include <p11-kit/pkcs11.h>
#include <catch2/catch.hpp>

#include <array>
#include <string>

#include "tests/support/hsm.h"

namespace kokuin::hsm {

/// The library, loaded once more: its state is the process's. Released when it goes, and finalised if it was
/// initialised here.
class Bare {
  public:
    explicit Bare(const testing::Hsm& hsm)
        : functions_(p11_kit_module_load(hsm.module_path().c_str(), P11_KIT_MODULE_UNMANAGED)),
          parameters_(hsm.module_parameters()),
          label_(hsm.label()) {
        REQUIRE(functions_);
    }
    ~Bare() {
        if (initialised_) functions_->C_Finalize(nullptr);
        p11_kit_module_release(functions_);
    }
    Bare(const Bare&) = delete;
    Bare& operator=(const Bare&) = delete;
    CK_FUNCTION_LIST* operator->() const { return functions_; }

    CK_RV initialise() {
        struct {
            CK_C_INITIALIZE_ARGS arguments;
            void* none;
        } given{};
        given.arguments.flags = CKF_OS_LOCKING_OK;
        if (!parameters_.empty()) given.arguments.pReserved = parameters_.data();
        const CK_RV rv = functions_->C_Initialize(&given.arguments);
        initialised_ = rv == CKR_OK;
        return rv;
    }

    /// Where the first token is.
    CK_SLOT_ID slot() {
        std::array<CK_SLOT_ID, 16> slots{};
        CK_ULONG count = slots.size();
        REQUIRE(functions_->C_GetSlotList(CK_TRUE, slots.data(), &count) == CKR_OK);
        for (CK_ULONG i = 0; i < count; ++i) {
            CK_TOKEN_INFO info{};
            REQUIRE(functions_->C_GetTokenInfo(slots[i], &info) == CKR_OK);
            std::string label(reinterpret_cast<const char*>(info.label), sizeof info.label);
            label.erase(label.find_last_not_of(' ') + 1);
            if (label == label_) return slots[i];
        }
        FAIL("the module has no token '" << label_ << "'");
        return 0;
    }

  private:
    CK_FUNCTION_LIST* functions_;
    bool initialised_ = false;
    std::string parameters_;
    std::string label_;
};

}  // namespace kokuin::hsm
