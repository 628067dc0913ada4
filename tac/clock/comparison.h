// What comparing with a reference gave over some time, in a few numbers: for the records of TSAs (TSA-6) and
// TAAs (TAA-11). Pure; for one thread.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "tac/clock/basis.h"

namespace kokuin::tac::clock {

class Comparison {
  public:
    /// Takes a measurement in; true if an hour has passed since the first one, by M: time for a record.
    bool add(const Evidence& evidence);

    struct Record {
        std::string text;
        /// measurements, offset_min_us, offset_max_us, offset_last_us, uncertainty_last_us.
        std::map<std::string, std::int64_t> fields;
    };
    /// What was compared since the last call, and forgets it; nothing if nothing was.
    std::optional<Record> take();

  private:
    struct Summary {
        std::int64_t measurements = 0;
        nanoseconds least{};
        nanoseconds most{};
        Evidence first;
        Evidence last;
    };
    std::optional<Summary> summary_;
};

}  // namespace kokuin::tac::clock
