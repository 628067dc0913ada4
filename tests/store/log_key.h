// A log's key for tests that need signed checkpoints.
#pragma once

#include <botan/auto_rng.h>
#include <botan/ed25519.h>
#include <botan/pubkey.h>

#include "store/archive.h"
#include "store/tlog/note.h"

namespace kokuin::store::test {

/// The key of a log, in a place where a test can sign with it.
class LogKey {
  public:
    LogKey() : key_(random_) {}
    tlog::VerifierKey verifier(const std::string& origin) const {
        return *tlog::VerifierKey::make(origin, tlog::VerifierKey::Type::ed25519, key_.get_public_key());
    }
    tlog::Note sign(const std::string& origin, const tlog::TreeHead& head) {
        tlog::Note note{tlog::Checkpoint{origin, head}.text(), {}};
        Botan::PK_Signer signer(key_, random_, "Pure");
        const auto text = tlog::signed_text(tlog::VerifierKey::Type::ed25519, note.text);
        const auto octets =
            signer.sign_message(reinterpret_cast<const std::uint8_t*>(text.data()), text.size(), random_);
        note.signatures.push_back(
            tlog::signature_line(verifier(origin), Bytes(octets.begin(), octets.end())));
        return note;
    }

  private:
    Botan::AutoSeeded_RNG random_;
    Botan::Ed25519_PrivateKey key_;
};

}  // namespace kokuin::store::test
