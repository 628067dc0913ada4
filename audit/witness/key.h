// A witness's key: an Ed25519 key in a file, since a witness signs all day and has no HSM.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "base/secret.h"
#include "store/tlog/note.h"

namespace kokuin::audit::witness {

/// Signs checkpoints as C2SP tlog-cosignature has it. The file holds one line,
/// "PRIVATE+KEY+NAME+ID+BASE64" (the octet 04 and the 32 of the seed in base64), as others who sign notes
/// keep it. Movable; sign() from any thread.
class Key {
  public:
    /// Makes a random key in a new file, for this user alone (0600). Error (usage): there is a file already,
    /// or no key can have this name (tlog::VerifierKey::make).
    static Result<Key> create(const std::string& path, const std::string& name);
    /// Error (usage): others may read the file, or it holds no such key.
    static Result<Key> load(const std::string& path);

    [[nodiscard]] const tlog::VerifierKey& verifier() const { return verifier_; }
    /// The signature line under a note with this text. `time`: seconds since 1970.
    [[nodiscard]] tlog::NoteSignature sign(const std::string& text, std::uint64_t time) const;

  private:
    Key(Secret seed, tlog::VerifierKey verifier) : seed_(std::move(seed)), verifier_(std::move(verifier)) {}
    Secret seed_;
    tlog::VerifierKey verifier_;
};

}  // namespace kokuin::audit::witness
