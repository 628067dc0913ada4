// What all tokens of one profile have in common, so that the archive holds it once (design section 5).
#pragma once

#include <vector>

#include "store/blob.h"
#include "tsa/protocol/token.h"
#include "tsa/protocol/tst_info.h"

namespace kokuin::tsa {

/// The constant stretches of tokens of `profile`, as blobs for store::split(): found by writing a few sample
/// tokens like `like` that differ in serial number, imprint, time and signature, and keeping the long runs of
/// equal octets. What it misses costs space, never exactness: split() checks each token.
std::vector<store::Blob> constant_stretches(const tsp::TokenProfile& profile, const tsp::TstInfo& like);

}  // namespace kokuin::tsa
