// What this CA does: keys, certificates, revocations; each durably recorded before anybody is told.
#pragma once

#include <string>

#include "base/result.h"
#include "ca/books.h"
#include "ca/config.h"
#include "ca/plan.h"
#include "hsm/token.h"
#include "pki/sign_function.h"

namespace kokuin::ca {

/// Signs with a key of the token, and checks each signature with the public half before it goes anywhere.
/// `token` outlives it.
pki::SignFunction signer(hsm::Token& token, hsm::Key key);
/// The key of one of the CAs, which must be that of its certificate.
Result<hsm::Key> key_of(hsm::Token& token, const CaSettings& ca, const pki::Certificate& certificate);

/// Makes an RSA key pair in the token: record "key.generated" about its label. A key that can't be recorded
/// is destroyed again.
Result<hsm::Key> generate_key(Books& books, hsm::Token& token, const std::string& label, unsigned bits,
                              const std::string& custodians, const Who& who);

/// Signs what make_plan() allowed, judges the result as those will to whom it is given (its path; for a TSU
/// pki::check_tsu_certificate), and records it: "ca.issued" about its serial number, with the certificate and
/// the request as blobs. `order`: the same as for the plan. Error (no): the result was refused, and is
/// nowhere; (environment): HSM or archive.
Result<Issued> carry_out(Books& books, hsm::Token& token, const Settings& settings, const Plan& plan,
                         const Order& order, const Who& who);

/// Revokes: record "ca.revoked" about the serial number. No key is needed; the world learns it from the next
/// publication. Error (no): nothing of this serial was issued, it is the root's, or it is revoked already.
Result<Issued> revoke(Books& books, const std::string& serial, pki::Reason reason, const Who& who);

}  // namespace kokuin::ca
