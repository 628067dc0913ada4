// Until when a token holds (ARC-13): its TSU's certificate ends one day, and an algorithm may be given up
// before.
#pragma once

#include <map>
#include <string>

#include "base/config.h"
#include "base/time.h"
#include "pki/certificate.h"
#include "tsa/protocol/token.h"

namespace kokuin::tsa {

/// When an algorithm isn't relied on any more, by its name: "sha1", "sha256", "sha384", "sha512", and
/// "rsa2048", "rsa3072", "rsa4096" for RSA keys of up to so many bits.
using AlgorithmEnds = std::map<std::string, WallTime>;

/// Reads the table [collation.ends]: such names, RFC 3339 dates or times.
AlgorithmEnds read_algorithm_ends(config::Table table);

struct Holding {
    WallTime until{};
    std::string because;  ///< "certificate", or a name of AlgorithmEnds
};
/// The earliest of the certificate's end and the ends of what the token rests on: the hash of its imprint,
/// the hashes of its signature, the RSA key, and the hash by which it names its certificate (of several the
/// one that holds longest: each alone is enough; RFC 5035). `certificate`: the TSU's. Pure.
Holding holding_of(const tsp::Token& token, const pki::Certificate& certificate, const AlgorithmEnds& ends);

}  // namespace kokuin::tsa
