// A world with a true time, a stamping clock C and a monotonic clock M that both go wrong in their own ways.
#pragma once

#include <cmath>
#include <string>

#include "tac/clock/reading.h"

namespace world {

using namespace kokuin;

class World {
  public:
    // How the clocks run: relative errors of their rates.
    double rate_m = 0;
    double rate_c = 0;
    /// True time that passes whenever a clock is read.
    nanoseconds read_takes{100};

    void advance(nanoseconds dt) {
        utc_ += dt;
        c_ += scaled(dt, rate_c, rest_c_);
        m_ += scaled(dt, rate_m, rest_m_);
    }
    /// M stands still; C goes on (the kernel sets it from the battery clock), and the kernel counts the time
    /// asleep.
    void suspend(nanoseconds dt) {
        utc_ += dt;
        c_ += dt;
        asleep_ += dt;
    }
    /// A virtual machine is paused: C is put right, M lost the time, and nothing tells.
    void pause(nanoseconds dt) {
        utc_ += dt;
        c_ += dt;
    }
    void step_c(nanoseconds by) { c_ += by; }
    /// UTC counts as POSIX does: at the end of an inserted second it has gone back by one. C doesn't follow
    /// by itself.
    void leap(int direction) { utc_ -= seconds(direction); }

    [[nodiscard]] WallTime utc() const { return utc_; }
    [[nodiscard]] nanoseconds error() const { return c_ - utc_; }
    /// The true error at the moment C was last read.
    [[nodiscard]] nanoseconds error_read() const { return error_read_; }
    [[nodiscard]] const tac::clock::StampingClock& clock() const { return clock_; }
    [[nodiscard]] tac::clock::Reading read() const { return clock_.read(); }
    /// The clocks one by one.
    [[nodiscard]] const WallClock& wall() const { return wall_part_; }
    [[nodiscard]] const MonoClock& mono() const { return mono_part_; }
    [[nodiscard]] const tac::clock::BootClock& boot() const { return boot_part_; }
    /// M now; looking takes no time.
    [[nodiscard]] MonoTime m() const { return m_; }

    explicit World(WallTime start = from_unix_us(1'795'000'000'000'000)) : utc_(start), c_(start) {}
    World(const World&) = delete;
    World& operator=(const World&) = delete;

  private:
    static nanoseconds scaled(nanoseconds dt, double rate, double& rest) {
        const double more = static_cast<double>(dt.count()) * rate + rest;
        const double whole = std::floor(more);
        rest = more - whole;
        return dt + nanoseconds(static_cast<std::int64_t>(whole));
    }

    struct WallPart final : WallClock {
        explicit WallPart(World& w) : world(w) {}
        [[nodiscard]] WallTime now() const override {
            world.advance(world.read_takes);
            world.error_read_ = world.error();
            return world.c_;
        }
        World& world;
    };
    struct MonoPart final : MonoClock {
        explicit MonoPart(World& w) : world(w) {}
        [[nodiscard]] MonoTime now() const override {
            world.advance(world.read_takes);
            return world.m_;
        }
        World& world;
    };
    struct BootPart final : tac::clock::BootClock {
        explicit BootPart(World& w) : world(w) {}
        [[nodiscard]] const std::string& boot_id() const override { return id; }
        [[nodiscard]] tac::clock::Asleep asleep() const override {
            return {world.asleep_ - nanoseconds(40), world.asleep_ + nanoseconds(40)};
        }
        World& world;
        std::string id = "0b2c8d0e-8d0e-4f6e-9a1f-000000000001";
    };

    WallTime utc_;
    WallTime c_;
    MonoTime m_{seconds(5000)};
    nanoseconds asleep_{0};
    double rest_c_ = 0;
    double rest_m_ = 0;
    nanoseconds error_read_{0};
    WallPart wall_part_{*this};
    MonoPart mono_part_{*this};
    BootPart boot_part_{*this};
    tac::clock::StampingClock clock_{wall_part_, mono_part_, boot_part_};
};

}  // namespace world
