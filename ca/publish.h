// What the world gets of an offline CA: a folder with certificates, CRLs and OCSP responses, all of one
// moment (CA-2). docs/ca.md has its files.
#pragma once

#include <string>

#include "base/result.h"
#include "ca/acts.h"

namespace kokuin::ca {

struct Publication {
    WallTime at;
    std::int64_t root_crl = 0;  ///< numbers
    std::int64_t issuing_crl = 0;
    WallTime root_next;  ///< until when the root's CRL and responses hold
    WallTime issuing_next;
    std::size_t certificates = 0;  ///< of which OCSP says something
    std::size_t revoked = 0;
};

/// Error (usage) if publish() couldn't write `folder`: something stands there that isn't a publication, or
/// the folder above isn't there. To be asked before anybody has typed anything.
Done check_folder(const std::string& folder);

/// Signs the CRLs of both CAs and, by the certificate's issuer, an OCSP response for each certificate that
/// was ever issued but the root, for CertIDs with SHA-1 and with SHA-256; records the CRLs ("ca.crl", with
/// the CRL as blob) and the publication ("ca.published", with the digests of all files as blob, and the
/// issuing CA's signature under all records so far); then puts everything at `folder`. Whoever copies it sees
/// the old one or the new one: it is written beside it, and the two change places (renameat2(2)). What is
/// revoked stays on the CRL for ever. Error (no): there are no CAs yet, or a certificate of theirs is over;
/// (environment): HSM, disk or archive.
Result<Publication> publish(Books& books, hsm::Token& token, const Settings& settings,
                            const std::string& folder, const Who& who);

}  // namespace kokuin::ca
