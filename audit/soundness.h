// Is a token that the archive gives back the one that was issued? Without a tree of hashes over the records
// the token itself has to tell: its signature covers all that it says.
#pragma once

#include "base/result.h"
#include "store/reader.h"

namespace kokuin::audit {

/// Error (environment: the archive is damaged) if the token can't be read, doesn't verify under the
/// certificate that the record names, or says something else than the record about serial number, time,
/// policy or imprint. Pure.
Done check_token(const store::Shown& shown);

}  // namespace kokuin::audit
