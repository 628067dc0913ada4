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

/// Fed with all events in the order of their numbers; then only read, from any thread.
class KeyHistory {
  public:
    void add(const store::Record& record, const store::Event& event);

    /// Why no key with this SubjectPublicKeyInfo (SHA-256, hex) signed for this TSU at `gen_time_us`; empty
    /// if one did.
    [[nodiscard]] std::string objection(const std::string& spki_sha256, const std::string& tsu,
                                        std::int64_t gen_time_us) const;
    /// Keys that were to sign checkpoints ("archive.key"), in the order in which they began.
    [[nodiscard]] const std::vector<tlog::VerifierKey>& log_keys() const { return log_keys_; }
    /// Keys of witnesses ("witness.key"), in the order in which they began.
    [[nodiscard]] const std::vector<tlog::VerifierKey>& witness_keys() const { return witness_keys_; }
    /// Certificates that TAAs sent with their TACs: links of paths, trusted by nobody.
    [[nodiscard]] const std::vector<pki::Certificate>& certificates() const { return certificates_; }

  private:
    struct Turn {
        std::string tsu;
        std::int64_t since_us = 0;
        std::optional<std::int64_t> until_us{};
    };
    std::map<std::string, std::vector<Turn>> turns_;  // by SPKI
    std::vector<tlog::VerifierKey> log_keys_;
    std::vector<tlog::VerifierKey> witness_keys_;
    std::vector<pki::Certificate> certificates_;
};

}  // namespace kokuin::audit
