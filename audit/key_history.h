// Which key of which TSU could sign at which time, by the archive's own events ("key.activated" and the
// like).
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "pki/certificate.h"
#include "store/record.h"
#include "store/tlog/note.h"

namespace kokuin::audit {

/// More records than are ever on their way into the archive at once: so far what belongs together may stand
/// apart.
constexpr store::RecordNumber on_their_way = 1024;

/// Fed with all events in the order of their numbers; then only read, from any thread.
class KeyHistory {
  public:
    void add(const store::BareRecord& record, const store::Event& event);

    /// Events are missing: no state of a key is judged any more.
    void give_up() { incomplete_ = true; }

    /// Why no key with this SubjectPublicKeyInfo (SHA-256, hex) signed the token of this TSU that is record
    /// `number`, at `gen_time_us`; empty if one did.
    [[nodiscard]] std::string objection(const std::string& spki_sha256, const std::string& tsu,
                                        store::RecordNumber number, std::int64_t gen_time_us) const;
    /// True if any TSU had this key.
    [[nodiscard]] bool knows(const std::string& spki_sha256) const { return turns_.contains(spki_sha256); }
    /// In what time records had to be covered by a checkpoint, as "archive.key" said last; nothing: it never
    /// did.
    [[nodiscard]] std::optional<std::int64_t> covered_within_us() const { return covered_within_us_; }
    /// Keys that were to sign checkpoints ("archive.key"), in the order in which they began.
    [[nodiscard]] const std::vector<tlog::VerifierKey>& log_keys() const { return log_keys_; }
    /// Keys of witnesses ("witness.key"), in the order in which they began.
    [[nodiscard]] const std::vector<tlog::VerifierKey>& witness_keys() const { return witness_keys_; }
    /// Certificates that TAAs sent with their TACs: links of paths, trusted by nobody.
    [[nodiscard]] const std::vector<pki::Certificate>& certificates() const { return certificates_; }

  private:
    struct Turn {
        std::string tsu;
        store::RecordNumber begun = 0;  // the record of its activation
        std::int64_t since_us = 0;
        std::optional<store::RecordNumber> ended{};
        std::int64_t until_us = 0;
        bool compromised = false;
    };
    std::map<std::string, std::vector<Turn>> turns_;  // by SPKI
    bool incomplete_ = false;
    std::vector<tlog::VerifierKey> log_keys_;
    std::optional<std::int64_t> covered_within_us_;
    std::vector<tlog::VerifierKey> witness_keys_;
    std::vector<pki::Certificate> certificates_;
};

}  // namespace kokuin::audit
