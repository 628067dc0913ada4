#include "store/tlog/tile_path.h"

#include <charconv>

namespace kokuin::tlog {
namespace {

constexpr std::uint64_t full = 256;
constexpr unsigned most_level = 63;

std::optional<std::uint64_t> read_decimal(std::string_view text) {
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return value;
}

std::string three_digits(std::uint64_t value) {
    const std::string digits = std::to_string(value);
    return std::string(3 - digits.size(), '0') + digits;
}

}  // namespace

std::optional<std::uint64_t> TilePlace::leaves() const {
    const unsigned shift = 8 * level;
    constexpr std::uint64_t most = (std::uint64_t{1} << 63U) - 1;
    if (shift >= 63 || width > full || position > most / full - 1) return std::nullopt;
    const std::uint64_t hashes = position * full + width;
    if (hashes > most >> shift) return std::nullopt;
    return hashes << shift;
}

std::string TilePlace::path() const {
    std::string number = three_digits(position % 1000);
    for (std::uint64_t rest = position / 1000; rest != 0; rest /= 1000)
        number.insert(0, "x" + three_digits(rest % 1000) + "/");
    return "tile/" + std::to_string(level) + "/" + number +
           (width == full ? "" : ".p/" + std::to_string(width));
}

std::optional<TilePlace> TilePlace::parse(std::string_view level, std::string_view rest) {
    // Read loosely, then compared with what would be written: there is one path for each tile.
    TilePlace place;
    const auto read_level = read_decimal(level);
    if (!read_level || *read_level > most_level) return std::nullopt;
    place.level = static_cast<unsigned>(*read_level);
    std::string_view number = rest;
    if (const auto partial = rest.find(".p/"); partial != std::string_view::npos) {
        const auto width = read_decimal(rest.substr(partial + 3));
        if (!width || *width == 0 || *width >= full) return std::nullopt;
        place.width = *width;
        number = rest.substr(0, partial);
    }
    std::string digits;
    for (const char c : number)
        if (c != 'x' && c != '/') digits.push_back(c);
    const auto position = read_decimal(digits);
    if (!position) return std::nullopt;
    place.position = *position;
    if (place.path() != "tile/" + std::string(level) + "/" + std::string(rest)) return std::nullopt;
    return place;
}

}  // namespace kokuin::tlog
