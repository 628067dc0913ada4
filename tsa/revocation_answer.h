// What octets from somewhere say of one certificate's revocation, if they can be believed. Pure.
#pragma once

#include <optional>
#include <string>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "pki/certificate.h"
#include "pki/revocation.h"

namespace kokuin::tsa {

/// A believed answer. Its octets are judged again where they are used again.
struct RevocationAnswer {
    bool revoked = false;
    std::string text;  ///< if revoked: "CN=TSU 1 is revoked since … (keyCompromise)"
    WallTime this_update{};
    WallTime until{};  ///< its nextUpdate, or what counts as that
    Bytes der;
};

/// How answers without nextUpdate are taken: newer information is there all the time (RFC 6960 2.4), so they
/// count only for a while.
struct AnswerRules {
    nanoseconds without_next = std::chrono::hours(24);
    /// Of an answer that was kept: it was believed when it came, and says until when it counts. If it has
    /// ended by `at`, it is judged as of its end.
    bool kept = false;
};

/// An OCSP response (RFC 6960). `crl`: the newest list of this issuer at hand, that a responder whose
/// certificate needs a look is looked for in; null: none is, and such a responder isn't believed. Error (no):
/// why it isn't believed, or that the responder doesn't know the certificate.
Result<RevocationAnswer> read_ocsp_answer(View der, const pki::Certificate& certificate,
                                          const pki::Certificate& issuer, WallTime at, const pki::Crl* crl,
                                          const AnswerRules& rules);

/// True if read_ocsp_answer() could believe it only with a CRL.
bool wants_crl(View der, const pki::Certificate& certificate, const pki::Certificate& issuer, WallTime at);

/// A CRL (RFC 5280), DER or PEM (what RFC 5280 4.2.1.13 fetches is DER; some CAs publish PEM). What it names
/// is revoked even if the list isn't complete; only one that covers() the certificate says that it is good.
Result<RevocationAnswer> read_crl_answer(View octets, const pki::Certificate& certificate,
                                         const pki::Certificate& issuer, WallTime at,
                                         const AnswerRules& rules);

}  // namespace kokuin::tsa
