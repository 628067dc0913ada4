// The TSUs of the configuration, with what is needed to audit them.
#pragma once

#include <vector>

#include "base/net/client.h"
#include "base/result.h"
#include "pki/certificate.h"
#include "taa/config.h"

namespace kokuin::taa {

/// A TSU with what is needed to audit it. Immutable.
struct AuditedTsu {
    TsuSettings settings;
    pki::Certificate certificate;  ///< the holder of its TACs
    net::Client client;            ///< to its audit listener: our channel certificate, its DNS name
    bool says_which = false;       ///< the TSU is told for which certificate it is measured: it may have two
};

/// The TSUs of the configuration with their certificates and clients. The error names the file and what is
/// wrong.
Result<std::vector<AuditedTsu>> load_tsus(const Settings& settings);

}  // namespace kokuin::taa
