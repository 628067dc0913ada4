// Where a tile of a log's tree stands below the log's prefix (C2SP tlog-tiles). Pure; thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace kokuin::tlog {

/// A tile by its place: hashes position * 256 … of its level, `width` of them (256: a full one).
struct TilePlace {
    unsigned level = 0;
    std::uint64_t position = 0;
    std::uint64_t width = 256;
    bool operator==(const TilePlace&) const = default;

    /// Leaves that a tree must have for all of it to be there; nothing if none has so many (2^63).
    [[nodiscard]] std::optional<std::uint64_t> leaves() const;
    /// "tile/0/x001/234", "tile/1/000.p/17".
    [[nodiscard]] std::string path() const;
    /// `level`: the segment after "tile/"; `rest`: all after it. Nothing if it isn't exactly what path()
    /// writes.
    static std::optional<TilePlace> parse(std::string_view level, std::string_view rest);
};

}  // namespace kokuin::tlog
