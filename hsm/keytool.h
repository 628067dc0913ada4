// What an operator does with the keys of a token; the same for every program that has keys (tsactl, taad).
// The verbs know no command line: they take values and give values.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "hsm/token.h"

namespace kokuin::hsm::keytool {

/// A certificate of a key, as `list` shows it.
struct ListedCertificate {
    std::string subject;  ///< RFC 4514 text
    std::string issuer;
    WallTime not_before;
    WallTime not_after;
};

struct ListedKey {
    std::string label;
    std::string id;    ///< CKA_ID, hex
    std::string type;  ///< as in KeyInfo
    unsigned bits = 0;
    bool sensitive = false;
    bool extractable = true;
    bool local = false;
    /// Certificates in the token with this key's public key, the one that lasts longest first.
    std::vector<ListedCertificate> certificates;
};

/// All private keys of the token with their certificates, sorted by label.
Result<std::vector<ListedKey>> list(Token& token);

/// Makes a key pair in the token: Token::generate_rsa, with 2048 bits unless others are given, or
/// Token::generate_ed25519, which has no length to choose: giving one is an error (usage).
Result<Key> generate(Token& token, const std::string& label, KeyAlgorithm algorithm = KeyAlgorithm::rsa,
                     std::optional<unsigned> bits = {});

/// What a certificate is asked for.
enum class Purpose {
    /// A TSU: asks for exactly one extended key usage, id-kp-timeStamping, critical (RFC 3161 2.3), and the
    /// critical key usage digitalSignature, in the extensionRequest (RFC 2985 5.4.2). TSUs sign with RSA:
    /// for an Ed25519 key this is `plain`.
    timestamping,
    /// Nothing is asked for: the CA decides (a TAA, an archive).
    plain,
};

/// Error (usage) if csr() couldn't take this subject.
Done check_subject(std::string_view subject);
/// Such a subject as a DER Name. Error (usage).
Result<Bytes> subject_der(std::string_view subject);
/// A PKCS#10 request (RFC 2986) for a key of the token, signed in the token, RSA with SHA-256: PEM.
/// `subject`: attributes in the order in which they are encoded, "C=JP,O=Example K.K.,CN=TSU 1" (the country
/// first, as in openssl's -subj). Known: C, ST, L, O, OU, CN, serialNumber, organizationIdentifier (or dotted
/// OIDs); "\" quotes the next character; UTF-8; blanks around names and values are dropped.
Result<std::string> csr(Token& token, std::string_view key, std::string_view subject, Purpose purpose);

/// Stores the certificate (PEM, exactly one) beside its key, under the key's label and id, after checking
/// that it certifies this key and no other. Error::Kind::no if it doesn't.
Done import(Token& token, std::string_view key, std::string_view certificate_pem);

}  // namespace kokuin::hsm::keytool
