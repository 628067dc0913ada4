// What an auditor brings along because no copy of an archive can prove it by itself.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "pki/certificate.h"
#include "store/tlog/note.h"

namespace kokuin::audit {

/// A value; immutable while in use.
struct Trust {
    std::vector<tlog::VerifierKey> log_keys;   ///< one of them signs each checkpoint
    std::vector<tlog::VerifierKey> witnesses;  ///< whoever of them has cosigned is believed
    std::vector<pki::Certificate> anchors;     ///< of the TSUs' certificates
    std::vector<pki::Certificate> taa_anchors;
    std::vector<pki::Certificate> seal_anchors;  ///< of those who time-stamp finished months
    /// Each month has its first time-stamp so soon after its end; nothing: that isn't demanded.
    std::optional<nanoseconds> sealed_within;
    std::vector<pki::Certificate> certificates;  ///< between these and those, the TAA's own among them
    std::optional<tlog::Note> checkpoint;        ///< the last one that somebody outside has seen

    /// What it lacks to judge everything; empty if nothing.
    [[nodiscard]] std::string lacks() const;
};

/// Reads a trust file (TOML; docs/audit.md). Error (usage): every problem, one a line, with file and line.
Result<Trust> load_trust(const std::string& path);

}  // namespace kokuin::audit
