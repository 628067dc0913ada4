// Certificate requests (PKCS#10, RFC 2986), as a CA reads them.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace kokuin::pki {

/// A request whose signature was checked with its own key: whoever made it possesses the private key (CA-7;
/// RFC 4211 4.1 calls it proof of possession). Immutable.
class CertificationRequest {
  public:
    /// The one request of a PEM text, or DER. Error (usage): it isn't one, or several; (no): its signature
    /// isn't by its key, or made with a hash weaker than SHA-256.
    static Result<CertificationRequest> read(View octets);

    [[nodiscard]] const Bytes& der() const { return der_; }
    [[nodiscard]] const Bytes& subject_der() const { return subject_; }
    [[nodiscard]] const Bytes& spki() const { return spki_; }
    /// RFC 4514 text of the subject, for people.
    [[nodiscard]] const std::string& subject_text() const { return subject_text_; }
    /// "RSA", "ECDSA", "Ed25519", … and the strength in bits: RSA's modulus, a curve's order.
    [[nodiscard]] const std::string& algorithm() const { return algorithm_; }
    [[nodiscard]] unsigned bits() const { return bits_; }

    /// The subjectAltName that it asks for (GeneralNames, DER); empty if it asks for none. Everything else
    /// that it asks for is the CA's to decide and isn't looked at.
    [[nodiscard]] const Bytes& alternative_names() const { return alternative_names_; }
    /// The same for people: "DNS:tsa.example", "IP:127.0.0.1", "IP:2001:db8::1"; anything else, also a DNS
    /// name with other characters than letters, digits, '-' and '.': "other".
    [[nodiscard]] const std::vector<std::string>& alternative_names_text() const { return names_text_; }

  private:
    Bytes der_, subject_, spki_, alternative_names_;
    std::string subject_text_, algorithm_;
    unsigned bits_ = 0;
    std::vector<std::string> names_text_;
};

}  // namespace kokuin::pki
