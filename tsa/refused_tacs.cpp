#include "tsa/refused_tacs.h"

namespace kokuin::tsa {
namespace {

constexpr nanoseconds every = std::chrono::hours(1);
constexpr nanoseconds after_failure = seconds(10);

}  // namespace

void RefusedTacs::refuse(const std::string& tsu, const tac::Refusal& refusal, View der, MonoTime now) {
    const std::lock_guard lock(mutex_);
    auto [at, first] = counted_.try_emplace({tsu, refusal.reason});
    Counted& counted = at->second;
    if (first) counted.due = now;
    ++counted.count;
    counted.last = {};
    counted.last.kind = "tac.refused";
    counted.last.subject = tsu;
    counted.last.text = "TAC refused (" + std::string(name(refusal.reason)) + "): " + refusal.text;
    counted.last.fields["reason"] = std::string(name(refusal.reason));
    counted.blobs.clear();
    if (!der.empty()) {
        counted.blobs.emplace_back(Bytes(der.begin(), der.end()));
        counted.last.blobs.push_back(counted.blobs.back().id());
    }
    if (now >= counted.due) archive(counted, now);
}

void RefusedTacs::tick(MonoTime now) {
    archive_due(now, false);
}

void RefusedTacs::flush(MonoTime now) {
    archive_due(now, true);
}

void RefusedTacs::archive_due(MonoTime now, bool all) {
    const std::lock_guard lock(mutex_);
    for (auto at = counted_.begin(); at != counted_.end();) {
        Counted& counted = at->second;
        const bool due = now >= counted.due;
        // A quiet hour: the next one is a first one again.
        if (counted.count == 0 && due) {
            at = counted_.erase(at);
            continue;
        }
        if (counted.count > 0 && (due || all)) archive(counted, now);
        ++at;
    }
}

void RefusedTacs::archive(Counted& counted, MonoTime now) {
    store::Event event = counted.last;
    event.fields["count"] = counted.count;
    if (counted.count > 1) event.text += "; the last of " + std::to_string(counted.count) + " like it";
    // Not through the journal's queue: while the archive fails, one event grows instead of one more each
    // time.
    const bool archived = journal_.write(event, counted.blobs).ok();
    counted.due = now + (archived ? every : after_failure);
    if (archived) {
        counted.count = 0;
        counted.blobs.clear();
    }
}

}  // namespace kokuin::tsa
