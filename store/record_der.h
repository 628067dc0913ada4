// What the encodings of records and contexts share. Used inside the store only.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/der.h"

namespace kokuin::store {

constexpr std::size_t longest_name = 256;
constexpr std::size_t longest_serial = 256;

/// One line of UTF-8 of so many octets.
bool is_name(std::string_view text, std::size_t least, std::size_t most);

/// An INTEGER that must not be negative, as a magnitude without leading zeros.
Bytes read_magnitude(der::Reader& reader, std::string_view what);

/// `octets` as an array; faults `reader` where they aren't that many.
template <std::size_t N>
std::array<std::uint8_t, N> fixed(der::Reader& reader, View octets, std::string_view what) {
    std::array<std::uint8_t, N> result{};
    if (octets.size() == N) {
        std::copy(octets.begin(), octets.end(), result.begin());
    } else if (!reader.failed()) {
        reader.fail(std::string(what) + ": must be " + std::to_string(N) + " octets");
    }
    return result;
}

/// An OCTET STRING of so many octets.
template <std::size_t N>
std::array<std::uint8_t, N> read_fixed(der::Reader& reader, std::string_view what) {
    return fixed<N>(reader, reader.expect(der::octet_string, what).content, what);
}

}  // namespace kokuin::store
