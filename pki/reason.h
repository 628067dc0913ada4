// Why a certificate was revoked (RFC 5280 5.3.1), as CRLs and OCSP responses say it.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace kokuin::pki {

/// CRLReason; the numbers are those of the standard. removeFromCRL (8) isn't here: it belongs to delta CRLs.
enum class Reason : std::uint8_t {
    unspecified = 0,
    key_compromise = 1,
    ca_compromise = 2,
    affiliation_changed = 3,
    superseded = 4,
    cessation_of_operation = 5,
    certificate_hold = 6,
    privilege_withdrawn = 9,
    aa_compromise = 10,
};

/// The name that the standard and openssl have for it: "keyCompromise".
std::string_view name(Reason reason);
/// Nothing if it is none of them.
std::optional<Reason> reason_from_name(std::string_view name);
std::optional<Reason> reason_from_number(std::uint8_t number);

}  // namespace kokuin::pki
