// What tsactl and taad do with keys in the HSM: the same verbs for both.
#pragma once

#include <functional>
#include <memory>
#include <ostream>
#include <string>

#include "base/result.h"
#include "hsm/settings.h"
#include "hsm/token.h"

namespace CLI {
class App;
}

namespace kokuin::hsm {

/// Loads the module and opens the token that the configuration names. The environment must have been applied.
Result<std::unique_ptr<Token>> open_token(const Settings& settings);
/// Makes the token that the configuration names, with the PINs of pin_file and `so_pin_file`.
Done initialise_token(const Settings& settings, const std::string& so_pin_file);

/// What a certificate is asked for.
enum class Purpose {
    time_stamping,  ///< the critical, sole extended key usage timeStamping (RFC 3161 2.3)
    plain,          ///< digitalSignature, no extended key usage
};
/// A certificate request (PKCS#10, PEM) for the key of this label, signed in the token with SHA-512.
/// `subject`: "C=JP,O=Example,CN=TSU 1", in the order of the Name; a comma inside a value is written "\,".
Result<std::string> make_csr(Token& token, const std::string& label, const std::string& subject,
                             Purpose purpose);

/// [{"label", "id", "bits", "sensitive", "extractable", "certificates": [{"subject", "serial",
/// "not_after"}…]}…]
Result<std::string> keys_json(const Token& token);
/// The same for people; `json` as keys_json() made it.
std::string keys_text(const std::string& json);

/// What the commands below read from the command line.
struct KeyArguments {
    std::string label;
    std::string subject;
    std::string output;
    std::string file;
    unsigned bits = 2048;
};
/// A chosen command, to be run with the [hsm] table; prints to the stream, returns the exit code.
using KeyAction = std::function<Result<int>(const Settings&, std::ostream&)>;
/// Adds `generate LABEL`, `csr LABEL --subject DN [-o FILE]` and `import LABEL FILE` to a command line.
/// Whichever is given calls `choose` once while the line is parsed. `arguments` must outlive the action.
void add_key_commands(CLI::App& key, KeyArguments& arguments, Purpose purpose,
                      const std::function<void(KeyAction)>& choose);

}  // namespace kokuin::hsm
