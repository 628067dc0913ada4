// The [hsm] table of a configuration: the same for tsad, tsactl and taad.
#pragma once

#include <string>
#include <vector>

#include "base/config.h"
#include "base/result.h"

namespace kokuin::hsm {

struct Settings {
    std::string name;               ///< of [hsm.NAME]; empty: [hsm]
    std::string module;             ///< path of the PKCS#11 module
    std::string module_parameters;  ///< what is said to it at its start (Module::load()); empty: nothing
    std::string token;              ///< label of the token, or a pkcs11: URI
    /// Path, read with read_secret_file(); empty: the PIN is with custodians (KEY-2).
    std::string pin_file;
    /// Only without pin_file, and never for service: the server opens the shares STEM.share with the
    /// passphrases in STEM.passphrase itself.
    std::vector<std::string> unattended;
    unsigned sessions = 4;                 ///< signatures at the same time
    std::vector<std::string> environment;  ///< "NAME=value": what the modules of the process want to find
};

/// Reads `module`, `module_parameters`, `token`, `pin_file`, `unattended`, `sessions`, `environment`.
/// Problems are collected by the table's document.
Settings read_settings(config::Table table);
/// The same, and a program's further tokens: the tables [hsm.NAME]. What they can't have side by side is a
/// problem: one label of a token twice, one module with two sets of parameters, one variable of the
/// environment with two values.
std::vector<Settings> read_all_settings(config::Table table);
/// "[hsm]", "[hsm.NAME]".
std::string table_of(const Settings& settings);

/// Puts `environment` into this process's environment. Call before the module is loaded and before any thread
/// is started: setenv(3) is not thread-safe.
void apply_environment(const Settings& settings);

}  // namespace kokuin::hsm
