// SoftHSM, for tests: tokens in files.
#pragma once

#include <string>

#include "tests/support/hsm.h"

namespace kokuin::testing {

/// While it lives the environment of this process points to its configuration (SOFTHSM2_CONF).
class SoftHsm final : public Hsm {
  public:
    /// With one token of this label.
    explicit SoftHsm(const std::string& label = "kokuin-test");

    void add_token(const std::string& label) override;
    /// It always has one.
    void add_slot(const std::string& /*label*/) override {}
    [[nodiscard]] std::string module_path() const override { return module(); }
    [[nodiscard]] static std::string module();
};

}  // namespace kokuin::testing
