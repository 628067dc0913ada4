// What follows from a compromised key (KEY-6, KEY-7, TSA-17): which tokens have lost their reliability, what
// the CA is asked for, and what the repository publishes.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "base/net/router.h"
#include "base/result.h"
#include "store/reader.h"
#include "tsa/key_life.h"

namespace kokuin::tsa {

/// Visits the issuances whose tokens this key has signed, in the order of their numbers, from `first` on;
/// false ends the search. All of them: no moment can be proved before which the key was safe (KEY-7).
Done each_lost_token(store::ArchiveReader& reader, const Compromise& compromise, store::RecordNumber first,
                     const store::Visitor& visit);
/// One of them as JSON: "serial", "gen_time" (RFC 3339, UTC), "policy", "imprint_algorithm", "imprint"; names
/// as in `tsaudit find --json`.
std::string lost_token_json(const store::Issuance& issuance);

/// What the CA is asked for, JSON of several lines: "request": "revocation", "certificate_sha256", "issuer",
/// "serial", "reason": "keyCompromise", "invalidity_date" (RFC 5280 5.3.2: the first use, since nothing later
/// is proved), "tsu", "why", "asked_by", "asked_at". `certificate`: the key's.
std::string revocation_request_json(const Compromise& compromise, const pki::Certificate& certificate,
                                    const std::string& why, const std::string& by);

/// Published without access control (TSA-11, TSA-17); nothing of what operators wrote is in it:
/// - GET /repository/notices: JSON {"notices": [{"notice": "key-compromised", "at", "tsu", "certificate":
/// {"subject", "issuer",
///   "serial", "sha256"}, "signed_from", "signed_until", "text", "tokens": path}]}, the newest last
/// - GET /repository/lost/{certificate}[/{first}]: JSON {"certificate", "tokens": [lost_token_json()],
/// "next": path or null}, for
///   the SHA-256 of a notice's certificate; in pages, since there may be millions. 404 for any other.
/// `archive`: its folder; `life` outlives the router.
void add_notice_routes(net::Router& router, const KeyLife& life, const std::string& archive);

}  // namespace kokuin::tsa
