// Tells what becomes of the archive's second place (ARC-2).
#pragma once

#include <string>

#include "base/result.h"
#include "base/ticker.h"
#include "base/time.h"
#include "store/archive.h"
#include "tsa/journal.h"

namespace kokuin::tsa {

/// How [archive] copy is to be kept up. A folder that held a copy before, by the archive's own event
/// "copy.begun", and is empty now, is more likely a disk that isn't mounted: no copy begins there. Reads the
/// archive, before it is opened. Error: it can't be read.
Result<store::CopySettings> copy_settings(const std::string& archive, const std::string& copy, bool waits);

/// Looks once in a while and makes events: "copy.begun" (once for each place), "copy.late" when the copy
/// fails or has been behind for ten seconds, "copy.back" when it has everything again. Each has the field
/// `dir`. For start(), stop() and tick() one thread; archive and journal must outlive it.
class CopyWatch {
  public:
    CopyWatch(const MonoClock& mono, const store::Archive& archive, Journal& journal)
        : mono_(mono), archive_(archive), journal_(journal), since_(mono.now()) {}
    void start() { ticker_.start(); }
    void stop() { ticker_.stop(); }
    /// One look. Not at the same time as start().
    void tick();

  private:
    Done tell_begun(const store::CopyState& state);
    void tell(const char* kind, const store::CopyState& state, const std::string& text);

    const MonoClock& mono_;
    const store::Archive& archive_;
    Journal& journal_;
    store::RecordNumber wanted_ = 0;  // what the copy has to have, since
    MonoTime since_;
    bool begun_ = false;
    bool late_ = false;
    Ticker ticker_{milliseconds(500), [this] { tick(); }};
};

}  // namespace kokuin::tsa
