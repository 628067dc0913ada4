// NSS's softokn, for tests: tokens in SQLite files. What it wants and where it differs: docs/hsm.md.
#pragma once

#include <string>
#include <vector>

#include "tests/support/hsm.h"

namespace kokuin::testing {

/// Its tokens are named by its parameters, have no officer's PIN, and all have the serial number
/// 0000000000000000. The slots of the first are 4, 5 and so on.
class Softokn final : public Hsm {
  public:
    /// With one token of this label.
    explicit Softokn(const std::string& label = "kokuin-test");

    void add_token(const std::string& label) override;
    void add_slot(const std::string& label) override;
    [[nodiscard]] std::string module_path() const override;
    [[nodiscard]] std::string module_parameters() const override;
    [[nodiscard]] bool attributes_complete() const override { return false; }
    [[nodiscard]] bool keeps_keys() const override { return false; }
    [[nodiscard]] bool has_ed25519() const override { return false; }

  private:
    std::vector<std::string> labels_;
};

}  // namespace kokuin::testing
