// Which key a TSU signs with when tsad starts: the archive's word, or the configuration's.
#pragma once

#include <memory>

#include "tsa/key_life.h"
#include "tsa/tsu.h"

namespace kokuin::tsa {

/// The TSU of this table. The archive knows its active key; the configuration names its first one, and may
/// name a later one instead of `tsactl key`.
/// - It names the active key: that one; another certificate for it is recorded.
/// - It names a key that never signed, or that no record speaks of: certified and activated now
///   (KeyLife::adopt); retire_older() then retires the one before.
/// - It names a key that is retired or destroyed: the active one; the log says so. If there is none the TSU
///   signs nothing (Tsu::idle), until a successor takes over.
/// Errors as of Tsu::load and KeyLife::adopt.
Result<std::unique_ptr<Tsu>> load_tsu(const TsuSettings& settings, KeyLife& life, hsm::Token& token,
                                      WallTime now);

}  // namespace kokuin::tsa
