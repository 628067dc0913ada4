#include "pki/reason.h"

#include <array>
#include <utility>

namespace kokuin::pki {
namespace {

constexpr std::array<std::pair<Reason, std::string_view>, 9> reasons{{
    {Reason::unspecified, "unspecified"},
    {Reason::key_compromise, "keyCompromise"},
    {Reason::ca_compromise, "CACompromise"},
    {Reason::affiliation_changed, "affiliationChanged"},
    {Reason::superseded, "superseded"},
    {Reason::cessation_of_operation, "cessationOfOperation"},
    {Reason::certificate_hold, "certificateHold"},
    {Reason::privilege_withdrawn, "privilegeWithdrawn"},
    {Reason::aa_compromise, "AACompromise"},
}};

}  // namespace

std::string_view name(Reason reason) {
    for (const auto& [value, text] : reasons)
        if (value == reason) return text;
    return "unspecified";
}

std::optional<Reason> reason_from_name(std::string_view text) {
    for (const auto& [value, known] : reasons)
        if (known == text) return value;
    return std::nullopt;
}

std::optional<Reason> reason_from_number(std::uint8_t number) {
    for (const auto& [value, text] : reasons)
        if (static_cast<std::uint8_t>(value) == number) return value;
    return std::nullopt;
}

}  // namespace kokuin::pki
