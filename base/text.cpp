#include "base/text.h"

namespace kokuin {
namespace {

/// C0, DEL, C1, U+2028 and U+2029, and what Unicode calls bidirectional controls.
bool is_obeyed(std::uint32_t code) {
    return code < 0x20 || (code >= 0x7f && code <= 0x9f) || code == 0x061c || code == 0x200e ||
           code == 0x200f || (code >= 0x2028 && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069);
}

}  // namespace

std::size_t next_character(View text, std::uint32_t& code) {
    if (text.empty()) return 0;
    const auto first = text[0];
    std::size_t more = 0;
    std::uint32_t least = 0;
    code = first;
    if (first >= 0x80) {
        if ((first & 0xe0U) == 0xc0) {
            more = 1, code = first & 0x1fU, least = 0x80;
        } else if ((first & 0xf0U) == 0xe0) {
            more = 2, code = first & 0x0fU, least = 0x800;
        } else if ((first & 0xf8U) == 0xf0) {
            more = 3, code = first & 0x07U, least = 0x10000;
        } else {
            return 0;
        }
    }
    if (text.size() <= more) return 0;
    for (std::size_t k = 1; k <= more; ++k) {
        if ((text[k] & 0xc0U) != 0x80) return 0;
        code = code << 6U | (text[k] & 0x3fU);
    }
    if (code < least || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) return 0;
    return more + 1;
}

std::string one_line(std::string_view text, std::size_t limit) {
    std::string line;
    while (!text.empty()) {
        std::uint32_t code = 0;
        const auto octets = next_character(as_view(text), code);
        const std::string_view shown = octets == 0       ? std::string_view("?")
                                       : is_obeyed(code) ? std::string_view(" ")
                                                         : text.substr(0, octets);
        if (shown.size() > limit - line.size()) break;
        line += shown;
        text.remove_prefix(octets == 0 ? 1 : octets);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    return line;
}

}  // namespace kokuin
