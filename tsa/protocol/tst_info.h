// TSTInfo (RFC 3161 2.4.2): what a token says.
#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "pki/hash.h"

namespace kokuin::tsp {

struct TstInfo {
    std::string policy;    ///< dotted OID
    Bytes algorithm;       ///< messageImprint.hashAlgorithm, the whole AlgorithmIdentifier: as in the request
    std::string hash_oid;  ///< the OID in it, dotted
    Bytes imprint;
    /// Unsigned magnitude, big-endian, no leading zeros (one zero octet for 0): hex of it is the serial
    /// everywhere. (A foreign token's negative serial comes as its two's complement octets, with
    /// `negative_serial` set.)
    Bytes serial;
    bool negative_serial = false;
    WallTime gen_time;
    int gentime_digits = 3;  ///< encode(): fractional digits at most, 0…9; parse: found
    std::optional<std::chrono::microseconds> accuracy;  ///< positive; nothing = absent
    bool ordering = false;
    std::optional<Bytes> nonce;  ///< content octets of the INTEGER
    Bytes tsa;  ///< Name (DER) in tsa [0] directoryName [4]; empty = absent or another kind of name
    bool has_extensions = false;  ///< parse only; encode() never writes any (TSA-7)

    [[nodiscard]] std::optional<pki::Hash> hash() const { return pki::hash_from_oid(hash_oid); }
};

/// DER after TSA-7: version 1, genTime truncated to its digits without trailing zeros (RFC 3161 2.4.2),
/// accuracy as seconds/millis/micros with zero parts left out (1000 ms is seconds 1; "millis (1..999)"),
/// ordering FALSE left out (DEFAULT), no extensions. An empty `algorithm` is written as hash_oid with NULL
/// parameters. The OIDs must be such that der::is_oid() takes them. One allocation.
Bytes encode(const TstInfo& info);

/// Reads a TSTInfo, ours or a foreign one: strict DER, except that integers may be longer than needed, that
/// ordering FALSE may be written out, and that accuracy parts may be 0. Takes anything. `at`: where in the
/// token it stands, from where errors count their octets.
Result<TstInfo> parse_tst_info(View der, std::size_t at = 0);

}  // namespace kokuin::tsp
