#include "tsa/serial.h"

#include <algorithm>

namespace kokuin::tsa {

Bytes new_serial(WallTime now) {
    constexpr std::size_t random_part = 12;
    constexpr std::int64_t least = std::int64_t{1}
                                   << 40U;  // keeps the first octet from being zero before 2004
    constexpr std::int64_t most = (std::int64_t{1} << 47U) - 1;
    const auto ms = std::clamp<std::int64_t>(std::chrono::floor<milliseconds>(now.time_since_epoch()).count(),
                                             least, most);
    Bytes serial;
    serial.reserve(6 + random_part);
    for (int shift = 40; shift >= 0; shift -= 8) serial.push_back(static_cast<std::uint8_t>(ms >> shift));
    append(serial, random_octets(random_part));
    return serial;
}

}  // namespace kokuin::tsa
