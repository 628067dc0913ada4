// The life of the TSUs' keys (KEY-3 … KEY-8): generated → requested → certified → active → retired →
// destroyed. Each step is a record of the archive that says who, when and why; the records are the only
// memory there is.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "pki/certificate.h"
#include "store/archive.h"
#include "tsa/journal.h"

namespace kokuin::tsa {

enum class KeyState {
    generated,  ///< made in the HSM
    requested,  ///< a certificate was asked for
    certified,  ///< its certificate is here
    active,     ///< signs tokens; one of each TSU at a time
    retired,    ///< signs no more, never again; to be destroyed within a month (KEY-5)
    destroyed,  ///< gone from the HSM
};
/// "generated", "requested", …
std::string_view name(KeyState state);

/// Whose an Ed25519 key is, in place of a TSU: it signs checkpoints.
inline const std::string archive_keys = "archive";

/// What the archive says of one key.
struct KeyEntry {
    std::string label;  ///< in its token; no two keys of a server have the same at a time
    std::string tsu;    ///< whose it is
    std::string token;  ///< which it is in (hsm::Token::name()); empty where the records don't say
    KeyState state = KeyState::generated;
    WallTime since{};                   ///< the step that led to this state
    std::string id;                     ///< CKA_ID, hex; empty for a key that was here before its records
    std::string spki_sha256;            ///< hex: which key it is, whatever it is called
    std::string type = "RSA";           ///< as in hsm::KeyInfo
    std::optional<WallTime> activated;  ///< since when it signs, or signed
    std::optional<WallTime> retired;
    std::string certificate_sha256;  ///< hex; empty until certified
    std::optional<store::BlobId> certificate;
    std::vector<store::BlobId> chain;           ///< what was imported with it
    std::vector<store::BlobId> certificates{};  ///< all that it ever had
    WallTime not_after{};                       ///< of the certificate
    std::uint64_t order = 0;                    ///< of the step that led to this state: the clock proves none
    bool compromised = false;                   ///< KEY-6
    std::string why;                            ///< of the last step
};

/// A key that was compromised: known for ever, also when its label is another key's (KEY-6, TSA-17).
struct Compromise {
    KeyEntry key;       ///< as it was then
    WallTime at{};      ///< when that was recorded
    bool told = false;  ///< the TAA knows
};

/// The last moment at which a key may sign: one year and one month after its first activation (KEY-4), to the
/// same time of that day, or of the month's last one; or the end of its certificate, if that is sooner. Pure.
WallTime signs_until(WallTime activated, WallTime not_after);
/// When a retired key must be destroyed: a month after it was retired (KEY-5). Pure.
WallTime destroy_by(WallTime retired);

/// True for a retired key that should have been destroyed by `now`. Pure.
bool is_overdue(const KeyEntry& entry, WallTime now);

/// Who takes a step, and why; what ends up in its record.
struct KeyStep {
    std::string why;
    std::string by;            ///< role or number
    std::string account;       ///< by the kernel's word
    std::string agreed_in{};   ///< the proposal that custodians agreed to, if the step needed that; hex
    std::string custodians{};  ///< they; of other steps those who have activated the token
};

class KeyLife;
/// What is to be said about keys now, one line each: retired and to be destroyed, or overdue for that
/// (KEY-5); within 60 days of their end, or past it (KEY-4).
std::vector<std::string> key_warnings(const KeyLife& life, WallTime now);

/// The records "key.generated" and "key.requested" of a key that a ceremony makes while no server runs: each
/// with its blobs.
std::vector<std::pair<store::Event, std::vector<store::Blob>>> records_of_new_key(
    const std::string& label, const std::string& tsu, const std::string& token, const std::string& id,
    View spki, const std::string& csr, const KeyStep& step);

/// Thread-safe. Every step is durable on return and happens only if it is legal. Event kinds "key.generated",
/// "key.requested", "key.certified", "key.activated", "key.retired", "key.destroyed", "key.compromised"; the
/// subject is the TSU's name; fields: key (label), token, spki_sha256, by, account, and what the step is
/// about (key.generated: id, type).
class KeyLife {
  public:
    /// Reads the archive, which outlives it as the journal does.
    static Result<std::unique_ptr<KeyLife>> open(store::Archive& archive, Journal& journal);

    [[nodiscard]] std::vector<KeyEntry> all() const;  ///< by label
    [[nodiscard]] std::optional<KeyEntry> find(const std::string& label) const;
    /// The key with which this TSU signs.
    [[nodiscard]] std::optional<KeyEntry> active(const std::string& tsu) const;
    /// In the order in which they became known; only keys that had a certificate: no other has signed
    /// anything.
    [[nodiscard]] std::vector<Compromise> compromises() const;
    /// The TAA has taken the notice that the key of this certificate (SHA-256, hex) is compromised. Event
    /// "key.compromise-told".
    Done told(const std::string& certificate_sha256);
    /// Its certificate, and what was imported with it.
    Result<std::pair<pki::Certificate, std::vector<pki::Certificate>>> certificates(
        const KeyEntry& entry) const;

    /// Error (no) if this step isn't legal for the key now; the text says what would be. No key but an RSA
    /// key becomes certified or active: TSUs sign with RSA.
    [[nodiscard]] Done legal(const std::string& label, KeyState next) const;

    /// `token`: KeyEntry::token.
    Done generated(const std::string& label, const std::string& tsu, const std::string& id, View spki,
                   const KeyStep& step, const std::string& token = "");
    Done requested(const std::string& label, const std::string& pem, const KeyStep& step);
    Done certified(const std::string& label, const pki::Certificate& certificate,
                   const std::vector<pki::Certificate>& chain, const KeyStep& step);
    /// Signs from now on. The one before stays active until what it has signed has left, and is retired then.
    /// `since`: when it was put to work.
    Done activated(const std::string& label, WallTime since, const KeyStep& step);
    Done retired(const std::string& label, const KeyStep& step);
    /// At start: of several active keys of a TSU all but the last one are retired: a crash came between two
    /// records.
    Done retire_older(const std::string& tsu);
    Done destroyed(const std::string& label, const KeyStep& step);
    /// KEY-6: retired at once if it was active, whatever it was.
    Done compromised(const std::string& label, const KeyStep& step);

    /// At start: the configuration names this key and certificate for the TSU. The key is certified and
    /// activated now; one that no record speaks of was here before, and counts as used since its certificate
    /// began. A key that is active gets a new certificate. Error (usage): it is retired, compromised, another
    /// TSU's, or not the one of the certificate.
    Done adopt(const std::string& label, const std::string& tsu, const pki::Certificate& certificate,
               const std::vector<pki::Certificate>& chain, const std::string& token = "");

  private:
    KeyLife(store::Archive& archive, Journal& journal) : archive_(archive), journal_(journal) {}
    void apply(const store::Event& event, WallTime at);
    [[nodiscard]] Done legal_locked(const std::string& label, KeyState next) const;
    Done record(store::Event event, const std::vector<store::Blob>& blobs = {});
    Done certify_locked(const KeyEntry& entry, const pki::Certificate& certificate,
                        const std::vector<pki::Certificate>& chain, const KeyStep& step);
    Done activate_locked(const std::string& label, WallTime since, const KeyStep& step);
    Done retire_locked(const std::string& label, const KeyStep& step);

    store::Archive& archive_;
    Journal& journal_;
    mutable std::mutex mutex_;  // held over the writing of a step: one after the other
    std::map<std::string, KeyEntry> entries_;
    std::vector<Compromise> compromises_;
    std::uint64_t steps_ = 0;
};

}  // namespace kokuin::tsa
