// OCSP responses that were signed ahead of time and lie in a folder: what tsca publish writes and what
// answers from it (RFC 9919, which replaces RFC 5019). No key is near.
#pragma once

#include <optional>
#include <string>

#include "base/bytes.h"
#include "base/time.h"
#include "pki/ocsp.h"

namespace kokuin::pki {

/// The name of the file with the response for this CertID: "sha256-ISSUERKEYHASH-SERIAL.der", lower-case
/// hexadecimal, the serial's magnitude without leading zeros. Nothing where such a response can't be in the
/// folder: another hash than SHA-1 and SHA-256, a hash of another length, or a serial number that is negative
/// or longer than 20 octets (RFC 5280 4.1.2.2).
std::optional<std::string> ocsp_file_name(const CertId& id);

/// Where the response for this CertID lies, below the OCSP URL, for a web server that knows nothing of OCSP:
/// the base64 of the request with this id alone and no nonce (RFC 6960 A.1), in which each '/' is a folder's
/// end. Servers decode the %2F of a client to that. Nothing in a few cases: where the base64 ends in '/'
/// there is no such file. (Where it has "//" the path has one: servers and file systems take both for the
/// same.)
std::optional<std::string> ocsp_get_path(const CertId& id);

/// What goes back to a client. HTTP status is 200 for all of them (RFC 6960 A.2).
struct PublishedResponse {
    Bytes der;
    /// Of a response that says something of a certificate: for Last-Modified, Expires, max-age (RFC
    /// 9919 7.2).
    std::optional<WallTime> this_update;
    std::optional<WallTime> next_update;
    /// What an operator should mend, one line; empty: nothing.
    std::string trouble;
};

/// Largest request that is looked at; longer ones are malformed.
constexpr std::size_t largest_ocsp_request = 4096;

/// Answers a DER OCSP request with what lies in `folder` (DIR/ocsp of a publication):
/// - the response of the one certificate that is asked for; a nonce is passed over, because nobody is here to
///   sign it
/// - malformedRequest: it is no request
/// - unauthorized: several certificates at once, or one of which nothing lies there (RFC 5019 2.2.3)
/// - tryLater, with trouble: the response that lies there ended before `now`
/// - internalError, with trouble: it can't be read, or isn't the one that its name says
/// Reads one small file each time, so a publication that replaces the folder needs no restart. Thread-safe.
PublishedResponse answer_from_folder(const std::string& folder, View request, WallTime now);

}  // namespace kokuin::pki
