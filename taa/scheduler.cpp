#include "taa/scheduler.h"

#include <algorithm>
#include <utility>

namespace kokuin::taa {

Scheduler::Scheduler(const Pace& pace, const std::vector<std::string>& tsus, const MonoClock& clock,
                     Audit audit, Dice dice)
    : clock_(clock), start_spacing_(pace.start_spacing), audit_(std::move(audit)), dice_(std::move(dice)) {
    const MonoTime now = next_start_ = clock_.now();
    for (const auto& tsu : tsus) rows_.emplace(tsu, Row{Timetable(pace, now), {}});
}

Scheduler::~Scheduler() {
    stop();
}

void Scheduler::start() {
    for (auto& row : rows_) {
        const std::string& tsu = row.first;
        Timetable& timetable = row.second.timetable;
        row.second.thread = std::thread([this, &tsu, &timetable] { work(tsu, timetable); });
    }
}

void Scheduler::stop() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    changed_.notify_all();
    for (auto& row : rows_)
        if (row.second.thread.joinable()) row.second.thread.join();
}

std::optional<Timetable::Answer> Scheduler::request(const std::string& tsu) {
    std::optional<Timetable::Answer> answer;
    {
        const std::lock_guard lock(mutex_);
        const auto row = rows_.find(tsu);
        if (row == rows_.end()) return std::nullopt;
        answer = row->second.timetable.request(clock_.now());
    }
    changed_.notify_all();
    return answer;
}

void Scheduler::bring_forward(const std::string& tsu, bool spaced) {
    {
        const std::lock_guard lock(mutex_);
        const auto row = rows_.find(tsu);
        if (row == rows_.end()) return;
        row->second.timetable.bring_forward(clock_.now(), spaced);
    }
    changed_.notify_all();
}

void Scheduler::look_again() {
    // Under the lock: a thread that has read the clock but doesn't wait yet would miss the call.
    const std::lock_guard lock(mutex_);
    changed_.notify_all();
}

void Scheduler::work(const std::string& tsu, Timetable& timetable) {
    std::unique_lock lock(mutex_);
    while (!stopping_) {
        const MonoTime now = clock_.now();
        if (now < timetable.due()) {
            changed_.wait_for(lock, timetable.due() - now);
            continue;
        }
        const MonoTime turn = std::max(now, next_start_);
        next_start_ = turn + start_spacing_;
        for (auto at = now; !stopping_ && at < turn; at = clock_.now()) changed_.wait_for(lock, turn - at);
        if (stopping_) return;
        const bool requested = timetable.begin(clock_.now());
        lock.unlock();
        const Ending ending = audit_(tsu, requested);
        const double dice = dice_();
        lock.lock();
        timetable.end(clock_.now(), ending, dice);
    }
}

}  // namespace kokuin::taa
