// What tsactl can do, one function a command. They print their answer on `out` (JSON with `json`) and return
// it as the exit code 0 or 1; an Error becomes one line on stderr and its exit code (design section 7).
#pragma once

#include <ostream>
#include <string>
#include <vector>

#include "base/result.h"
#include "hsm/custody/commands.h"
#include "hsm/custody/session.h"
#include "tsa/config.h"

namespace kokuin::tsa::control {

/// The [hsm.NAME] that an operator chose; "hsm" or nothing: [hsm]. Error (usage): there is none.
Result<const hsm::Settings*> choose_hsm(const Settings& settings, const std::string& name);
/// What the commands about keys and custodians need of the configuration. `hsm`: one of its tokens.
hsm::custody::Site site_of(const Settings& settings, const hsm::Settings& hsm);

/// Asks the running tsad over its Unix socket. 0 if it is ready, 1 if not.
Result<int> status(const Settings& settings, bool json, std::ostream& out);

/// The keys in the HSM: told by tsad if it runs, read from the HSM itself if not.
Result<int> key_list(const Settings& settings, bool json, std::ostream& out);

/// A step that an operator takes with a key.
struct KeyChange {
    std::string label;
    std::string why;
    std::string by;
    std::string dir;  ///< compromise: where to write; empty: "compromised-LABEL"
};
/// One key: what the HSM and the archive say of it. 0; Error (no) if there is none.
Result<int> key_show(const Settings& settings, const std::string& label, bool json, std::ostream& out);
/// The certified key takes over its TSU from the one that signs. 0 when it signs.
Result<int> key_rotate(const Settings& settings, const KeyChange& change, bool json, std::ostream& out);
/// The key signs no more. 0.
Result<int> key_retire(const Settings& settings, const KeyChange& change, bool json, std::ostream& out);
/// The key is compromised (KEY-6): it signs nothing from now on. Then writes revocation-request.json and
/// tokens.jsonl (tsa/compromise.h) into a folder, and says what else has to be done. 0; Error (environment)
/// that says so if it was stopped, but a file couldn't be written: repeat the command.
Result<int> key_compromise(const Settings& settings, const KeyChange& change, bool json, std::ostream& out);
/// Destroys a key, or asks the custodians to agree to that. 0.
Result<int> key_destroy(const Settings& settings, const KeyChange& change, bool json, std::ostream& out);

/// Brings the backup in `dir` up to date with the archive, or makes it; an event "archive.backed-up" if tsad
/// runs. 0.
Result<int> archive_backup(const Settings& settings, const std::string& dir, bool json, std::ostream& out);

struct RestoreOptions {
    std::string from;       ///< a copy of the archive
    std::string witnessed;  ///< file with the newest checkpoint that was seen outside
    bool no_witness = false;
    std::string log_key;  ///< verifier key by which it is known; empty: the copy says
    std::string damaged;  ///< folder with what is left of the archive; empty: nothing
    std::string hsm;      ///< NAME of the [hsm.NAME] whose custodians agree
    std::string why;
    std::string by;
    hsm::custody::SessionArguments session;
};
/// Puts the archive into its place again, while tsad is down, if the custodians agree (store/restore.h). 0.
Result<int> archive_restore(const Settings& settings, const RestoreOptions& options, bool json,
                            std::ostream& out);

/// Finished months as the running server sees them. 0.
Result<int> seal_list(const Settings& settings, bool json, std::ostream& out);
struct SealChange {
    std::string month;
    std::string why;
    std::string by;
};
/// Asks the running server to renew a month's time-stamp at its next look. 0.
Result<int> seal_renew(const Settings& settings, const SealChange& change, bool json, std::ostream& out);

/// What the running tsad consists of, and what differs from what should be; `sums`: only the list of the
/// files as they are, as sha256sum(1) reads it. 0; 1 if there is a trouble.
Result<int> programs_list(const Settings& settings, bool sums, bool json, std::ostream& out);
/// The files as they are count from now on, or the custodians are asked to agree to that. 0.
Result<int> programs_accept(const Settings& settings, const std::string& why, const std::string& by,
                            bool json, std::ostream& out);

/// What others have written down, into the archive (docs/retention.md).
struct ImportOptions {
    std::string file;
    std::string kind;     ///< "room-entry", "subscription", "other"
    std::string subject;  ///< what it is about
    std::string from;     ///< RFC 3339: the period that it is about
    std::string to;
    std::string why;
    std::string by;
};
/// Imports a file of at most store::largest_content octets. 0.
Result<int> archive_import(const Settings& settings, const ImportOptions& options, bool json,
                           std::ostream& out);
/// All imports, and whether their contents are there; 0; 1 if one isn't as it should be.
Result<int> archive_imports(const Settings& settings, bool json, std::ostream& out);
/// Erases an import's content, or asks the custodians to agree to that. 0.
Result<int> archive_erase(const Settings& settings, const std::string& id, const std::string& why,
                          const std::string& by, bool json, std::ostream& out);

/// Which records that have passed their time go (docs/retention.md).
struct ExpireOptions {
    std::vector<std::string> months;  ///< "2026-10"; none: all finished ones
    std::vector<std::string> kinds;   ///< "token", or of events; none: all
    std::string list;                 ///< file for the list that will be recorded; empty: none
    std::string why;
    std::string by;
};
/// Has them removed, or asks the custodians to agree to that. 0.
Result<int> archive_expire(const Settings& settings, const ExpireOptions& options, bool json,
                           std::ostream& out);

/// What stamp and verify read of a document, in octets, at most.
constexpr std::size_t largest_file = std::size_t{1} << 31U;

struct StampOptions {
    std::string file;
    std::string output;  ///< empty: file + ".tsr"
    std::string url;     ///< http://… or https://…
    std::string ca;      ///< PEM file of anchors for https
    std::string policy;  ///< OID; empty: the server's default
    std::string hash = "sha256";
    bool certificates = true;  ///< certReq
};
/// Stamps a file: writes the TimeStampResp. 0 if granted and the answer fits the question, 1 if the TSA said
/// no.
Result<int> stamp(const StampOptions& options, bool json, std::ostream& out);

struct VerifyOptions {
    std::string file;
    std::string token;             ///< a TimeStampResp or a bare token
    std::string anchors;           ///< PEM file
    std::string certificates;      ///< PEM file with further certificates; may be empty
    std::string taa_anchors;       ///< PEM file for the TAC in the token; empty: `anchors`
    std::string taa_certificates;  ///< PEM file: the TAA's certificate and those between; may be empty
};
/// Every check of the token (TSA-12), and of the TAC if it carries one. 0 if all passed, 1 if one failed.
Result<int> verify(const VerifyOptions& options, bool json, std::ostream& out);

}  // namespace kokuin::tsa::control
