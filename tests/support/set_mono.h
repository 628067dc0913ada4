// A monotonic clock that a test puts forward.
#pragma once

#include "base/time.h"

namespace kokuin::testing {

struct SetMono final : MonoClock {
    MonoTime time{std::chrono::hours(1)};
    [[nodiscard]] MonoTime now() const override { return time; }
};

}  // namespace kokuin::testing
