// The [hsm] table of a configuration: the same for tsad, tsactl and taad.
#pragma once

#include <string>
#include <vector>

#include "base/config.h"
#include "base/result.h"

namespace kokuin::hsm {

struct Settings {
    std::string module;                    ///< path of the PKCS#11 module
    std::string token;                     ///< label of the token, or a pkcs11: URI
    std::string pin_file;                  ///< path; read with read_secret_file()
    unsigned sessions = 4;                 ///< signatures at the same time
    std::vector<std::string> environment;  ///< "NAME=value": what the module wants to find
};

/// Reads `module`, `token`, `pin_file`, `sessions`, `environment`. Problems are collected by the table's
/// document.
Settings read_settings(config::Table table);

/// Puts `environment` into this process's environment. Call before the module is loaded and before any thread
/// is started: setenv(3) is not thread-safe.
void apply_environment(const Settings& settings);

}  // namespace kokuin::hsm
