// Serial numbers of tokens (TSA-8; design section 4, step 5).
#pragma once

#include "base/bytes.h"
#include "base/time.h"

namespace kokuin::tsa {

/// A new serial number as unsigned big-endian magnitude: six octets of `now` in milliseconds since 1970, then
/// twelve octets from the kernel's generator. Positive, at most 144 bits, unique without any state: neither a
/// crash nor a second server nor a restored backup repeats one. The time in front keeps the archive's index
/// cheap; it implies no order (TSA-8). Thread-safe.
Bytes new_serial(WallTime now);

}  // namespace kokuin::tsa
