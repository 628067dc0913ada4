#include "base/spread.h"

#include <algorithm>

namespace kokuin {

std::optional<Spread> spread(std::vector<std::int64_t> values) {
    if (values.empty()) return std::nullopt;
    std::sort(values.begin(), values.end());
    const auto half = values.size() / 2;
    // Not through the sum: whatever stands in the archive, nothing may overflow.
    const auto mean = [](std::int64_t a, std::int64_t b) { return a / 2 + b / 2 + (a % 2 + b % 2) / 2; };
    return Spread{values.front(),
                  values.size() % 2 == 1 ? values[half] : mean(values[half - 1], values[half]),
                  values.back()};
}

}  // namespace kokuin
