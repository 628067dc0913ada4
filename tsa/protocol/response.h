// TimeStampResp (RFC 3161 2.4.2).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "tsa/protocol/request.h"

namespace kokuin::tsp {

/// PKIStatus (RFC 3161 2.4.2).
enum class Status : int {
    granted = 0,
    granted_with_mods = 1,
    rejection = 2,
    waiting = 3,
    revocation_warning = 4,
    revocation_notification = 5,
};

/// A response that says no: status rejection, statusString with the rejection's `text` (never its detail),
/// failInfo as DER named bits (X.690 11.2.2).
Bytes rejection(const Rejection& rejection);

/// A response that carries this token (a DER ContentInfo, copied as it is). Status granted and nothing beside
/// it: jarsigner fails on a granted response that has a statusString.
Bytes granted(View token);

/// A response as a client reads it.
struct Response {
    int status = 0;                     ///< a value of Status, or whatever a foreign server sent
    std::vector<std::string> strings;   ///< statusString, as UTF-8
    std::vector<unsigned> fail_info{};  ///< numbers of the bits that are set, ascending
    std::optional<Bytes> token;         ///< the TimeStampToken, DER, unread

    [[nodiscard]] bool granted() const { return (status == 0 || status == 1) && token.has_value(); }
    /// One line for people: "rejection (2), badAlg: This hash algorithm is not accepted".
    [[nodiscard]] std::string text() const;
};

/// Reads a response: the structure in strict DER, but named bits with trailing zeros are taken from foreign
/// servers. A granted response without a token, and any other with one, are refused (RFC 3161 2.4.2). Takes
/// anything.
Result<Response> parse_response(View der);

}  // namespace kokuin::tsp
