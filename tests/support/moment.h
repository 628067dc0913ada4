// A time as tests write it down.
#pragma once

#include <catch2/catch.hpp>

#include "base/time.h"

namespace kokuin::testing {

/// RFC 3339: "2026-11-23", "2026-11-23T12:00:00Z".
inline WallTime moment(const char* text) {
    const auto time = from_rfc3339(text);
    REQUIRE(time);
    return *time;
}

}  // namespace kokuin::testing
