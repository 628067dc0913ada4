// The checkpoints of one segment and the cosignatures under them: whether each is signed, and stands where it
// should. Over which records is for the tree to say (tree_check.h).
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "audit/problem.h"
#include "audit/work.h"
#include "store/scan.h"
#include "store/tlog/note.h"

namespace kokuin::audit {

/// By what they are judged; all of it must outlive the check.
struct HeadRules {
    std::string segment;  ///< "2026-11"
    std::string origin;   ///< its log
    store::RecordNumber first = 0;
    store::RecordNumber end = 0;  ///< records of this segment are below
    std::uint64_t since = 0;      ///< heads of older trees needn't be compared with it
    /// That the archive has so many records by now, of the segment that is being written; none: it is
    /// finished.
    std::function<bool(std::uint64_t)> grown_to{};
    const std::vector<tlog::VerifierKey>& log_keys;
    /// Which keys a witness of this name may sign with.
    std::function<std::vector<tlog::VerifierKey>(const std::string& witness)> witness_keys;
    /// Whether these keys are known from outside of the archive.
    std::function<bool(const std::string& witness)> is_trusted;
};

struct SignedHead {
    tlog::TreeHead head;
    std::string note;
    bool seen_outside = false;  ///< a witness that is trusted has cosigned it
};
struct SignedHeads {
    std::vector<SignedHead> heads;  ///< signed well, in their place, and beyond `since`
    std::uint64_t checkpoints = 0;  ///< that are there
    std::vector<Problem> problems;
};
/// Signatures are judged by `workers`, which have nothing else to do.
SignedHeads check_heads(store::SegmentScan& scan, const HeadRules& rules, Workers& workers);

}  // namespace kokuin::audit
