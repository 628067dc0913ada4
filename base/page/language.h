// The languages in which people read reports.
#pragma once

#include <string_view>

namespace kokuin::page {

enum class Language { en, ja };
/// "en", "ja": for file names and the attribute `lang`.
constexpr std::string_view name(Language language) {
    return language == Language::en ? "en" : "ja";
}

/// The same said in both.
struct Pair {
    std::string_view en;
    std::string_view ja;
    [[nodiscard]] constexpr std::string_view in(Language language) const {
        return language == Language::en ? en : ja;
    }
};

}  // namespace kokuin::page
