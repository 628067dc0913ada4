// A client of a TSA: asks for one time-stamp over HTTP (RFC 3161 3.4).
#pragma once

#include <optional>
#include <string>

#include "base/bytes.h"
#include "base/net/http.h"
#include "base/result.h"
#include "base/time.h"
#include "pki/hash.h"
#include "tsa/protocol/request.h"
#include "tsa/protocol/token.h"

namespace kokuin::tsa {

/// Where a TSA is.
struct StampTarget {
    net::Url url;
    std::string ca;  ///< PEM file of the anchors of an https URL; empty for http
};

/// A request with a fresh nonce. `policy`: dotted; nothing: the TSA's own choice.
tsp::Request stamp_request(pki::Hash hash, Bytes imprint, const std::optional<std::string>& policy,
                           bool certificates);

struct StampAnswer {
    Bytes response;  ///< TimeStampResp, DER
    tsp::Token token;
};
/// Asks, and compares the answer with the request (RFC 3161 2.2); the signature isn't looked at. Errors begin
/// with the URL. (no): the TSA refuses, or answers something else than was asked; (environment): it can't be
/// reached, or that is no TSA.
Result<StampAnswer> ask_for_stamp(const StampTarget& target, const tsp::Request& request, nanoseconds within);

}  // namespace kokuin::tsa
