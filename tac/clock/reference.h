// From what chrony tells to evidence about the stamping clock (TSA-6; design section 3, "the reference").
// Pure: it is told what chrony said and what the clocks showed.
//
// Some things that chrony doesn't say are found here:
// - how old its word is. It goes on telling the same offset, and "Normal", for as long as nobody answers it.
//   Evidence is made only when a new measurement has come, and lasts for `max_age` from then on.
// - that its clock was moved. It learns of a step with its next measurements, and until its filter has
//   forgotten those before, what it tells is a mixture, well outside the dispersion that it tells with it
//   (seen: −0.04 s, then −1.70 s, of a step of 0.90 s). C − M shows every step and slew at once: by how much
//   it has left a straight line goes into the uncertainty, and beyond a limit chrony is asked to start anew.
// - whether its word rests on enough sources.
#pragma once

#include <deque>
#include <optional>
#include <string>
#include <string_view>

#include "tac/clock/bound.h"
#include "tac/clock/chrony.h"

namespace kokuin::tac::clock {

struct ReferenceRules {
    /// How long a measurement counts, by M. Also the window in which the pause of a virtual machine, which
    /// nothing inside can see, may go unnoticed.
    nanoseconds max_age = seconds(64);
    /// Sources that must agree, at least.
    std::size_t min_sources = 1;
    /// When C has left its straight line by this much, chrony should forget what it has measured before.
    nanoseconds bend = milliseconds(5);
    /// How far back a measurement can still be in chrony's filter: 64 samples, 16 s apart.
    nanoseconds memory = seconds(64 * 16);
    /// Until chrony knows better than this, in ppm, how fast the clock runs, a measurement is none yet:
    /// within its first seconds its doubt is most of a second. (500 ppm: the kernel's own limit for the rate
    /// of a clock.)
    double skew_ppm = 500;
};

class Reference {
  public:
    enum class State {
        starting,        ///< no measurement since the start or since chrony started anew
        good,            ///< evidence is there and applies
        silent,          ///< chrony doesn't answer, or unintelligibly
        unsynchronised,  ///< chrony itself has no time, or too few sources agree
        stale,           ///< the last measurement is older than max_age
    };

    explicit Reference(ReferenceRules rules) : rules_(rules) {}

    /// What has come of one look.
    struct Seen {
        State state = State::starting;
        std::string text;                  ///< one line for people: why, or what was measured
        std::optional<Evidence> evidence;  ///< of a new measurement
        bool wants_reset = false;  ///< chrony's filter is spoilt: chronyc "reset sources", then started()
    };
    /// To be called about once a second: chrony was asked at `asked` and had said `report` when `now` was
    /// read. A new measurement is found by the next look; the longer between two, the more a change of C in
    /// between costs. It is taken to be as old as it can be: made right after the last look at which chrony
    /// still told the one before, however long it has been silent since.
    Seen look(const Result<chrony::Report>& report, const Reading& asked, const Reading& now);
    /// chrony has forgotten its measurements, or has only now been started.
    void started();

  private:
    struct Point {
        MonoTime m;
        nanoseconds c_less_m;
    };
    [[nodiscard]] nanoseconds bend() const;
    [[nodiscard]] State state_now(const Result<chrony::Report>& report, const Reading& now) const;

    ReferenceRules rules_;
    std::deque<Point> path_;               // of C, one point a look, since chrony started anew
    std::optional<std::string> measured_;  // what chrony told last: tells a new measurement from the old one
    MonoTime told_at_{};                   // when it was last seen to be chrony's newest
    std::optional<Evidence> last_;
};
/// "starting", "good", "silent", "unsynchronised", "stale".
std::string_view name(Reference::State state);

}  // namespace kokuin::tac::clock
