// The configuration of taad (conf/taad.toml is the sample with every key).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/config.h"
#include "base/hook.h"
#include "base/result.h"
#include "hsm/settings.h"
#include "pki/hash.h"
#include "taa/timetable.h"
#include "tac/clock/leap_list.h"
#include "tac/clock/reference_settings.h"
#include "tac/validate.h"

namespace kokuin::taa {

/// What is said about a TSU's clock, and within which limits (TAC-3).
struct AuditRules {
    std::string policy{tac::half_second_policy};    ///< OID of the time audit policy
    nanoseconds max_offset = milliseconds(500);     ///< |TSU − TAA| up to this, inclusive, is good
    nanoseconds max_delay = milliseconds(100);      ///< a measurement that took longer, net, is none
    nanoseconds validity = std::chrono::hours(25);  ///< of a good TAC (TAA-2)
};

/// One audited TSU.
struct TsuSettings {
    std::string name;         ///< in this configuration: a–z, 0–9, '-', '_'; for logs and the archive
    std::string called;       ///< what its TSA calls it: two TSAs may both have a "tsu-1"
    std::string tsa = "TSA";  ///< the time-stamping authority it belongs to, in reports
    config::Endpoint audit;   ///< its audit listener
    std::string peer;         ///< DNS name in its channel certificate
    std::string certificate;  ///< PEM file: the certificate it signs tokens with, the holder of the TACs
    /// PEM file: the CA, up to its root, whose certificates are taken for a successor's; empty: an operator
    /// looks first.
    std::string successors{};
    AuditRules rules;
};

/// Everything taad.toml says; paths absolute. Files it names are not looked at.
struct Settings {
    std::string digest;        ///< SHA-256 of the file's content, hex: what custodians agree to (ARC-7)
    std::string archive;       ///< folder
    std::string archive_name;  ///< what a new archive's log is called in front of its id
    /// Who signs checkpoints over the archive (TAA-8); nothing: nobody does.
    struct Checkpoints {
        std::string key;       ///< label of an Ed25519 key in the token
        nanoseconds within{};  ///< no record is under none for longer, or no TAC is issued
    };
    std::optional<Checkpoints> checkpoints;
    hsm::Settings hsm;
    std::string key;                          ///< label of the signing key in the token
    std::string certificate;                  ///< PEM: its certificate, then what is between it and the root
    pki::Hash signature = pki::Hash::sha512;  ///< sha256 or sha512 (requirements: SHA-256 or better)
    struct Channel {
        config::Endpoint listen;
        std::string certificate;
        std::string key;
        std::string ca;
    } channel;
    Pace pace;
    /// The TAA's own clock (TAA-4): within this of UTC, or no TAC is issued; at most 30 ms.
    microseconds own_limit = milliseconds(30);
    /// What watches it; nothing only if the operator says so in as many words.
    std::optional<tac::clock::ReferenceSettings> reference;
    std::string leap_seconds{tac::clock::usual_leap_file};  ///< what TACs announce is taken from here (TAA-9)
    unsigned samples = 8;               ///< of one measurement; the one with the least delay counts
    unsigned measurements = 3;          ///< at most in one audit, while the delay is too large
    nanoseconds deadline = seconds(5);  ///< of one exchange with a TSU
    /// A TSU that can't be reached for so long is worth a notice; one that only starts again isn't.
    nanoseconds unreachable_after = seconds(30);
    std::vector<TsuSettings> tsus;  ///< in the order of the file
    std::string control;            ///< Unix socket for `taad tsu …`
    nanoseconds review_within =
        std::chrono::hours(24 * 365);  ///< a TSU that wasn't reviewed for longer is named
    std::optional<HookSettings> hook;  ///< run on what its operators should know at once
    std::string reports;               ///< folder of the monthly reports
    std::string log_level = "info";    ///< debug, info, warn, error
};

/// Reads and checks taad.toml. The error (usage) lists all problems, one a line.
Result<Settings> load_settings(const std::string& path);
/// The same of a text; `file` is what problems name.
Result<Settings> parse_settings(std::string_view text, const std::string& file);

}  // namespace kokuin::taa
