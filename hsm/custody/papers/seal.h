// What custody's files and messages are closed with. Botan computes; here stands what is put together how.
// Pure but for random octets; thread-safe. docs/custody.md has the same for someone without this program.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/secret.h"

namespace kokuin::hsm::custody {

constexpr std::size_t seed_octets = 32;

/// The public half of a custodian's keys. Both come from one secret seed of 32 octets by HKDF-SHA-256 (no
/// salt; info "kokuin custodian signing 1", "kokuin custodian sealing 1").
struct PublicKeys {
    Bytes signing;  ///< Ed25519 (RFC 8032), 32 octets: signs approvals
    Bytes sealing;  ///< X25519 (RFC 7748), 32 octets: shares are sealed for it
    bool operator==(const PublicKeys&) const = default;
};
/// `seed`: 32 octets.
PublicKeys public_keys(View seed);
/// What people compare: the first 16 octets of the SHA-256 of signing and sealing key, hex.
std::string fingerprint(const PublicKeys& keys);
/// Ed25519 over the message; 64 octets.
Bytes sign(View seed, View message);
/// True if `signature` is that of `message` by this Ed25519 key.
bool verify(View signing_key, View message, View signature);

/// Something only the holder of one X25519 key can read (RFC 7748, 5869, 5116): a fresh key pair agrees with
/// the receiver's; HKDF-SHA-256 (no salt; info "kokuin box 1", ephemeral and receiver's public key) makes an
/// AES-256-GCM key that is used once, with a nonce of zeros.
struct Box {
    Bytes ephemeral;  ///< X25519 public key, 32 octets
    Bytes sealed;     ///< ciphertext, then the tag of 16 octets
    bool operator==(const Box&) const = default;
};
/// `context` is not in the box, but opening it takes the same one (GCM's additional data).
Box seal_for(View sealing_key, View plain, View context);
/// With the seed of a custodian. Error (no): not for this key, not in this context, or changed.
Result<Secret> open_box(View seed, const Box& box, View context);

/// Receives boxes for as long as it lives; its seed is made here and never leaves. Not copyable: it owns a
/// secret.
class Letterbox {
  public:
    Letterbox();
    [[nodiscard]] const Bytes& sealing_key() const { return public_.sealing; }
    [[nodiscard]] Result<Secret> open(const Box& box, View context) const {
        return open_box(seed_.view(), box, context);
    }

  private:
    Secret seed_;
    PublicKeys public_;
};

/// A seed closed with a passphrase: Argon2id (RFC 9106) makes an AES-256-GCM key.
struct Locked {
    std::uint32_t memory_kib = 0;
    std::uint32_t passes = 0;
    std::uint32_t lanes = 0;
    Bytes salt;    ///< 16 octets
    Bytes nonce;   ///< 12 octets
    Bytes sealed;  ///< ciphertext, then the tag of 16 octets
    bool operator==(const Locked&) const = default;
};
/// What a passphrase costs to try: 64 MiB, 3 passes, 4 lanes (RFC 9106 section 4, the second recommended
/// option).
Locked lock(View secret, View passphrase, View context);
/// Error (no): wrong passphrase. Error (usage): parameters that nobody should compute (more than 1 GiB or 16
/// passes, or less than lock() uses: somebody made the file weak).
Result<Secret> unlock(const Locked& locked, View passphrase, View context);

/// Shares of a secret (at most 1024 octets), any `threshold` of which make it again, fewer tell nothing:
/// Botan's RTSS (draft-mcgrew-tss-03) over SHA-256, with a random identifier. 2 ≤ threshold ≤ count ≤ 255.
std::vector<Secret> split(View secret, unsigned threshold, unsigned count);
/// Error (no): too few, the same twice, of different secrets, or changed.
Result<Secret> combine(const std::vector<View>& shares);

/// Both in one, each with two octets of length in front; and back (Error (no): isn't such a pair).
Secret join(View first, View second);
Result<std::pair<Secret, Secret>> part(View joined);

/// So many random octets, in a Secret from the beginning.
Secret random_secret(std::size_t count);
/// A PIN nobody has seen: 26 characters of a–z and 2–7, 130 random bits.
Secret draw_pin();

}  // namespace kokuin::hsm::custody
