// Who has signed an archive's checkpoints, by what it says itself.
#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "store/reader.h"
#include "store/tlog/note.h"

namespace kokuin::store {

/// Every key that the archive says its log was to be signed with (events "archive.key"), once each, in the
/// order in which they came.
Result<std::vector<tlog::VerifierKey>> recorded_keys(ArchiveReader& reader);

/// The checkpoint of a note, signed by one of `keys`. Error (no): it isn't, or one of these signatures is
/// wrong; (usage): no checkpoint.
Result<tlog::Checkpoint> signed_by(const tlog::Note& note, const std::vector<tlog::VerifierKey>& keys);

/// Records of the archive in `dir` below this number are under its newest checkpoint, which is over just
/// these records, and signed by a key that is recorded; 0: there is none. Error (environment): the newest one
/// isn't so, or the archive can't be read.
Result<std::uint64_t> covered_in(const std::string& dir, ArchiveReader& reader);

}  // namespace kokuin::store
