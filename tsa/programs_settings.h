// The table [programs] of tsad.toml, and which files a tsad consists of by its configuration (ARC-9).
#pragma once

#include <string>
#include <vector>

#include "base/config.h"
#include "base/time.h"

namespace kokuin::tsa {

struct Settings;

struct ProgramsSettings {
    nanoseconds check_every{};       ///< the rest between two looks
    bool stop = false;               ///< on a change nothing is stamped; otherwise it is only told
    std::vector<std::string> watch;  ///< further files
};

/// Reads `check_every`, `on_change`, `watch`.
ProgramsSettings read_programs(config::Table table);

/// The files that are read at start and say what is done: the configuration, the certificates that it names,
/// the leap second list, the programs that are run, `watch`. Each once, ordered. Never a secret, of which a
/// digest says too much (PINs, shares, passphrases, private keys), and nothing that changes while all is well
/// (CRLs, what is published, caches).
std::vector<std::string> files_of(const Settings& settings);

}  // namespace kokuin::tsa
