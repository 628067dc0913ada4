// tsad.toml as a value. conf/tsad.toml is a sample with every key.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/config.h"
#include "base/hook.h"
#include "base/net/http.h"
#include "base/result.h"
#include "base/time.h"
#include "hsm/settings.h"
#include "pki/hash.h"
#include "store/tlog/note.h"
#include "tac/clock/correction.h"
#include "tac/clock/reference_settings.h"
#include "tsa/holding.h"
#include "tsa/programs_settings.h"
#include "tsa/protocol/policy.h"
#include "tsa/revocation_settings.h"

namespace kokuin::tsa {

/// One TSU: one key in the HSM, its certificate, the chain above it (TSA-2).
struct TsuSettings {
    std::string name;
    std::string key;          ///< label in its token
    std::string certificate;  ///< PEM file with one certificate
    std::string chain;        ///< PEM file with everything above it
    bool include_chain = false;
    std::vector<std::string> crls{};  ///< PEM or DER files: CRLs of the issuers in its chain
    std::string hsm{};                ///< which [hsm.NAME] has `key`, and makes new ones; empty: [hsm]
};

/// A limit that the TAA's TACs are measured by (TAC-3).
struct AuditLimit {
    std::string oid;
    nanoseconds max_offset{};
    nanoseconds max_delay{};
};

struct TaaSettings {
    std::string anchors;            ///< PEM file: roots of the TAA's certificate
    std::string certificates;       ///< PEM file: the TAA's certificate first, then intermediates
    std::vector<std::string> crls;  ///< PEM or DER files: CRLs of the issuers of the TAA's chain
    bool offset_is_tsu_minus_taa = true;
    bool allow_sha1 = false;
    std::optional<config::Endpoint> request;  ///< where an audit can be asked for (TAC-9)
    nanoseconds request_before{};             ///< ask when the gate would close this soon
    std::vector<AuditLimit> limits;           ///< at least one
};

struct TlsSettings {
    config::Endpoint listen;
    std::string certificate;
    std::string key;
};

struct AuditSettings {
    TlsSettings tls;
    std::string ca;    ///< PEM file: issuers of the TAA's channel certificate
    std::string peer;  ///< DNS name in it
};

/// Who signs the archive's checkpoints.
struct CheckpointSettings {
    std::string key;       ///< label of an Ed25519 key
    std::string hsm;       ///< NAME of the [hsm.NAME] it is in; empty: [hsm]
    nanoseconds within{};  ///< no record is under none for longer, or nothing is stamped
};

/// Somebody elsewhere who cosigns checkpoints (docs/witness.md).
struct WitnessSettings {
    std::string name;       ///< NAME of [witness.NAME]
    net::Url url;           ///< its submission prefix; the path ends with '/'
    tlog::VerifierKey key;  ///< by which its cosignatures are known
};

/// By whom and how finished months are time-stamped (docs/seals.md).
struct SealSettings {
    net::Url url;                       ///< of a TSA of another organisation
    std::string ca;                     ///< PEM file: anchors of an https URL's certificate
    std::optional<std::string> policy;  ///< asked for; nothing: that TSA's own choice
    std::string anchors;                ///< PEM file: roots of its time-stamps
    std::vector<std::string>
        certificates;                    ///< PEM files: what is between, where the time-stamps don't bring it
    pki::Hash hash = pki::Hash::sha512;  ///< of the hash tree and the imprint
    nanoseconds renew_before{};          ///< the end of that TSA's certificate
    nanoseconds every{};                 ///< how often is looked
};

struct HttpSettings {
    config::Endpoint listen;
    nanoseconds deadline{};    ///< for one whole request
    unsigned per_address = 0;  ///< connections from one address
};

struct Settings {
    std::string file;    ///< absolute path of the configuration
    std::string digest;  ///< SHA-256 of its content, hex: what custodians agree to (ARC-7)
    std::string archive;
    std::string personal;      ///< folder of the imports' contents
    std::string archive_name;  ///< what a new archive's log is called in front of its id
    std::string copy;          ///< folder of the archive's second place (ARC-2); empty: none
    bool copy_waits = false;   ///< a token leaves only when the copy has its record too
    std::optional<CheckpointSettings> checkpoints;  ///< nothing: nobody signs any
    std::vector<WitnessSettings> witnesses;
    nanoseconds witness_every{};      ///< how often they are asked
    std::vector<hsm::Settings> hsms;  ///< [hsm] first, then each [hsm.NAME]
    std::vector<TsuSettings> tsus;
    std::vector<tsp::Policy> policies;  ///< the default one first
    HttpSettings http;
    std::optional<TlsSettings> https;
    std::optional<AuditSettings> audit;
    std::optional<TaaSettings> taa;
    std::optional<SealSettings> seal;  ///< nothing: months are sealed, and time-stamped by nobody
    std::optional<tac::clock::ReferenceSettings> reference;
    std::optional<RevocationSettings> revocation;  ///< nothing: CRLs are files that others keep
    /// The stamping clock follows the TAA by a correction of its own (TAC-5); nothing: it is CLOCK_REALTIME.
    std::optional<tac::clock::CorrectionRules> follow_tac;
    std::string leap_seconds;     ///< leap-seconds.list (TSA-15)
    std::string publication;      ///< folder of `tsca publish`; empty: nothing of a CA is published here
    std::string policy_document;  ///< a file that everybody may read; empty: none is published here
    std::optional<config::Endpoint> admin;
    std::string control;  ///< path of the Unix socket
    std::optional<HookSettings> hook;
    ProgramsSettings programs;
    AlgorithmEnds algorithm_ends;  ///< [collation.ends]
    std::string log_level;
};

/// Reads and checks tsad.toml. The error holds every problem, one a line, with file, line and what is
/// allowed.
Result<Settings> load_settings(const std::string& path);

}  // namespace kokuin::tsa
