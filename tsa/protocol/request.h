// TimeStampReq (RFC 3161 2.4.1), read strictly, and the rejections that reading and judging it can end in.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "pki/hash.h"

namespace kokuin::tsp {

/// PKIFailureInfo of RFC 3161 2.4.2; the value is the number of the named bit. No others may be sent.
enum class FailInfo : unsigned {
    bad_alg = 0,
    bad_request = 2,
    bad_data_format = 5,
    time_not_available = 14,
    unaccepted_policy = 15,
    unaccepted_extension = 16,
    add_info_not_available = 17,
    system_failure = 25,
};

/// Name of the bit as in RFC 3161, for logs and metrics: "badAlg", "timeNotAvailable", …
std::string_view name(FailInfo info);

/// Why a request gets no token.
struct Rejection {
    FailInfo info = FailInfo::system_failure;
    std::string text;    ///< generic English; may go on the wire
    std::string detail;  ///< what exactly; for our log only
};
/// A Rejection with the generic text that belongs to `info`.
Rejection reject(FailInfo info, std::string detail);

/// One Extension (RFC 5280 4.1) of a request.
struct Extension {
    std::string oid;
    bool critical = false;
    Bytes value;  ///< content of extnValue
};

struct Request {
    Bytes algorithm;  ///< messageImprint.hashAlgorithm, the whole AlgorithmIdentifier as it was sent: echoed
    std::string hash_oid;               ///< the OID in it, dotted
    Bytes imprint;                      ///< messageImprint.hashedMessage
    std::optional<std::string> policy;  ///< reqPolicy, dotted
    std::optional<Bytes> nonce;         ///< content octets of the INTEGER, any length and sign: echoed
    bool cert_req = false;
    std::vector<Extension> extensions;

    /// The hash function, if it is one that pki knows (SHA-1 included).
    [[nodiscard]] std::optional<pki::Hash> hash() const { return pki::hash_from_oid(hash_oid); }
};

/// Reads one TimeStampReq in strict DER. The first fault found decides: not DER, or not this structure, or
/// octets after it: badDataFormat; a version other than 1: badRequest (RFC 3161 2.4.2); parameters of the
/// hash algorithm that are neither absent nor NULL: badAlg. Whether the hash, policy and extensions are
/// acceptable is for check() (policy.h). Pure; takes anything; time linear in the input.
Result<Request, Rejection> parse_request(View der);

/// The DER of a request, for clients and tests. An empty `algorithm` is written as hash_oid with NULL
/// parameters. `hash_oid`, `policy` and extension OIDs must be OIDs that der::is_oid() takes.
Bytes encode(const Request& request);

}  // namespace kokuin::tsp
