// What is known about the error of the stamping clock: evidence, carried forward by M, intersected (design
// section 3, "Evidence", "Bound now"). Pure: it never looks at a clock itself.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tac/clock/reading.h"

namespace kokuin::tac::clock {

/// Where evidence comes from. Evidence of different sources must agree; of one source the newest two are
/// kept.
enum class Source {
    tac,        ///< a TAA measured the clock and signed what it saw
    reference,  ///< an independent measurement by this machine (TSA-6)
};
std::string_view name(Source source);

/// "When C was read as `at`, C − UTC lay in [error − uncertainty, error + uncertainty]."
struct Evidence {
    Source source = Source::tac;
    nanoseconds error{0};        ///< C − UTC, + = our clock is ahead
    nanoseconds uncertainty{0};  ///< ≥ 0
    Reading at{};
    MonoTime good_until{};  ///< by M; the evidence doesn't apply to readings after it
};

/// A leap second (TAC-8). UTC counts as POSIX does: a day of 86,401 s repeats its last second, one of 86,399
/// s skips it.
struct LeapSecond {
    WallTime midnight{};  ///< the UTC midnight right after it
    int direction = 1;    ///< +1 inserted, −1 deleted
    friend bool operator==(const LeapSecond&, const LeapSecond&) = default;
};

/// How far M may be trusted to run like UTC. Rates are relative (5e-6 = 5 ppm).
struct RateRules {
    double unknown = 50e-6;  ///< ρ before the rate is learnt, and again after a missed prediction
    double floor = 5e-6;     ///< ρ is never taken to be smaller
    double wander = 3e-6;    ///< how much the rate may differ from the one learnt (temperature, ageing)
    nanoseconds memory = std::chrono::hours(26);  ///< older evidence teaches nothing about today's rate
    nanoseconds spacing = std::chrono::minutes(10);  ///< evidence that comes closer together is kept once
};
/// UTC = (1 + f ± ρ) · M.
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

/// All evidence about one clock in one boot. A value: copying gives an independent one. Not synchronised
/// (Gate does that); const functions may be called from many threads and never allocate.
class ErrorBound {
  public:
    explicit ErrorBound(RateRules rules = {}) : rules_(rules) {
        for (const auto source : {Source::tac, Source::reference}) forget_rate(source);
    }

    enum class Added {
        agrees,  ///< it fits what was predicted, or nothing was
        misses,  ///< it excludes the prediction of its own source. The rate is forgotten (ρ = 50 ppm again);
                 ///< if the two exclude each other even so, the bound is a contradiction until a further one
                 ///< settles it
        older,   ///< not newer (by M) than what its source said before: ignored
    };
    /// Takes new evidence in. Evidence from before a suspend is dropped, with the rate that was learnt from
    /// it.
    Added add(const Evidence& evidence);
    /// A leap second that was announced; counted whenever evidence is carried over it. The same one twice is
    /// one.
    void announce(const LeapSecond& leap);

    /// Carries all evidence that applies to `now` and intersects it:
    /// error + (C−C₀) − (1+f)(M−M₀) ± (uncertainty + ρ·|M−M₀|), both gaps and all leap seconds in between
    /// counted.
    [[nodiscard]] Bound at(const Reading& now) const;

    /// What successive evidence of this source taught. Each source's evidence is carried by its own rate: one
    /// that drags its time along slowly must not bend the other's, or they would never contradict each other.
    [[nodiscard]] const Rate& rate(Source source = Source::tac) const { return rates_[index(source)]; }
    /// How often evidence has missed what was predicted: what was known before is doubtful since.
    [[nodiscard]] std::uint64_t misses() const { return misses_; }
    /// The announced leap second whose surroundings (±1 s) can hold the UTC of this reading; nullptr if none
    /// can. With an unknown bound C itself is asked.
    [[nodiscard]] const LeapSecond* near_leap(const Reading& now, const Bound& bound) const;
    /// Announced leap seconds, past ones too.
    [[nodiscard]] const std::vector<LeapSecond>& leaps() const { return leaps_; }
    /// Evidence in use, newest last.
    [[nodiscard]] const std::vector<Evidence>& evidence() const { return current_; }
    /// How long by M until the bound reaches `limit` if nothing new comes and C keeps its present error; 0 if
    /// it is beyond the limit or unknown. Ends when the last evidence that carries it does. With `only`: as if
    /// there were evidence of that source alone.
    [[nodiscard]] nanoseconds lasts(const Reading& now, nanoseconds limit,
                                    std::optional<Source> only = std::nullopt) const;

  private:
    [[nodiscard]] Bound carry(const Evidence& from, const Reading& to) const;
    [[nodiscard]] nanoseconds leaps_between(const Evidence& from, nanoseconds elapsed) const;
    static constexpr std::size_t sources = 2;
    static std::size_t index(Source source) { return static_cast<std::size_t>(source); }
    void forget_rate(Source source);
    void learn(const Evidence& newest);

    RateRules rules_;
    std::array<Rate, sources> rates_{};
    std::vector<Evidence> current_;  ///< at most two of a source
    std::array<std::vector<Evidence>, sources> history_;  ///< first and last teach the rate
    std::vector<LeapSecond> leaps_;
    std::uint64_t misses_ = 0;
};

}  // namespace kokuin::tac::clock
