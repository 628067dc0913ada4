// The person at the terminal.
#pragma once

#include <string>

#include "base/result.h"
#include "base/secret.h"

namespace kokuin {

/// Asks on the process's terminal (/dev/tty, so also while stdin and stdout are redirected) for one line that
/// isn't shown as it is typed: up to 1024 octets, ended by Enter; Backspace and Ctrl-U work, Ctrl-C gives up.
/// The terminal is as before on return. Error (usage): there is no terminal, the person gave up, the line is
/// empty or too long. Not for two threads at once.
Result<Secret> ask_secret(const std::string& prompt);

}  // namespace kokuin
