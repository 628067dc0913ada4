// Which events of a finished month are of which kind, in short: written down when the month is sealed, so
// that nobody can call one by another name when it is removed after its time (ARC-1; docs/seals.md).
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "store/removal.h"
#include "store/scan.h"

namespace kokuin::evidence {

struct Kind {
    std::int64_t count = 0;
    /// SHA-256 over the numbers of its records, rising, each as eight octets, big-endian.
    std::array<std::uint8_t, 32> numbers{};
    bool operator==(const Kind&) const = default;
};
/// By the kind's name. Tokens have none: they are all other records.
using Kinds = std::map<std::string, Kind>;

/// Of a segment: by its index those that are there, and those that were removed by what is said of them.
/// Error (environment): the index can't be read.
Result<Kinds> kinds_of(store::SegmentScan& scan, const store::Removals& removals);

/// DER: SEQUENCE OF SEQUENCE { kind UTF8String, count INTEGER, numbers OCTET STRING }, by kind.
Bytes encode_kinds(const Kinds& kinds);
/// Strict. Error (environment): where it isn't that.
Result<Kinds> decode_kinds(View der);

/// Where the two differ, a line for each kind; empty: nowhere.
std::vector<std::string> differences(const Kinds& sealed, const Kinds& now);

}  // namespace kokuin::evidence
