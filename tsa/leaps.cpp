#include "tsa/leaps.h"

#include <spdlog/spdlog.h>

#include <algorithm>

namespace kokuin::tsa {
namespace {

using tac::clock::LeapList;
using tac::clock::LeapSecond;

constexpr nanoseconds day = std::chrono::hours(24);
// The IERS decides half a year before; a month is enough to look ahead.
constexpr nanoseconds horizon = 31 * day;

std::string describe(const LeapSecond& leap) {
    return std::string("a leap second is ") + (leap.direction > 0 ? "inserted" : "deleted") + " before " +
           to_rfc3339(leap.midnight, 0);
}

bool contains(const std::vector<LeapSecond>& all, const LeapSecond& one) {
    return std::find(all.begin(), all.end(), one) != all.end();
}

}  // namespace

std::vector<LeapSecond> Leaps::by_taa() const {
    std::vector<LeapSecond> all;
    for (const auto& tsu : *parts_.tsus.audited())
        if (const auto tac = tsu->gate().tac())
            for (const auto& leap : tac->value.tac.leap_events)
                if (!contains(all, leap)) all.push_back(leap);
    return all;
}

void Leaps::note(const char* kind, const std::string& text, const LeapSecond* leap) {
    spdlog::warn("leap {}: {}", kind, text);
    store::Event event;
    event.kind = kind;
    event.text = text;
    if (leap) {
        event.fields["midnight"] = to_rfc3339(leap->midnight, 0);
        event.fields["direction"] = std::int64_t{leap->direction};
    }
    (void)parts_.journal.keep(std::move(event));
}

void Leaps::look_at_list(const tac::clock::Reading& now, const LeapList* list, const std::string& trouble) {
    std::string warning = trouble;
    if (list && list->expired(now.wall))
        warning = parts_.file.path() + " expired at " + to_rfc3339(list->expires, 0) +
                  ": leap seconds after that are known from the TAA alone; update the package tzdata";
    bool is_new = false;
    {
        const std::lock_guard lock(mutex_);
        snapshot_.expires = list ? std::optional<WallTime>(list->expires) : std::nullopt;
        is_new = warning != snapshot_.warning;
        snapshot_.warning = warning;
    }
    if (is_new && !warning.empty()) note("leap.list", warning, nullptr);
}

void Leaps::dispute(const LeapSecond& leap, const LeapList& list) {
    // Of what comes after its end the list says nothing.
    if (list.expired(leap.midnight) || contains(list.leaps, leap)) return;
    if (!disputed_.insert({leap.midnight, leap.direction}).second) return;
    note("leap.disputed",
         "by the TAA " + describe(leap) + "; " + parts_.file.path() + ", good until " +
             to_rfc3339(list.expires, 0) + ", has none then: ask the TAA",
         &leap);
}

void Leaps::announce(const LeapSecond& leap, const std::string& by) {
    {
        const std::lock_guard lock(mutex_);
        snapshot_.pending = leap;
        snapshot_.announced_by = by;
    }
    if (told_.insert({leap.midnight, leap.direction}).second)
        note("leap.pending", describe(leap) + " (announced by " + by + "); no tokens within a second of it",
             &leap);
}

void Leaps::tell_gates(const tac::clock::Reading& now) {
    const auto read = parts_.file.read(now.after);
    if (!read) return;
    for (const auto& leap : (*read)->between(now.wall - day, now.wall + horizon))
        for (const auto& tsu : *parts_.tsus.audited()) tsu->gate().announce(leap);
}

void Leaps::tick(const tac::clock::Reading& now) {
    const auto read = parts_.file.read(now.after);
    const LeapList* list = read ? read->get() : nullptr;
    look_at_list(now, list, read ? "" : read.error().text);

    const auto from_taa = by_taa();
    std::vector<LeapSecond> from_list;
    if (list) from_list = list->between(now.wall - day, now.wall + horizon);
    tell_gates(now);

    std::vector<LeapSecond> all = from_list;
    for (const auto& leap : from_taa) {
        if (leap.midnight <= now.wall) continue;
        if (list) dispute(leap, *list);
        if (!contains(all, leap)) all.push_back(leap);
    }
    {
        const std::lock_guard lock(mutex_);
        if (snapshot_.pending && snapshot_.pending->midnight + seconds(1) < now.wall)
            snapshot_.pending.reset();
    }
    for (const auto& leap : all) {
        if (leap.midnight <= now.wall || leap.midnight > now.wall + day) continue;
        std::string by;
        const auto add = [&by](const char* who) { by += (by.empty() ? "" : ", ") + std::string(who); };
        if (contains(from_taa, leap)) add("the TAA");
        if (contains(from_list, leap)) add("leap-seconds.list");
        if (parts_.reference) {
            const auto said = parts_.reference->snapshot().said;
            if (said && said->tracking.leap == leap.direction) add("the reference's time servers");
        }
        announce(leap, by);
    }
}

Leaps::Snapshot Leaps::snapshot() const {
    const std::lock_guard lock(mutex_);
    return snapshot_;
}

}  // namespace kokuin::tsa
