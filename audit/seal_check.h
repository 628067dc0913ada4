// The seals of finished months against the records that they seal (ARC-3; docs/seals.md).
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "audit/problem.h"
#include "audit/trust.h"
#include "base/result.h"
#include "base/time.h"
#include "store/tlog/note.h"

namespace kokuin::audit {

/// A sealed month, for the report.
struct SealedMonth {
    std::string segment;
    /// Its time-stamps, oldest first; none: no other organisation has time-stamped it.
    std::uint64_t time_stamps = 0;
    WallTime since{};  ///< genTime of the oldest one: its records existed then
    WallTime until{};  ///< end of the certificate of the newest one
    std::string tsa;   ///< who made the oldest one
    std::vector<std::string>
        gaps;  ///< times at which nobody vouched for it; nothing is wrong with it for that
};

/// What a seal is compared with.
struct SealContext {
    std::string dir;
    const Trust* trust = nullptr;  ///< null, or without seal_anchors: paths of certificates aren't judged
    const std::vector<tlog::VerifierKey>& log_keys;  ///< none: seals needn't be signed
    struct Segment {
        std::string name;
        store::RecordNumber first = 0;
        store::RecordNumber end = 0;
    };
    std::vector<Segment> segments;  ///< all, oldest first
    /// True if a TSU of this archive has this key (SHA-256 of its SubjectPublicKeyInfo, hex).
    std::function<bool(const std::string&)> is_own;
    std::uint64_t since = 0;  ///< hash trees of months that end below aren't computed again
    unsigned threads = 1;
};

/// Computes the hash tree of each sealed month again, and checks its head, its signature and all its
/// time-stamps as of when they were made. Problems are of the kind "seal".
std::vector<SealedMonth> check_seals(const SealContext& context, std::vector<Problem>& problems);

}  // namespace kokuin::audit
