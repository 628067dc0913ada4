#include "tsa/key_watch.h"

#include <spdlog/spdlog.h>

#include <array>

namespace kokuin::tsa {
namespace {

constexpr std::array days_before{60, 30, 7, 1};
constexpr int none_said = 1 << 20;

}  // namespace

Done KeyWatch::restore(const store::Archive& archive) {
    for (const auto* kind : {"key.ending", "key.ended", "key.overdue"}) {
        store::EventQuery query;
        query.kind = kind;
        const auto done = archive.events(query, [this](const store::Found& found) {
            const auto& event = found.event();
            const auto key = event.fields.find("spki_sha256");
            const auto* which = key == event.fields.end() ? nullptr : std::get_if<std::string>(&key->second);
            if (!which) return true;
            const auto days = event.fields.find("days");
            const auto* left =
                days == event.fields.end() ? nullptr : std::get_if<std::int64_t>(&days->second);
            if (event.kind == "key.overdue")
                overdue_[*which] = true;
            else
                ending_[*which] = left ? static_cast<int>(*left) : 0;
            return true;
        });
        if (!done) return done;
    }
    return {};
}

void KeyWatch::say(const KeyEntry& entry, const std::string& kind, int days, const std::string& text) {
    store::Event event;
    event.kind = kind;
    event.subject = entry.tsu;
    event.text = text;
    event.fields["key"] = entry.label;
    event.fields["spki_sha256"] = entry.spki_sha256;
    event.fields["days"] = static_cast<std::int64_t>(days);
    spdlog::log(kind == "key.ending" ? spdlog::level::warn : spdlog::level::err, "key={} tsu={} text=\"{}\"",
                entry.label, entry.tsu, text);
    (void)journal_.keep(std::move(event));
}

void KeyWatch::tick(WallTime now) {
    for (const auto& entry : life_.all()) {
        if (is_overdue(entry, now) && !overdue_[entry.spki_sha256]) {
            overdue_[entry.spki_sha256] = true;
            say(entry, "key.overdue", 0,
                "the retired key " + entry.label + " should have been destroyed by " +
                    to_rfc3339(destroy_by(*entry.retired), 0) + " (KEY-5)");
        }
        if (entry.state != KeyState::active || !entry.activated) continue;
        const auto until = signs_until(*entry.activated, entry.not_after);
        const auto said = ending_.try_emplace(entry.spki_sha256, none_said).first;
        if (now > until) {
            if (std::exchange(said->second, 0) != 0)
                say(entry, "key.ended", 0,
                    "the key " + entry.label + " may sign no more since " + to_rfc3339(until, 0));
            continue;
        }
        int due = none_said;
        for (const int days : days_before)
            if (until - now <= std::chrono::days(days)) due = days;
        if (due >= said->second) continue;
        said->second = due;
        say(entry, "key.ending", due,
            "the key " + entry.label + " may sign until " + to_rfc3339(until, 0) + ", " +
                std::to_string(due) + (due == 1 ? " day" : " days") +
                " or less from now; have its successor certified and rotate");
    }
}

}  // namespace kokuin::tsa
