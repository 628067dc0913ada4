// Which key a TSU signs with when tsad starts: the archive's word, or the configuration's.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "tsa/key_life.h"
#include "tsa/tsu.h"

namespace kokuin::tsa {

/// The token that has a key, by its records; null: there are none, so it is the TSU's own.
using TokenOf = std::function<Result<hsm::Token*>(const KeyEntry* recorded)>;

/// The TSU of this table. The archive knows its active key; the configuration names its first one, and may
/// name a later one instead of `tsactl key`.
/// - It names the active key: that one; another certificate for it is recorded.
/// - It names a key that never signed, or that no record speaks of: certified and activated now
///   (KeyLife::adopt); retire_older() then retires the one before.
/// - It names a key that is retired or destroyed: the active one; the log says so. If there is none the TSU
///   signs nothing (Tsu::idle), until a successor takes over.
/// Errors as of Tsu::load, KeyLife::adopt and `token_of`.
Result<std::unique_ptr<Tsu>> load_tsu(const TsuSettings& settings, KeyLife& life, const TokenOf& token_of,
                                      WallTime now);

}  // namespace kokuin::tsa
