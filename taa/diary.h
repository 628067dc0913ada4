// What taad records besides its audits, and what its operators are told at once.
#pragma once

#include <vector>

#include "base/hook.h"
#include "base/time.h"
#include "store/archive.h"

namespace kokuin::taa {

/// Thread-safe. Archive, clock and hook outlive it.
class Diary {
  public:
    /// `hook`: the operators' command; null: they have none.
    Diary(store::Archive& archive, const WallClock& wall, Hook* hook)
        : archive_(archive), wall_(wall), hook_(hook) {}

    /// Recorded, durably on return, by a clock that proves nothing: it begins no month (an audit that leads
    /// to a TAC does). That it couldn't be is an error in the log as well as the Error returned.
    Done record(const store::Event& event, const std::vector<store::Blob>& blobs = {});
    /// The same, and told to the hook even if it can't be recorded.
    Done announce(const store::Event& event, const std::vector<store::Blob>& blobs = {});
    /// Told to the hook alone: it is recorded elsewhere.
    void tell(const store::Event& event);

  private:
    Done append(WallTime at, const store::Event& event, const std::vector<store::Blob>& blobs);

    store::Archive& archive_;
    const WallClock& wall_;
    Hook* const hook_;
};

}  // namespace kokuin::taa
