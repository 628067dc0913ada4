// Object identifiers of CMS, ESS and RFC 3161.
#pragma once

#include <string_view>

namespace kokuin::tsp::oids {

inline constexpr std::string_view signed_data = "1.2.840.113549.1.7.2";                   // RFC 5652 5.1
inline constexpr std::string_view content_type = "1.2.840.113549.1.9.3";                  // RFC 5652 11.1
inline constexpr std::string_view message_digest = "1.2.840.113549.1.9.4";                // RFC 5652 11.2
inline constexpr std::string_view tst_info = "1.2.840.113549.1.9.16.1.4";                 // RFC 3161 2.4.2
inline constexpr std::string_view signing_certificate = "1.2.840.113549.1.9.16.2.12";     // RFC 2634 5.4
inline constexpr std::string_view signer_attribute = "1.2.840.113549.1.9.16.2.18";        // RFC 5126 5.11.3
inline constexpr std::string_view signing_certificate_v2 = "1.2.840.113549.1.9.16.2.47";  // RFC 5035 3
inline constexpr std::string_view rsa_encryption = "1.2.840.113549.1.1.1";                // RFC 3370 3.2

}  // namespace kokuin::tsp::oids
