// X.509 certificates as values, kept as the exact octets they came in.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "pki/hash.h"

namespace Botan {
class X509_Certificate;
}

namespace kokuin::pki {

/// Octets of a serial number (RFC 5280 4.1.2.2).
inline constexpr std::size_t longest_serial = 20;

/// One certificate (RFC 5280). Immutable, thread-safe; a copy shares its content and costs a reference count.
/// All Views it hands out live as long as any copy of it.
class Certificate {
  public:
    /// Reads one certificate; octets after it are refused. The outer structure must be DER; inside it what
    /// Botan and the field agree on is taken (negative and non-minimal serial numbers exist), because the
    /// octets are never written again, only copied.
    static Result<Certificate> from_der(View der);
    /// Reads the one certificate of a PEM text (RFC 7468); text around it is ignored, a second one is
    /// refused.
    static Result<Certificate> from_pem(std::string_view text);

    /// The octets that from_der() was given: never encoded anew, so digests of it are those of the issuer's
    /// file.
    [[nodiscard]] View der() const;
    /// "-----BEGIN CERTIFICATE-----…", lines of 64, ends with a line end.
    [[nodiscard]] std::string pem() const;
    /// Subject and issuer as DER Names (SEQUENCE included), the octets of the certificate.
    [[nodiscard]] const Bytes& subject_der() const;
    [[nodiscard]] const Bytes& issuer_der() const;
    /// Serial number as INTEGER content octets (two's complement), the octets of the certificate.
    [[nodiscard]] const Bytes& serial() const;
    /// SubjectPublicKeyInfo, DER.
    [[nodiscard]] const Bytes& spki() const;
    /// RFC 4514 text of the names ("CN=TSU 1,O=Example,C=JP": last RDN first), for people and logs.
    [[nodiscard]] const std::string& subject_text() const;
    [[nodiscard]] const std::string& issuer_text() const;

    /// Validity, both ends inclusive (RFC 5280 4.1.2.5), whole seconds. Dates beyond the year 2261, among
    /// them 99991231235959Z ("without end", RFC 5280 4.1.2.5), come out as the last whole second that
    /// WallTime can hold.
    [[nodiscard]] WallTime not_before() const;
    [[nodiscard]] WallTime not_after() const;
    /// not_before ≤ `at` < not_after + 1 s.
    [[nodiscard]] bool valid_at(WallTime at) const;

    /// Digest of der(). SHA-256 is kept, the others are computed each time.
    [[nodiscard]] const Bytes& sha256() const;
    [[nodiscard]] Bytes digest(Hash hash) const;

    /// True if there is exactly one extended key usage, id-kp-timeStamping, in a critical extension: what RFC
    /// 3161 2.3 wants of a TSU certificate.
    [[nodiscard]] bool is_time_stamping_only() const;
    /// True if subject and issuer are the same Name. Says nothing about the signature.
    [[nodiscard]] bool is_self_issued() const;

    /// For what this class doesn't offer. Thread-safe as far as Botan's const functions are. Where a date is
    /// beyond the year 3000 (which Botan doesn't take), its dates, fingerprints and, of a self-signed one,
    /// key identifiers are of a copy made for it; its signed octets and its signature are the original's.
    [[nodiscard]] const Botan::X509_Certificate& botan() const;

    /// Same octets.
    friend bool operator==(const Certificate& a, const Certificate& b) { return equal(a.der(), b.der()); }
    friend bool operator!=(const Certificate& a, const Certificate& b) { return !(a == b); }

  private:
    struct Content;
    explicit Certificate(std::shared_ptr<const Content> content) : content_(std::move(content)) {}
    std::shared_ptr<const Content> content_;
};

/// All certificates of a PEM file, in its order; at least one. Text between them is ignored. The error names
/// the file and which certificate of it is bad; Error::usage also where there is no such file, for its name
/// came from a configuration, and Error::environment where it can't be read.
Result<std::vector<Certificate>> load_certificates(const std::string& path);
/// As load_certificates(), from a text; `where` stands in front of errors.
Result<std::vector<Certificate>> parse_certificates(std::string_view pem, const std::string& where);

/// RFC 4514 text of a DER Name; "(unreadable name)" if it is none. For people and logs, never for comparison.
std::string name_text(View name_der);
/// True if two DER Names mean the same one, whatever string types and case they are written in (RFC
/// 5280 7.1); false if one can't be read.
bool same_name(View a, View b);

}  // namespace kokuin::pki
