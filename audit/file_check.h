// What a segment's file holds beside its records: pages, blobs, tiles, rows that belong to no record of it.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "audit/chain.h"
#include "audit/problem.h"
#include "store/blob.h"

namespace kokuin::audit {

/// SQLite's own check of the file. Opens it for itself: on any thread.
std::vector<Problem> check_pages(const std::string& dir, const std::string& segment);

/// Each blob against its name; those that are what it says go to `there`. Opens the file for itself.
std::vector<Problem> check_blobs(const std::string& dir, const std::string& segment,
                                 std::set<store::BlobId>& there);

/// Tables and their definitions, and that each tile has its place here. (What a tile says is for the tree to
/// judge.)
std::vector<Problem> check_layout(Chain& chain, Segment& segment);

/// Records with numbers that this segment hasn't got, and rows of its index that name such: `stray`, all that
/// were found outside [`from`, segment.end). In the newest segment they may have come meanwhile.
std::vector<Problem> check_outside(Chain& chain, Segment& segment,
                                   const std::vector<store::RecordNumber>& stray, store::RecordNumber from);

/// True if a record that came while the segment was looked at names this blob.
bool is_named_since(const std::string& dir, const Segment& segment, const store::BlobId& id);

}  // namespace kokuin::audit
