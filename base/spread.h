// Many values in three.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace kokuin {

struct Spread {
    std::int64_t min = 0;
    std::int64_t median = 0;  ///< of an even number the mean of the two in the middle, rounded towards 0
    std::int64_t max = 0;
    friend bool operator==(const Spread&, const Spread&) = default;
};
/// Nothing of nothing. Pure.
std::optional<Spread> spread(std::vector<std::int64_t> values);

}  // namespace kokuin
