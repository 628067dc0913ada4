// What can still be read of records that no copy has. Used inside the store only.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "store/restore.h"

namespace kokuin::store {

struct Left {
    std::vector<LostRecord> records;  ///< by number
    std::vector<std::string> troubles;
};

/// Records of the archive `id` from number `from` on, out of what is left of it in `dir`: of each as much as
/// its octets or the index still say. Damage is told, and read around. Error (no): another archive; (usage):
/// nothing of an archive is there.
Result<Left> read_lost(const std::string& dir, const std::string& id, RecordNumber from);

/// Adds, by their numbers alone, those of [from, to) that aren't among `lost`; keeps it sorted.
void add_unread(std::vector<LostRecord>& lost, RecordNumber from, RecordNumber to);

}  // namespace kokuin::store
