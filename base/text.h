// Text of others, made fit to be shown.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

#include "base/bytes.h"

namespace kokuin {

/// How many octets the first character of `text` has, and its code point; 0 if it doesn't begin with one
/// (empty, or not UTF-8 as RFC 3629 has it).
std::size_t next_character(View text, std::uint32_t& code);

/// Text of somebody else (a peer's answer, a name in a certificate, a label in an HSM), fit for one line of a
/// log, an error or an event: what a terminal or a reader of lines would obey (control characters, line and
/// paragraph separators, marks that turn the direction of writing) becomes a space, what isn't UTF-8 becomes
/// "?"; no spaces at the end; cut after a whole character to at most `limit` octets.
std::string one_line(std::string_view text, std::size_t limit = 300);
/// The same, however long.
constexpr std::size_t any_length = std::numeric_limits<std::size_t>::max();

}  // namespace kokuin
