// One look at the clocks: what is judged and what is written as genTime come from the same one (design
// section 3).
#pragma once

#include <string>

#include "base/time.h"

namespace kokuin::tac::clock {

/// How long this machine has been suspended since it was booted (CLOCK_BOOTTIME − CLOCK_MONOTONIC), as an
/// interval that surely contains it: two clocks can't be read at one moment.
struct Asleep {
    nanoseconds low{0};
    nanoseconds high{0};
};
/// True if the machine surely was suspended between the two looks (their intervals are disjoint).
bool slept_between(const Asleep& a, const Asleep& b);
/// The longest time the machine can have been suspended between the two looks: 0 if the intervals are points
/// and equal.
nanoseconds longest_sleep_between(const Asleep& a, const Asleep& b);

/// Which boot this is, and how long it has slept. Monotonic times of two boots, or from before and after a
/// suspend, have nothing to say to each other. Implementations may be called from any thread.
class BootClock {
  public:
    virtual ~BootClock() = default;
    /// Differs from boot to boot and stays the same in between. The reference lives as long as the object.
    [[nodiscard]] virtual const std::string& boot_id() const = 0;
    [[nodiscard]] virtual Asleep asleep() const = 0;
};

/// /proc/sys/kernel/random/boot_id, read once, and the kernel's two clocks.
class SystemBootClock final : public BootClock {
  public:
    /// Throws std::runtime_error if the kernel doesn't tell its boot id: without one no evidence may outlive
    /// the process, and nothing must pretend that it may.
    SystemBootClock();
    [[nodiscard]] const std::string& boot_id() const override { return boot_id_; }
    [[nodiscard]] Asleep asleep() const override;

  private:
    std::string boot_id_;
};

/// The triple (M, C, M): C was read at some moment between the two M. `before` ≤ `after`.
struct Reading {
    MonoTime before{};
    WallTime wall{};
    MonoTime after{};
    Asleep asleep{};  ///< looked at last, so a suspend anywhere inside the reading shows

    [[nodiscard]] nanoseconds gap() const { return after - before; }
    [[nodiscard]] MonoTime middle() const { return before + gap() / 2; }
};

/// C and M, read together. Thread-safe if its clocks are; they must outlive it. One object a process, the
/// same for stamping and for answering audits: an audit of another clock would prove nothing.
class StampingClock {
  public:
    StampingClock(const WallClock& wall, const MonoClock& mono, const BootClock& boot)
        : wall_(wall), mono_(mono), boot_(boot) {}
    /// Never blocks, never allocates.
    [[nodiscard]] Reading read() const;
    [[nodiscard]] const std::string& boot_id() const { return boot_.boot_id(); }

  private:
    const WallClock& wall_;
    const MonoClock& mono_;
    const BootClock& boot_;
};

}  // namespace kokuin::tac::clock
