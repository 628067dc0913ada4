// The TAA's key in its HSM (TAA-5).
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "hsm/settings.h"
#include "hsm/token.h"
#include "pki/certificate.h"

namespace kokuin::taa {

/// Signs with one key of one token. An HSM that is missing when taad starts is no reason not to start: each
/// signature asked for looks for it anew; once found, hsm::Token keeps it and finds it again. Thread-safe.
class Signer {
  public:
    /// Nothing is opened yet. `certificate`: of the key with the label `key`.
    Signer(hsm::Settings settings, std::string key, pki::Certificate certificate);

    /// Loads the module, opens the token, looks for the key. Error (environment): the HSM isn't there now.
    /// Error (usage): a person must act (module, PIN, no such key, not the key of the certificate); it isn't
    /// tried again by this object, so a wrong PIN is given to the token once only. Idempotent.
    Done open();

    /// Where the PIN is with custodians (no pin_file) open() leaves the token locked; this unlocks it, looks
    /// for the key and puts its certificate beside it (KEY-3). Error (usage): the token refused the PIN;
    /// otherwise environment: not reachable now (it comes back by itself), or unlocked, but the key isn't
    /// there.
    Done unlock(const Secret& pin);
    /// Null until open() went well.
    [[nodiscard]] hsm::Token* token();

    /// RSA PKCS#1 v1.5 in the token; opens first where that is still to be done.
    Result<Bytes> sign(pki::Hash hash, View message);

  private:
    Done open_locked();

    const hsm::Settings settings_;
    const std::string label_;
    const pki::Certificate certificate_;
    std::mutex mutex_;  // guards what follows; not held while signing
    std::unique_ptr<hsm::Token> token_;
    std::optional<hsm::Key> found_;
    std::optional<Error> refused_;
};

}  // namespace kokuin::taa
