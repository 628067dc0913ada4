// Verification requests (ISO/IEC 18014-1, 照合) and how two tokens differ. Pure and thread-safe.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "tsa/protocol/token.h"

namespace kokuin::tsp {

/// VerifyReq ::= SEQUENCE { version INTEGER (1), tst TimeStampToken, requestID OCTET STRING OPTIONAL }. The
/// edition of 2002 has the requestID as [0]: both are taken, and echoed as they came.
struct VerifyRequest {
    Bytes token;       ///< the ContentInfo, unread
    Bytes request_id;  ///< the whole element; empty if there is none
};
/// Nothing if it is no VerifyReq: a token and a TimeStampResp begin otherwise. Error (usage): it is one, and
/// broken; says at which octet.
Result<std::optional<VerifyRequest>> parse_verify_request(View der);

/// VerifyResp ::= SEQUENCE { version INTEGER (1), status PKIStatusInfo, tst TimeStampToken, requestID … }:
/// granted, or a rejection with this text.
Bytes verify_response(const VerifyRequest& request, const std::optional<std::string>& rejected);

/// Names of what differs between two tokens, in the order in which it stands in them: "policy",
/// "hash_algorithm", "imprint", "serial", "gen_time", "accuracy", "ordering", "nonce", "tsa", "tst_info"
/// (something else in it), "signed_attributes", "signature", "certificates" (those beside it, which nothing
/// signs but their identifiers), "encoding" (nothing of the above). Empty exactly if both are the same
/// octets.
std::vector<std::string> differences(const Token& a, const Token& b);

}  // namespace kokuin::tsp
