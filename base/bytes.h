// Octet strings and their text forms.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace kokuin {

/// An octet string that is owned.
using Bytes = std::vector<std::uint8_t>;
/// An octet string that somebody else owns; valid only as long as its owner leaves it alone.
using View = std::span<const std::uint8_t>;

/// Lower-case hexadecimal, two digits an octet.
std::string to_hex(View octets);
/// Reads hexadecimal of either case; nothing if there is an odd digit or another character.
std::optional<Bytes> from_hex(std::string_view text);

/// RFC 4648 section 4, with padding, on one line.
std::string to_base64(View octets);
/// Reads what to_base64 writes; nothing if it is anything else.
std::optional<Bytes> from_base64(std::string_view text);

/// A copy that is owned.
inline Bytes to_bytes(View octets) {
    return {octets.begin(), octets.end()};
}

/// The octets of a text, without copying.
View as_view(std::string_view text);
/// A text of these octets, unchecked.
std::string as_text(View octets);

/// Appends `more` to `to`.
void append(Bytes& to, View more);
/// True if both hold the same octets. For public data: the time it takes depends on them.
bool equal(View a, View b);
/// As equal(), in a time that depends on the lengths only. For secrets.
bool equal_constant_time(View a, View b);

/// `count` octets from the kernel's generator (getrandom(2)). Never fails to give all of them: without random
/// octets the process must not go on, so a kernel that refuses them is a fault (throws std::system_error).
Bytes random_octets(std::size_t count);

}  // namespace kokuin
