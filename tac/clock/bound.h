// What is known about the error of the stamping clock: evidence, carried forward by M, intersected (design
// section 3, "Evidence", "Bound now"): which evidence counts, and what it teaches about the rate of M; the
// arithmetic is basis.h. Pure: it never looks at a clock itself.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "tac/clock/basis.h"

namespace kokuin::tac::clock {

/// How far M may be trusted to run like UTC. Rates are relative (5e-6 = 5 ppm).
struct RateRules {
    double unknown = 50e-6;  ///< ρ before the rate is learnt, and again after a missed prediction
    double floor = 5e-6;     ///< ρ is never taken to be smaller
    double wander = 3e-6;    ///< how much the rate may differ from the one learnt (temperature, ageing)
    nanoseconds memory = std::chrono::hours(26);     ///< older evidence teaches nothing about today's rate
    nanoseconds spacing = std::chrono::minutes(10);  ///< evidence that comes closer together is kept once
};

/// All evidence about one clock in one boot. A value: copying gives an independent one. Not synchronised
/// (Gate does that); const functions may be called from many threads and never allocate.
class ErrorBound {
  public:
    explicit ErrorBound(RateRules rules = {});

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
    /// Drops all that this source said, with the rate it taught: it isn't believed any more.
    void disbelieve(Source source);
    /// A leap second that was announced; counted whenever evidence is carried over it. The same one twice is
    /// one.
    void announce(const LeapSecond& leap);

    /// See Basis::at().
    [[nodiscard]] Bound at(const Reading& now) const { return basis_->at(now); }
    /// What at() computes from, as it stands now; a new one with whatever is added. Never null.
    [[nodiscard]] const std::shared_ptr<const Basis>& basis() const { return basis_; }

    /// What successive evidence of this source taught. Each source's evidence is carried by its own rate: one
    /// that drags its time along slowly must not bend the other's, or they would never contradict each other.
    [[nodiscard]] const Rate& rate(Source source = Source::tac) const { return rates_[index(source)]; }
    /// How often evidence has missed what was predicted, or wasn't believed any more: what was known before
    /// is doubtful since.
    [[nodiscard]] std::uint64_t misses() const { return misses_; }
    /// How long by M until the bound reaches `limit` if nothing new comes and C goes on running against M as
    /// it has since the evidence (as it does when nobody disciplines it); 0 if it is beyond the limit or
    /// unknown. Ends when the last evidence that carries it does. With `only`: as if there were evidence of
    /// that source alone.
    [[nodiscard]] nanoseconds lasts(const Reading& now, nanoseconds limit,
                                    std::optional<Source> only = std::nullopt) const;

  private:
    static constexpr std::size_t sources = 2;
    static std::size_t index(Source source) { return static_cast<std::size_t>(source); }
    void forget_rate(Source source);
    void learn(const Evidence& newest);
    /// `basis` with the rates of now becomes what at() computes from.
    void publish(Basis basis);

    RateRules rules_;
    std::array<Rate, sources> rates_{};
    std::array<std::vector<Evidence>, sources> history_;  ///< first and last teach the rate
    std::shared_ptr<const Basis> basis_;
    std::uint64_t misses_ = 0;
};

}  // namespace kokuin::tac::clock
