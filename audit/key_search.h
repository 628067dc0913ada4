// Which certificates a key has had: how what one key has signed is found.
#pragma once

#include <set>
#include <string>

#include "base/result.h"
#include "store/reader.h"

namespace kokuin::audit {

/// SHA-256 of the certificates, by the archive's own events "key.certified". `key`: the key's label in the
/// HSM (of all keys that had it) or the SHA-256 of its SubjectPublicKeyInfo, hex. Error (no) if no such key
/// was ever certified.
Result<std::set<store::BlobId>> certificates_of_key(store::ArchiveReader& reader, const std::string& key);

}  // namespace kokuin::audit
