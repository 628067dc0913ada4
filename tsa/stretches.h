// What all tokens of one profile have in common, so that the archive holds it once (design section 5).
#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <vector>

#include "store/blob.h"
#include "store/parts.h"
#include "tsa/protocol/token.h"
#include "tsa/protocol/tst_info.h"

namespace kokuin::tsa {

/// The constant stretches of tokens of `profile`, as blobs for store::split(): found by writing a few sample
/// tokens like `like` that differ in serial number, imprint, time and signature, and keeping the long runs of
/// equal octets. What it misses costs space, never exactness: split() checks each token.
std::vector<store::Blob> constant_stretches(const tsp::TokenProfile& profile, const tsp::TstInfo& like);

/// The octets in front of a token's imprint, as blobs. They hold the lengths of all that is around the
/// TSTInfo, and nothing else that differs between tokens of a profile: a few dozen there are, by nonce and
/// digits of the time. Each is made a blob when it is seen first. Thread-safe.
class Heads {
  public:
    /// That of this token; nothing if its imprint can't be found, or heads are too many to be worth it.
    std::optional<store::Blob> of(View token, View imprint);

  private:
    static constexpr std::size_t most = 64;
    std::mutex mutex_;
    std::map<Bytes, store::Blob> known_;
};

/// The digest that a token holds of its TSTInfo (the message-digest attribute), for store::split(); nothing
/// if that can't be found in the token.
std::optional<store::Digest> digest_in(View token, View tst_info);

}  // namespace kokuin::tsa
