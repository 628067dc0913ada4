// All of one segment, by all cores: its records, one stretch after the other, and what stands beside them.
#pragma once

#include <functional>
#include <vector>

#include "audit/chain.h"
#include "audit/problem.h"
#include "audit/segment_check.h"

namespace kokuin::audit {

struct SegmentPass {
    const CheckContext& context;
    Chain& chain;
    Segment& segment;
    store::RecordNumber from = 0;  ///< records below aren't looked at; segment.first or above
    unsigned threads = 1;
};

/// Checks records (segment_check.h), pages, blobs, the index against the records, and that nothing is here
/// that belongs elsewhere. Each stretch goes to `take` as soon as those before it have, on the calling
/// thread. What isn't about a record of a stretch goes to `problems`. Returns blobs that no record names, if
/// all of the segment was looked at and nothing that names them was lost.
std::vector<store::BlobId> check_segment(const SegmentPass& pass, const std::function<void(Stretch)>& take,
                                         std::vector<Problem>& problems);

}  // namespace kokuin::audit
