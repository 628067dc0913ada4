// What has passed its time and what was removed (ARC-1; docs/retention.md), and what is imported. All of it
// only lists: nothing is removed here.
#pragma once

#include <iosfwd>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "store/expiry.h"
#include "store/imports.h"
#include "store/reader.h"

namespace kokuin::audit {

struct ExpireArguments {
    std::string archive;
    bool json = false;
    std::string at;        ///< expire: as of this date or time (RFC 3339); empty: now
    std::string personal;  ///< imports: folder of the contents; empty: they aren't looked at
};

using store::ExpiringKind;
using store::ExpiringSegment;
/// store::expiring().
Result<std::vector<ExpiringSegment>> expiring(store::ArchiveReader& reader, WallTime at);

/// Prints them, what was removed of them, and the imports that have passed their time.
Done list_expired(const ExpireArguments& arguments, std::ostream& out);

/// Prints all imports. Error (no), told after everything else: one isn't as it should be.
Done list_imports(const ExpireArguments& arguments, std::ostream& out);

}  // namespace kokuin::audit
