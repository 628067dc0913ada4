// Months, which is how archives and reports are cut.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/time.h"

namespace kokuin {

/// A month of UTC.
class Month {
  public:
    /// Reads "2026-11"; years 1970 to 2261. Error (usage) says what is allowed.
    static Result<Month> parse(std::string_view text);
    static Month of(WallTime time);
    [[nodiscard]] Month previous() const;
    [[nodiscard]] WallTime start() const;
    [[nodiscard]] WallTime end() const;  ///< of the month after, exclusive
    [[nodiscard]] std::string text() const;
    friend bool operator==(const Month&, const Month&) = default;

  private:
    explicit Month(std::chrono::year_month month) : month_(month) {}
    std::chrono::year_month month_;
};

}  // namespace kokuin
