// A PKCS#11 token: keys that sign inside it, certificates stored in it, and its way back after a failure.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/secret.h"
#include "base/time.h"
#include "hsm/module.h"
#include "pki/hash.h"

namespace kokuin::hsm {

/// What happened to a token, for the log and the archive.
struct TokenEvent {
    enum class Kind {
        lost,     ///< signing has stopped; the token tries to come back
        back,     ///< signing works again
        refused,  ///< the PIN is wrong or locked: nothing more is tried in this process
    };
    Kind kind;
    std::string text;  ///< one line: token, reason, what to do
};

struct TokenOptions {
    /// The module: a file, or a bare name in p11-kit's module folder. Read only where no Module is given.
    std::string module_path;
    /// As Module::load()'s. Read only where no Module is given.
    std::string module_parameters;
    /// Label of the token, or a "pkcs11:" URI (RFC 7512: token, serial, manufacturer, model, slot-id,
    /// slot-description, slot-manufacturer). It must name exactly one token.
    std::string token;
    /// The user's PIN. May be empty only for a token with a PIN pad of its own. Not read by open_locked().
    Secret pin;
    /// Sessions kept open for signing, 1 … 256: as many signatures are computed at once. About the number of
    /// threads the token can use; more callers wait for their turn.
    unsigned sessions = 8;
    /// How long a caller waits for a session before it is told that the token is busy.
    milliseconds wait_for_session{5000};
    /// How often an idle token is looked at, so that a loss is seen before the next signature.
    milliseconds probe_interval{1000};
    /// The pause between two attempts to come back: doubled from the first to the second.
    milliseconds retry_first{100};
    milliseconds retry_most{2000};
    /// Told of every change, on a thread of the Token's; must return soon and not destroy the Token. May be
    /// empty.
    std::function<void(const TokenEvent&)> on_event;
};

/// What a key signs with.
enum class KeyAlgorithm {
    rsa,      ///< PKCS#1 v1.5 (RFC 8017)
    ed25519,  ///< pure Ed25519 (RFC 8032)
};
/// "RSA", "Ed25519".
std::string_view name(KeyAlgorithm algorithm);
/// The algorithm of this name, in large or small letters.
std::optional<KeyAlgorithm> key_algorithm(std::string_view name);
/// The algorithm of a SubjectPublicKeyInfo (DER); nothing if it is of no key that signs here.
std::optional<KeyAlgorithm> algorithm_of(View spki);

/// A key pair of a token: names it (label and id), holds its public half and nothing of its private half. A
/// value; cheap to copy; thread-safe. Stays valid when the token goes and comes back: PKCS#11's handles,
/// which don't, are kept inside Token and found again.
class Key {
  public:
    [[nodiscard]] const std::string& label() const;  ///< CKA_LABEL
    [[nodiscard]] const Bytes& id() const;           ///< CKA_ID
    [[nodiscard]] KeyAlgorithm algorithm() const;
    [[nodiscard]] unsigned bits() const;      ///< RSA: length of the modulus; Ed25519: 255
    [[nodiscard]] const Bytes& spki() const;  ///< SubjectPublicKeyInfo (RFC 5280, RFC 8410), DER

  private:
    friend class Token;
    struct Content;
    explicit Key(std::shared_ptr<const Content> content) : content_(std::move(content)) {}
    std::shared_ptr<const Content> content_;
};

/// New PINs for a token whose keys stay (docs/custody.md, re-sharing).
struct PinChange {
    Secret officer;  ///< the security officer's PIN until now
    Secret new_officer;
    Secret new_user;
    /// A change from and to these was begun before, and nobody knows how far it came.
    bool begun = false;
};

/// A private key of a token, as an operator wants to see it.
struct KeyInfo {
    std::string label;
    Bytes id;
    std::string type;         ///< "RSA", "Ed25519", "EC", "EdDSA", otherwise "0x" and PKCS#11's number
    unsigned bits = 0;        ///< as Key::bits(); of other types 0
    bool sensitive = false;   ///< CKA_SENSITIVE: its value can't be read in the clear
    bool extractable = true;  ///< CKA_EXTRACTABLE: it can leave the token wrapped
    bool local = false;       ///< CKA_LOCAL: made in this token
    bool signs = false;       ///< CKA_SIGN
    Bytes spki;               ///< SubjectPublicKeyInfo, DER; empty where the token doesn't tell
};

/// An X.509 certificate object of a token.
struct CertificateObject {
    std::string label;
    Bytes id;
    Bytes der;
};

/// One token with its user logged in and a pool of sessions.
///
/// Thread-safe: sign() and everything else may be called from any number of threads. The destructor must not
/// run while a call is in progress; it stops the recovery at once (unless the module itself hangs in a call).
///
/// **Login.** One login, kept. The PIN is given to the token when it opens and after a loss, never twice
/// after the token has called it wrong: then this Token (and every other one of this Module on the same
/// token) refuses for good, so that no restart loop inside the process can use up the token's PIN counter.
/// Nor is it given at all when the token says that one more wrong PIN would lock it. A token whose user is
/// already logged in through another Token of the same Module doesn't check the PIN again.
///
/// **Loss and recovery.** A session that is gone, a token that was removed, a module that lost its device:
/// the call that meets it, and every call meanwhile, fails at once with Error::Kind::environment. A
/// background thread opens sessions anew, and where that doesn't help, initialises the module anew
/// (C_Finalize, C_Initialize) as soon as no call is in progress and no other Token of the Module works; then
/// logs in and finds the keys again. Signing comes back without a restart. A module that talks to a dead
/// process may raise SIGPIPE in the caller: main must ignore that signal.
class Token {
  public:
    /// Opens the token in a module of its own. For processes with one Token; otherwise see the next.
    static Result<std::unique_ptr<Token>> open(TokenOptions options);
    /// Opens a token in a module shared with other Tokens.
    /// Both fail with usage (no such module, wrong PIN, ambiguous name, bad options) or environment (no such
    /// token at the moment, module or token out of order).
    static Result<std::unique_ptr<Token>> open(TokenOptions options, std::shared_ptr<Module> module);
    /// A token whose PIN isn't there yet (KEY-2): nothing is asked of the HSM but its module's start, and
    /// everything that needs the token fails with environment until unlock().
    static Result<std::unique_ptr<Token>> open_locked(TokenOptions options);
    static Result<std::unique_ptr<Token>> open_locked(TokenOptions options, std::shared_ptr<Module> module);
    ~Token();
    Token(const Token&) = delete;
    Token& operator=(const Token&) = delete;

    /// Logs in with this PIN and keeps it, for the login after a loss, until lock(). Done: the token is open.
    /// Error (environment) with locked() false: the token can't be reached now, and comes back by itself with
    /// this PIN once it can. Error (usage): it is unlocked already, or the token has refused the PIN: that is
    /// final in this process, no PIN is given to it again. Two calls at once take turns.
    Done unlock(Secret pin);
    /// Logs out at once, wipes the PIN. Signatures that are being made may fail. A token that has refused a
    /// PIN stays as it is; nothing to do if it is locked.
    void lock();
    [[nodiscard]] bool locked() const;
    /// Sets both PINs anew, as the security officer, and opens the token with the user's new one, locked()
    /// before or not. Meanwhile (some tens of ms) nothing signs: callers get environment. Done: the PINs are
    /// the new ones; a token that can't be reached now comes back by itself. Error (no): nothing was changed,
    /// the token is as it was; otherwise nobody knows how far it came: the token is locked, and the change
    /// must be made again, as `begun`. The officer's PIN is tried once (twice if begun), never if the token
    /// says that a wrong one would be the last.
    Done change_pins(const PinChange& change);

    /// True if, as far as is known, a signature would succeed now; false also while it hangs().
    [[nodiscard]] bool available() const;
    /// One line: "ready", or why not.
    [[nodiscard]] std::string state() const;
    /// How often the token has come back since it was opened.
    [[nodiscard]] std::uint64_t recoveries() const;
    /// Label and serial number of the token: "token 'tsu' (serial 1234)".
    [[nodiscard]] std::string description() const;
    /// As it was opened: TokenOptions::token.
    [[nodiscard]] const std::string& name() const;
    /// How many callers of sign() and sign_ed25519() are in there now, waiting for a session included.
    [[nodiscard]] unsigned signing() const;
    /// True while a signature that has a session has been under way for 5 s or longer: the HSM doesn't
    /// answer.
    [[nodiscard]] bool hangs() const;

    /// The key pair with this label, or, if no label fits, with this id in hexadecimal. `wanted`: whoever
    /// signs with one algorithm alone says so, and gets no other's. Error::Kind::no if there is none, usage
    /// if several fit, or only one of another algorithm.
    Result<Key> find_key(std::string_view label_or_id, std::optional<KeyAlgorithm> wanted = {});
    /// The key pair with this label and this public half, whether the token can be asked now or not: a locked
    /// token has it looked for when it opens. That it isn't there shows at the first signature. Error
    /// (usage): `spki` is of no key that signs here.
    Result<Key> expect_key(const std::string& label, View spki);
    /// All private keys of the token.
    Result<std::vector<KeyInfo>> keys();
    /// Makes an RSA key pair inside the token: CKA_TOKEN, CKA_PRIVATE, CKA_SENSITIVE, not CKA_EXTRACTABLE,
    /// for signing only, without CKA_ALWAYS_AUTHENTICATE, public exponent 65537, a random id (KEY-1). What
    /// the token made is read back; a key that came out otherwise is destroyed and an error. `bits`: 2048,
    /// 3072 or 4096. Refused if a key with this label exists. May take seconds.
    Result<Key> generate_rsa(const std::string& label, unsigned bits = 2048);
    /// Makes an Ed25519 key pair in the same way. Error (environment) that says so if the token has no
    /// Ed25519 (CKM_EC_EDWARDS_KEY_PAIR_GEN, CKM_EDDSA).
    Result<Key> generate_ed25519(const std::string& label);

    /// Destroys the key pair with this label and this public half (SHA-256 of its SubjectPublicKeyInfo),
    /// and the certificates with its id, and then looks through all private keys of the token: Done only if
    /// none has that public half any more (KEY-5). Done too if there was none. Error (environment): something
    /// of it is still there.
    Done destroy_key(const std::string& label, View spki_sha256);

    /// Stores an X.509 certificate (DER) in the token (KEY-3). Done already if the token has exactly this one
    /// with this id. Doesn't look whether it belongs to a key: hsm/keytool.h does.
    Done store_certificate(const std::string& label, View id, View der);
    /// All X.509 certificates of the token.
    Result<std::vector<CertificateObject>> certificates();

    /// RSA PKCS#1 v1.5 signature of a message, computed in the token; (bits + 7) / 8 octets. Digest and
    /// padding are made in there too (CKM_SHA512_RSA_PKCS and so on), unless the token lacks these
    /// mechanisms: then the DigestInfo is made here and CKM_RSA_PKCS signs it, decided once when the token
    /// opens. SHA-1 and an Ed25519 key are refused (usage). Any failure that may pass is environment. The
    /// signature is not checked here.
    Result<Bytes> sign(const Key& key, pki::Hash hash, View message);
    /// Pure Ed25519 signature (RFC 8032) of a message, computed in the token, which takes the message whole:
    /// 64 octets. An RSA key is refused (usage); otherwise as sign().
    Result<Bytes> sign_ed25519(const Key& key, View message);

  private:
    struct Impl;
    struct Counted;
    struct Inside;
    explicit Token(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

}  // namespace kokuin::hsm
