// What becomes of the independent reference's word (TSA-6): evidence for every TSU's gate, and records.
#pragma once

#include <vector>

#include "tac/clock/comparison.h"
#include "tac/clock/correction.h"
#include "tac/clock/reference_watch.h"
#include "tsa/journal.h"
#include "tsa/tsus.h"

namespace kokuin::tsa {

/// All of it must outlive it.
struct ComparisonParts {
    Journal& journal;
    Tsus& tsus;
    /// Between CLOCK_REALTIME, which the reference measures, and the stamping clock.
    const tac::clock::Correction& correction;
};

/// Gives each measurement to the gates at once. Records, as events of the archive: each change of the
/// reference's state ("reference.good", "reference.stale", …), that chrony had to begin anew
/// ("reference.reset"), evidence that misses what was predicted ("reference.missed"), and once an hour what
/// the comparison gave ("reference.compared", see tac::clock::Comparison). Used by the watching thread alone;
/// flush() after it has ended.
class Comparisons {
  public:
    explicit Comparisons(ComparisonParts parts) : parts_(std::move(parts)) {}
    [[nodiscard]] tac::clock::ReferenceWatch::Listener listener();
    /// Records what has been compared since the last record. At the end.
    void flush();

  private:
    bool take(const tac::clock::Evidence& about_realtime);
    void note(const char* kind, const std::string& text);

    ComparisonParts parts_;
    tac::clock::Comparison comparison_;
};

}  // namespace kokuin::tsa
