// Serial numbers over all segments: that each is there once, and whose are the records that can't say it.
#pragma once

#include <cstdint>
#include <vector>

#include "audit/chain.h"
#include "audit/problem.h"
#include "audit/segment_check.h"

namespace kokuin::audit {

/// Records with a serial number that an older one has. `hashes`: Stretch::serials of all that was looked at;
/// records below `since` weren't, and theirs are asked of the index.
std::vector<Problem> find_repeated(Chain& chain, const RowSums::Key& key, std::vector<std::uint64_t> hashes,
                                   std::uint64_t since);

/// Gives problems with records that can't name their serial number themselves the one that the index has.
void name_tokens(Chain& chain, std::vector<Problem>& problems);

/// One problem for each record of a run [from, to) that isn't all those that were signed, by the index.
std::vector<Problem> name_records(Chain& chain, std::uint64_t from, std::uint64_t to);

}  // namespace kokuin::audit
