// Plots of a month as SVG: time to the right, a quantity upwards. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/month.h"
#include "base/time.h"

namespace kokuin::page {

class Plot {
  public:
    enum class Scale {
        offset,  ///< microseconds of either sign; linear up to 1 ms, then logarithmic: a clock that keeps
                 ///< within a millisecond and a limit of half a second are both to be seen
        span,   ///< microseconds, not negative, in the same way
        count,  ///< any number of things, linear
    };
    /// `largest`: the largest magnitude that has to be seen.
    Plot(Month month, Scale scale, std::int64_t largest);

    using Points = std::vector<std::pair<WallTime, std::int64_t>>;

    /// Grey behind everything: nothing was measured then.
    void band(WallTime from, WallTime to);
    /// A dashed line, for offsets one on each side.
    void limit(std::int64_t value);
    /// `colour` as SVG has it, `width` in its units.
    void points(const Points& points, std::string_view colour, std::string_view width);
    /// From the bottom up to the value, each from its time on for `lasting`.
    void bars(const Points& points, nanoseconds lasting, std::string_view colour);

    [[nodiscard]] std::string draw(std::string_view title) const;

  private:
    [[nodiscard]] double scaled(double magnitude) const;
    [[nodiscard]] double y(std::int64_t value) const;
    [[nodiscard]] double x(WallTime at) const;
    [[nodiscard]] std::string level(std::int64_t value, const std::string& how) const;
    [[nodiscard]] std::string days() const;
    [[nodiscard]] std::string levels() const;

    const Month month_;
    const Scale scale_;
    double most_ = 1;
    std::string bands_;
    std::string marks_;
};

}  // namespace kokuin::page
