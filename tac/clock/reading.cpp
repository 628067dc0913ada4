#include "tac/clock/reading.h"

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <fstream>
#include <stdexcept>
#include <system_error>

namespace kokuin::tac::clock {
namespace {

nanoseconds kernel_clock(clockid_t id) {
    timespec now{};
    if (clock_gettime(id, &now) != 0)
        throw std::system_error(errno, std::generic_category(), "clock_gettime");
    return seconds(now.tv_sec) + nanoseconds(now.tv_nsec);
}

}  // namespace

bool slept_between(const Asleep& a, const Asleep& b) {
    return a.high < b.low || b.high < a.low;
}

nanoseconds longest_sleep_between(const Asleep& a, const Asleep& b) {
    return std::max(nanoseconds(0), std::max(b.high - a.low, a.high - b.low));
}

SystemBootClock::SystemBootClock() {
    const char* path = "/proc/sys/kernel/random/boot_id";
    std::ifstream file(path);
    if (!std::getline(file, boot_id_) || boot_id_.empty())
        throw std::runtime_error(std::string(path) + ": can't be read; mount /proc");
}

Asleep SystemBootClock::asleep() const {
    // Both clocks run at one rate and differ by the time asleep only, so the two looks at MONOTONIC enclose
    // it.
    const auto before = kernel_clock(CLOCK_MONOTONIC);
    const auto boot = kernel_clock(CLOCK_BOOTTIME);
    const auto after = kernel_clock(CLOCK_MONOTONIC);
    return {boot - after, boot - before};
}

Reading StampingClock::read() const {
    Reading reading;
    reading.before = mono_.now();
    reading.wall = wall_.now();
    reading.after = mono_.now();
    reading.asleep = boot_.asleep();
    return reading;
}

}  // namespace kokuin::tac::clock
