// Pieces that OCSP requests and responses share on the wire. Internal to pki.
#pragma once

#include <optional>

#include "base/der.h"
#include "pki/ocsp.h"

namespace kokuin::pki::ocsp {

/// CertID (RFC 6960 4.1.1). Hash algorithms come with NULL parameters, as everybody writes them.
Bytes encode_id(const CertId& id);
CertId read_id(der::Reader& in);

/// Passes over Extensions (RFC 5280 4.1) under this tag, if they are there; only the nonce is known (where
/// `nonce` wants it), and nothing unknown may be critical.
void read_extensions(der::Reader& in, std::uint8_t tag, std::optional<Bytes>* nonce);
/// Extensions with a nonce; nothing without one.
Bytes nonce_extensions(std::uint8_t tag, const std::optional<Bytes>& nonce);
/// RFC 8954: an OCTET STRING in the extension's; older ones put the octets there bare.
Bytes bare_nonce(const Bytes& value);

}  // namespace kokuin::pki::ocsp
