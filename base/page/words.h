// All that a report says, in both languages, in one table: what is in one of them only is found by the
// compiler.
#pragma once

#include <array>
#include <cstddef>
#include <string_view>

#include "base/page/language.h"

namespace kokuin::page {

/// `Word`: an enumeration whose last one, `count`, is no word.
template <typename Word>
struct Said {
    Word word;
    Pair text;
};
/// That a table has every word, in their order: `static_assert(page::in_order(words))`.
template <typename Word, std::size_t size>
constexpr bool in_order(const std::array<Said<Word>, size>& words) {
    for (std::size_t i = 0; i < size; ++i)
        if (words[i].word != static_cast<Word>(i)) return false;
    return size == static_cast<std::size_t>(Word::count);
}

/// What records call something, and what people do.
struct Named {
    std::string_view name;
    Pair text;
};
/// A name that isn't in the table stays as it is.
template <std::size_t size>
std::string_view translated(const std::array<Named, size>& names, std::string_view name, Language language) {
    for (const auto& one : names)
        if (one.name == name) return one.text.in(language);
    return name;
}

}  // namespace kokuin::page
