#include "tsa/control/proposal.h"

#include "base/json_text.h"

namespace kokuin::tsa::control {

std::string done_or_proposed(const nlohmann::json& answer) {
    const auto proposal = answer.find("proposal");
    if (proposal == answer.end()) return line_member(answer, "text");
    const auto hsm = line_member(answer, "hsm");
    const auto id = line_member(*proposal, "id");
    return "proposal " + id + ": to be approved by " + std::to_string(proposal->value("threshold", 0)) +
           " custodians, each with: tsactl " + (hsm.empty() || hsm == "hsm" ? "" : "--hsm " + hsm + " ") +
           "approve " + id + " --share FILE";
}

}  // namespace kokuin::tsa::control
