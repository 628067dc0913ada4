// The custodians' commands, the same for every program whose token they hold (tsactl for tsad, taad).
#pragma once

#include <functional>
#include <iosfwd>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "hsm/commands.h"
#include "hsm/custody/ceremony.h"
#include "hsm/custody/session.h"
#include "hsm/keytool.h"
#include "hsm/settings.h"
#include "store/blob.h"
#include "store/record.h"

namespace CLI {
class App;
}

namespace kokuin::hsm::custody {

/// Where a server's custody of this token is asked for: "/custody", "/hsm/NAME/custody".
std::string custody_path(const Settings& hsm);

/// Whose token it is: what a command needs of a program's configuration.
struct Site {
    Settings hsm;
    std::string program;  ///< the server: "tsad"
    std::string tool;     ///< what its operators call: "tsactl", "taad"
    std::string socket;   ///< the server's Unix socket; empty: there is no server, `program` opens the token

    std::string archive;  ///< its folder
    keytool::Purpose purpose = keytool::Purpose::plain;

    /// What the archive keeps of the key that a ceremony has made: each event with its blobs. Empty: nothing.
    std::function<std::vector<std::pair<store::Event, std::vector<store::Blob>>>(
        const Key& key, const std::string& csr, const std::string& custodians, const std::string& account)>
        records_of_key{};
    // Where there is no server:
    std::string settings{};  ///< SHA-256 of the configuration, hex
    /// Opens what the program remembers, to write, and tells `people` what they must know before they agree.
    /// The function records, durably; nobody else writes while it lives.
    using Record = std::function<Done(const store::Event&, const std::vector<store::Blob>&)>;
    std::function<Result<Record>(std::ostream& people)> books{};
    /// Label of the Ed25519 key in this token that signs the archive's checkpoints: a ceremony makes it too.
    std::string archive_key{};
};

/// What the commands read from the command line.
struct Arguments {
    Plan plan;
    std::string folder = "custody";
    std::string
        passphrases;  ///< folder of NAME.passphrase files, for set-ups without people; empty: asked for
    std::string key;
    std::string subject;
    std::string csr;
    std::string share;
    std::string passphrase_file;
    std::string proposal;
    std::string joining;             ///< name of a new custodian
    std::vector<std::string> keep;   ///< names of custodians who stay
    std::vector<std::string> cards;  ///< files of those who join
    SessionArguments session;        ///< where there is no server: whose shares open the token
    std::string why;
    std::string by;
};
/// A chosen command; prints to the stream, returns the exit code.
using Action = std::function<Result<int>(const Site&, bool json, std::ostream&)>;

/// Adds to a command line:
/// - ceremony init --threshold M --custodian NAME… --key LABEL --subject DN --csr FILE [--dir DIR]: makes the
/// token with
///   PINs that nobody sees, the custodians' share files, a first key and its request. The server is down; its
///   archive gets the roster.
/// - ceremony join --custodian NAME [--dir DIR]: a new custodian makes keys
/// - ceremony reshare --threshold M --keep NAME… --join FILE… --why TEXT --by WHO: asks for other custodians
/// (reshare.h)
/// - ceremony show: who holds the PINs, how many shares the running server has, what waits for approvals
/// - activate --share FILE: a custodian gives a share to the running server
/// - approve [ID] --share FILE: a custodian signs a proposal (approvals.h)
/// - deactivate --why TEXT --by WHO
/// Whichever is given calls `choose` once. `arguments` must outlive the action.
void add_commands(CLI::App& app, Arguments& arguments, const std::function<void(Action)>& choose);

/// Whether a ceremony makes a first key and its request with the token: for the one key of a server.
enum class FirstKey { made, later };
/// Adds the `ceremony` commands alone, for a program without a server: `init` without --key, --subject and
/// --csr, the keys come later; `reshare` with --share FILE… of those who agree. add_commands() adds those of
/// a program with one.
void add_ceremony_commands(CLI::App& app, Arguments& arguments, FirstKey first_key,
                           const std::function<void(Action)>& choose);

/// Adds to a server's command line `--keep` (run_with_keeper()) and, for nobody to type, `--kept-by
/// DESCRIPTOR` (Keeper).
void add_keeper_options(CLI::App& app, bool& keep, std::optional<int>& kept_by);

/// The keys of the site's token: the running server is asked, which alone can open it where custodians hold
/// the PIN; with a pin_file and no server that answers they are opened here.
Result<std::unique_ptr<Keys>> keys_of(const Site& site);
/// One request of the running server: its JSON answer. `body`: JSON, or empty. Errors as the server means
/// them.
Result<std::string> ask_server(const Site& site, const std::string& method, const std::string& path,
                               const std::string& body, nanoseconds within);
/// The keys as this process can list them, JSON: with the PIN of a pin_file, or what is public
/// (public_keys_json()).
Result<std::string> list_keys_here(const Site& site);

}  // namespace kokuin::hsm::custody
