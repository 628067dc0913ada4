// What a bound rests on: evidence, how far M may be trusted to carry it, and leap seconds. From a basis and a
// reading anybody can compute the bound again; so a basis is kept with the tokens that were issued on it, and
// an auditor needs to believe no program to know how wrong a clock could have been (design section 3, "Bound
// now").
//
// Pure: never looks at a clock. All const functions may be called from many threads and never allocate.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "tac/clock/reading.h"

namespace kokuin::tac::clock {

/// Where evidence comes from. Evidence of different sources must agree; of one source the newest two are
/// kept.
enum class Source {
    tac,        ///< a TAA measured the clock and signed what it saw
    reference,  ///< an independent measurement by this machine (TSA-6)
};
/// "tac", "reference".
std::string_view name(Source source);

/// "When C was read as `at`, C − UTC lay in [error − uncertainty, error + uncertainty]."
struct Evidence {
    Source source = Source::tac;
    nanoseconds error{0};        ///< C − UTC, + = our clock is ahead
    nanoseconds uncertainty{0};  ///< ≥ 0
    Reading at{};
    MonoTime good_until{};  ///< by M; the evidence doesn't apply to readings after it
    std::string note{};  ///< for people: what it is ("TAC 1f…", "3 of 3 sources agree"); one line of UTF-8
};

/// A leap second (TAC-8). UTC counts as POSIX does: a day of 86,401 s repeats its last second, one of 86,399
/// s skips it.
struct LeapSecond {
    WallTime midnight{};  ///< the UTC midnight right after it
    int direction = 1;    ///< +1 inserted, −1 deleted
    friend bool operator==(const LeapSecond&, const LeapSecond&) = default;
};

/// Rates are kept in whole multiples of one of these many parts.
inline constexpr double ppt = 1e12;

/// UTC = (1 + f ± ρ) · M. Both are whole multiples of 1e-12, so that they can be written down exactly.
struct Rate {
    double f = 0;
    double rho = 50e-6;
    bool learnt = false;
};

/// The error of C at one reading.
struct Bound {
    enum class State {
        known,          ///< low ≤ C − UTC ≤ high
        no_evidence,    ///< nothing was ever said, or it is too old by M
        slept,          ///< the machine was suspended after the newest evidence: M stood still, all is void
        contradiction,  ///< two pieces of evidence exclude each other: nothing is known
    };
    State state = State::no_evidence;
    nanoseconds low{0};
    nanoseconds high{0};
    bool by_tac = false;        ///< a TAC's evidence is among what was used
    bool by_reference = false;  ///< a reference's evidence is
    /// Largest |C − UTC| left; only if known.
    [[nodiscard]] nanoseconds largest() const;
};

/// What genTime can lie behind C when it is truncated to so many fractional digits (0…9): 10^−digits seconds.
nanoseconds truncation(int digits);

/// Whether a reading that comes from a file is one that arithmetic can bear: C from 2001 to 2191, M and the
/// time asleep within nine years. decode() asks it of every piece; ask it of a reading before giving it to
/// at().
bool can_be_carried(const Reading& reading);

struct Basis {
    struct Piece {
        Evidence evidence;
        Rate rate;  ///< by which it is carried: its source's
        /// Applies to `now`: not too old by M, and the machine wasn't suspended in between.
        [[nodiscard]] bool applies(const Reading& now) const;
    };
    std::vector<Piece> pieces;      ///< oldest first; at most two of a source
    std::vector<LeapSecond> leaps;  ///< announced ones, past ones too

    /// Carries all evidence that applies to `now` and intersects it:
    /// error + (C−C₀) − (1+f)(M−M₀) ± (uncertainty + ρ·|M−M₀|), both gaps and all leap seconds in between
    /// counted.
    [[nodiscard]] Bound at(const Reading& now) const;
    /// The same by one piece alone, whether it applies or not.
    [[nodiscard]] Bound carry(const Piece& piece, const Reading& to) const;
    /// By how much leap seconds turn the clocks of POSIX time, between the evidence and `elapsed` after it.
    [[nodiscard]] nanoseconds leaps_between(const Evidence& from, nanoseconds elapsed) const;
    /// The announced leap second whose surroundings (±1 s) can hold the UTC of this reading; nullptr if none
    /// can. With an unknown bound C itself is asked.
    [[nodiscard]] const LeapSecond* near_leap(const Reading& now, const Bound& bound) const;
    /// The newest piece of this source that applies to `now`; nullptr if none does.
    [[nodiscard]] const Piece* newest(Source source, const Reading& now) const;

    /// DER; the ASN.1 stands in docs/archive.md ("ClockBasis"). Canonical: decode() takes nothing else.
    [[nodiscard]] Bytes encode() const;
    /// Error (environment): what was wrong, at which octet.
    static Result<Basis> decode(View der);
};

}  // namespace kokuin::tac::clock
