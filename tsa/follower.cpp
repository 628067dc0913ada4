#include "tsa/follower.h"

#include <spdlog/spdlog.h>

#include <optional>

namespace kokuin::tsa {
namespace {

constexpr auto kind = "clock.followed";

}  // namespace

Done Follower::restore(const store::Archive& archive, const std::string& boot_id,
                       tac::clock::Correction& correction) {
    auto last = archive.latest_event(kind, "");
    if (!last) return std::move(last).error();
    if (!*last) return {};
    const auto& event = std::get<store::Event>((*last)->body);
    const auto* from = event.find<std::int64_t>("from_ns");
    const auto* to = event.find<std::int64_t>("to_ns");
    const auto* since = event.find<std::int64_t>("since_m_ns");
    const auto* boot = event.find<std::string>("boot_id");
    const auto* rate = event.find<std::int64_t>("rate_ppm");
    if (!from || !to || !since || !boot || !rate)
        return Error::environment("archive record " + std::to_string((*last)->number) +
                                  ": clock.followed without its fields; it was written by another program");
    const tac::clock::Correction::Plan plan{nanoseconds(*from), nanoseconds(*to),
                                            MonoTime(nanoseconds(*since)), *rate};
    if (*boot == boot_id)
        correction.restore(plan);
    else
        correction.hold(plan.to);
    return {};
}

void Follower::follow(const tac::AcceptedTac& tac) {
    const auto& exchange = tac.delivered.exchange;
    if (exchange) follow(tac.offset, tac.value.tac.delay, exchange->received, exchange->boot_id, tac.serial);
}

void Follower::follow(const tac::StopOrder& order) {
    const auto value = tac::decode(order.tac);
    if (!value) return;
    // An order stops whoever it names; to be followed it must also be about the clock that we ourselves saw.
    const auto differs = order.received.wall - (value->tac.ntp_time + order.offset);
    if (std::chrono::abs(differs) > nanoseconds(value->tac.delay) / 2 + milliseconds(2)) return;
    follow(order.offset, value->tac.delay, order.received, order.boot_id, order.serial);
}

void Follower::follow(nanoseconds error, nanoseconds delay, const tac::clock::Reading& measured,
                      const std::string& boot_id, const std::string& serial) {
    // M of another boot says nothing about this one.
    if (boot_id != boot_id_) return;
    // The archive has them in the order in which they hold.
    const std::lock_guard lock(mutex_);
    const auto plan = correction_.steer(error, delay / 2, measured.before, mono_.now());
    if (!plan) return;
    store::Event event;
    event.kind = kind;
    event.text = "the clock was off by " +
                 std::to_string(std::chrono::duration_cast<microseconds>(error).count()) +
                 " us: its correction goes from " +
                 std::to_string(std::chrono::duration_cast<microseconds>(plan->from).count()) + " to " +
                 std::to_string(std::chrono::duration_cast<microseconds>(plan->to).count()) + " us";
    event.fields = {{"from_ns", std::int64_t{plan->from.count()}},
                    {"to_ns", std::int64_t{plan->to.count()}},
                    {"since_m_ns", std::int64_t{plan->since.time_since_epoch().count()}},
                    {"rate_ppm", plan->rate_ppm},
                    {"boot_id", boot_id_},
                    {"error_us", std::int64_t{std::chrono::duration_cast<microseconds>(error).count()}},
                    {"tac", serial}};
    spdlog::info("clock follows the TAA: {}", event.text);
    (void)journal_.keep(std::move(event));
}

}  // namespace kokuin::tsa
