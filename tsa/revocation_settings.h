// The table [revocation] of tsad.toml.
#pragma once

#include <string>
#include <vector>

#include "base/config.h"
#include "base/time.h"

namespace kokuin::tsa {

/// Where one CA's answers are fetched from, whatever its certificates say.
struct RevocationSource {
    std::string name;    ///< NAME of [revocation.issuer.NAME]
    std::string issuer;  ///< PEM file with the CA's certificate
    std::string ocsp;    ///< http URL; empty: what the certificates say
    std::string crl;     ///< http URL; empty: what the certificates say
};

struct RevocationSettings {
    /// True: a gate is closed while nobody knows whether a certificate of its path is revoked.
    bool hard = false;
    nanoseconds grace{};    ///< soft: how long it stays open past the end of the last good answer
    nanoseconds every{};    ///< a new answer is fetched at least so often
    nanoseconds timeout{};  ///< for one request
    std::string cache;      ///< folder, made if it is missing; its parent must be there
    std::vector<RevocationSource> sources;
};

RevocationSettings read_revocation(config::Table& table);

}  // namespace kokuin::tsa
