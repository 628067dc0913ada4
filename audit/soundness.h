// Is a token that the archive gives back the one that was issued? Its signature covers all that it says.
#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "pki/certificate.h"
#include "pki/public_key.h"
#include "store/reader.h"
#include "tsa/protocol/token.h"

namespace kokuin::audit {

/// Why `token` isn't one that this certificate's key signed, or says something else than the record about
/// serial number, time, policy or imprint (`accuracy_us`: what it states, if it does); nothing if it is and
/// doesn't. `parser`: has read what it likes, and reads this one; one thread at a time.
std::optional<std::string> token_fault(tsp::TokenParser& parser, View token, const store::Issuance& issuance,
                                       const pki::Certificate& signer, const pki::PublicKey& key,
                                       std::optional<std::int64_t>& accuracy_us);

/// The same of what an archive shows. Error (environment: the archive is damaged) names segment and record.
/// Pure.
Done check_token(const store::Shown& shown);

/// True for numbers that differ in leading zeros only (magnitudes, big-endian).
bool same_number(View a, View b);

}  // namespace kokuin::audit
