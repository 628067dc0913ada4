// The value that a test can't go on without; or the test ends with the error's text.
#pragma once

#include <catch2/catch.hpp>

#include <string>
#include <utility>

#include "base/result.h"

namespace kokuin::testing {

template <typename T>
T must(Result<T> result) {
    INFO((result.ok() ? std::string() : result.error().text));
    REQUIRE(result.ok());
    return std::move(result).value();
}
inline void must(Done done) {
    INFO((done.ok() ? std::string() : done.error().text));
    REQUIRE(done.ok());
}

}  // namespace kokuin::testing
