// One token of an HSM: login, keys, certificates, signatures; comes back by itself when it was lost.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/secret.h"
#include "hsm/module.h"
#include "pki/certificate.h"
#include "pki/hash.h"

namespace kokuin::hsm {

struct TokenOptions {
    std::string token;      ///< label, or a pkcs11: URI (RFC 7512) that names exactly one token
    Secret pin;             ///< of the user
    unsigned sessions = 4;  ///< signatures at the same time, 1…256
};

/// A private key in the token, as it shows itself.
struct KeyInfo {
    std::string label;
    Bytes id;           ///< CKA_ID
    unsigned bits = 0;  ///< of the modulus
    bool sensitive = false;
    bool extractable = true;
    Bytes public_key;                            ///< SubjectPublicKeyInfo, DER
    std::vector<pki::Certificate> certificates;  ///< certificate objects with the same CKA_ID
};

/// Thread-safe. One login is kept open as long as the token is there; each signature borrows a session.
///
/// A call that fails because a session, the login, the token or the module's connection is lost makes the
/// token unavailable: calls then fail at once (Error::environment) while a thread of this object initialises
/// the module anew, logs in and opens sessions, again and again until it works. Nothing outside needs to
/// restart. Keys are named by their label, so they stay valid.
///
/// A wrong PIN is given to the token once only: afterwards this object refuses to log in for good, so that
/// the token's PIN counter never runs out.
class Token {
  public:
    /// Finds the token, logs in, opens the sessions. Error::usage: the PIN is wrong, or the name fits several
    /// tokens. Error::environment: the token isn't there (which are is told).
    static Result<std::unique_ptr<Token>> open(std::shared_ptr<Module> module, TokenOptions options);
    ~Token();
    Token(const Token&) = delete;
    Token& operator=(const Token&) = delete;

    /// RSA PKCS#1 v1.5 over `message` with the private key of this label, wholly inside the module. Blocks
    /// while all sessions are busy.
    Result<Bytes> sign(const std::string& label, pki::Hash hash, View message);

    /// All private keys.
    Result<std::vector<KeyInfo>> keys() const;
    /// The key of this label. Error::no if there is none.
    Result<KeyInfo> key(const std::string& label) const;
    /// A new RSA key pair, made in the token: sensitive, not extractable, for signing only, without
    /// CKA_ALWAYS_AUTHENTICATE. Error::usage if a key of this label is there already.
    Result<KeyInfo> generate_rsa(const std::string& label, unsigned bits = 2048);
    /// Puts a certificate beside the key of this label, with its CKA_ID (KEY-3). Error::usage if it isn't for
    /// this key.
    Done store_certificate(const std::string& label, const pki::Certificate& certificate);

    /// False while it is lost.
    [[nodiscard]] bool available() const;
    /// One line: "token kokuin-tsu is there", or what is wrong.
    [[nodiscard]] std::string state_text() const;

  private:
    class Impl;
    explicit Token(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

/// Initialises a free slot of the module: label `token` (no URI), security officer's and user's PIN.
/// Error::usage if a token of this label is there already.
Done initialise_token(const std::shared_ptr<Module>& module, const std::string& label, const Secret& so_pin,
                      const Secret& pin);

}  // namespace kokuin::hsm
