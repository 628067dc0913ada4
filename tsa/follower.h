// Lets the stamping clock follow the TAA (TAC-5, `follow_tac`): what an audit found becomes a correction.
#pragma once

#include <mutex>
#include <string>

#include "base/result.h"
#include "store/archive.h"
#include "tac/clock/correction.h"
#include "tac/clock/reading.h"
#include "tac/validate.h"
#include "tsa/journal.h"

namespace kokuin::tsa {

/// Thread-safe; what it is made of outlives it.
class Follower {
  public:
    Follower(tac::clock::Correction& correction, Journal& journal, const MonoClock& mono, std::string boot_id)
        : correction_(correction), journal_(journal), mono_(mono), boot_id_(std::move(boot_id)) {}

    /// At start, before anybody reads the clock: goes on where the last run of this boot was, or stays at
    /// what an earlier boot was heading for.
    static Done restore(const store::Archive& archive, const std::string& boot_id,
                        tac::clock::Correction& correction);

    /// An audit was judged, whatever its verdict: the clock moves towards the TAA's time from now on. Each
    /// new slope is an event ("clock.followed": from_ns, to_ns, since_m_ns, rate_ppm, boot_id, error_us,
    /// tac).
    void follow(const tac::AcceptedTac& tac);
    /// An order to stop says how far off the clock is, too: following it is the way back.
    void follow(const tac::StopOrder& order);

  private:
    void follow(nanoseconds error, nanoseconds delay, const tac::clock::Reading& measured,
                const std::string& boot_id, const std::string& serial);

    tac::clock::Correction& correction_;
    Journal& journal_;
    const MonoClock& mono_;
    const std::string boot_id_;
    std::mutex mutex_;
};

}  // namespace kokuin::tsa
