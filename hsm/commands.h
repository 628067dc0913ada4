// The commands about token and keys that tsactl and taad share: what keytool.h can do, for a command line.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <ostream>
#include <string>

#include "base/result.h"
#include "hsm/keytool.h"
#include "hsm/settings.h"
#include "hsm/token.h"

namespace CLI {
class App;
}

namespace kokuin::hsm {

/// The token and its module as the configuration names them; without a PIN.
TokenOptions options_of(const Settings& settings);

/// Opens the token that the configuration names, with the PIN of its pin_file; where it has none, the token
/// is locked until its custodians' PIN unlocks it. The environment must have been applied. `on_event` as in
/// TokenOptions.
Result<std::unique_ptr<Token>> open_token(const Settings& settings,
                                          std::function<void(const TokenEvent&)> on_event = {});
/// For a program with several tokens, those of one module share it: locked, whether there is a pin_file or
/// not. Nothing but the module's start is asked of the HSM.
Result<std::unique_ptr<Token>> open_locked_token(const Settings& settings, Modules& modules,
                                                 std::function<void(const TokenEvent&)> on_event);

/// Initialises a free slot of the module as the token that the configuration names, with the PINs of pin_file
/// and `so_pin_file`. A token of this label whose user has no PIN yet (a call before got no further) is gone
/// on with, if `so_pin_file` fits. Error::usage if there is one with a PIN, and if the HSM refuses a PIN as
/// too short, too long or of the wrong characters. No Token may be open.
Done initialise_token(const Settings& settings, const std::string& so_pin_file);
/// The PINs of a new token, and what an error calls them ("FILE", "the drawn PIN"). Both outlive the call.
struct NewPins {
    const Secret& user;
    std::string user_from;
    const Secret& officer;
    std::string officer_from;
};
/// The same with these PINs.
Done initialise_token(const Settings& settings, const NewPins& pins);

/// [{"label", "id", "type", "bits", "sensitive", "extractable", "certificates": [{"subject", "issuer",
/// "not_after"}…]}…]
Result<std::string> keys_json(Token& token);
/// What can be told of them without a PIN, while nothing else in this process uses the module: public halves
/// and certificates; "sensitive" and "extractable" are null.
Result<std::string> public_keys_json(const Settings& settings);
/// The same for people; `json` as one of these made it. "hsm", where it is there and not "hsm": which of a
/// server's tokens.
std::string keys_text(const std::string& json);

/// What the commands below read from the command line.
struct KeyArguments {
    std::string label;
    std::string subject;
    std::string output;
    std::string file;
    KeyAlgorithm type = KeyAlgorithm::rsa;
    std::optional<unsigned> bits;  ///< of RSA; not given: 2048
    std::string so_pin_file;
    // For the records of a server that keeps them.
    std::string tsu;
    std::string hsm;  ///< which token of the server makes it; empty: that of its TSU
    std::string why;
    std::string by;
};
/// A key pair that was made.
struct MadeKey {
    std::string label;
    std::string id;    ///< CKA_ID, hex
    std::string type;  ///< as in KeyInfo
    unsigned bits = 0;
};
/// The keys of a token, wherever it is open: in this process, or in the server's.
class Keys {
  public:
    virtual ~Keys() = default;
    /// As keytool's functions of these names, with the arguments of the command.
    virtual Result<MadeKey> generate(const KeyArguments& arguments) = 0;
    virtual Result<std::string> csr(const KeyArguments& arguments) = 0;
    /// `pem`: the certificate, and perhaps what is above it.
    virtual Done import(const KeyArguments& arguments, const std::string& pem) = 0;
    /// keys_json().
    virtual Result<std::string> list() = 0;
};
/// Those of the configured token, opened here with the PIN of its pin_file, for CSRs that ask for `purpose`.
/// Puts the module's environment into this process's: before there are threads.
Result<std::unique_ptr<Keys>> keys_here(const Settings& settings, keytool::Purpose purpose);

/// A chosen command, to be run on the keys; prints to the stream (`json`: one JSON object, whose "made" says
/// what there is now), returns the exit code.
using KeyAction = std::function<Result<int>(Keys&, bool json, std::ostream&)>;
/// Adds `generate LABEL`, `csr LABEL --subject DN [-o FILE]` and `import LABEL FILE` to a command line.
/// Whichever is given calls `choose` once while the line is parsed. `arguments` must outlive the action.
/// `records`: whether the server records them, so that --why and --by are offered, and --tsu where a key is
/// made.
enum class KeyRecords { no, yes };
void add_key_commands(CLI::App& key, KeyArguments& arguments, KeyRecords records,
                      const std::function<void(KeyAction)>& choose);
/// To be run with the [hsm] table before anything else has touched the module.
using TokenAction = std::function<Result<int>(const Settings&, bool json, std::ostream&)>;
/// Adds `init --so-pin-file FILE` likewise: initialise_token().
void add_token_commands(CLI::App& token, KeyArguments& arguments,
                        const std::function<void(TokenAction)>& choose);

}  // namespace kokuin::hsm
