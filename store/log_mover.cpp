#include "store/log_mover.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "store/segment_writer.h"

namespace kokuin::store {
namespace {

/// Move when this many pages (2 MB) have come: seldom enough that pages written again and again are moved
/// once.
constexpr int enough_frames = 512;
/// A log this long (32 MB) should start anew.
constexpr int long_log = 8192;
constexpr std::chrono::seconds try_again{1};

}  // namespace

LogMover::LogMover(std::string dir) : dir_(std::move(dir)), thread_([this] { run(); }) {}

LogMover::~LogMover() {
    {
        const std::lock_guard lock(mutex_);
        stop_ = true;
    }
    work_.notify_all();
    thread_.join();
}

void LogMover::committed(const std::string& segment, int frames) {
    bool wake = false;
    {
        const std::lock_guard lock(mutex_);
        if (segment != segment_ || frames < frames_) moved_ = 0;  // another log, or it has started anew
        if (segment != segment_) segment_ = segment;
        frames_ = frames;
        wake = frames_ - moved_ >= enough_frames && !wants_pause_;
    }
    if (wake) work_.notify_one();
}

void LogMover::caught_up() {
    const std::lock_guard lock(mutex_);
    // If a reader kept some of it back, that is moved with the next pages.
    moved_ = frames_;
    wants_pause_ = false;
}

void LogMover::finish(const std::string& segment) {
    {
        const std::lock_guard lock(mutex_);
        finished_.push_back(segment);
    }
    work_.notify_one();
}

void LogMover::let_go() {
    const std::lock_guard lock(connection_mutex_);
    connection_.reset();
}

void LogMover::run() {
    std::unique_lock lock(mutex_);
    bool failed_before = false;
    while (!stop_) {
        const auto may_move = [&] { return frames_ - moved_ >= enough_frames && !wants_pause_; };
        const auto has_work = [&] { return stop_ || may_move() || !finished_.empty(); };
        if (failed_before) {
            work_.wait_for(lock, try_again, [&] { return stop_; });
        } else {
            work_.wait(lock, has_work);
        }
        if (stop_) break;
        const bool move_now = may_move();
        const std::string segment = segment_;
        const int moved_before = moved_;
        std::vector<std::string> finished = std::exchange(finished_, {});
        lock.unlock();
        if (move_now) move(segment);
        const std::size_t to_finish = finished.size();
        finish_all(std::move(finished));
        lock.lock();
        // Without progress (a reader, a disk without room) the next try comes later, not at once.
        failed_before =
            (move_now && moved_ == moved_before) || (to_finish > 0 && finished_.size() >= to_finish);
    }
    // Who takes the file of a finished month without its log would miss the end of it: once more, before the
    // archive is closed.
    std::vector<std::string> finished = std::exchange(finished_, {});
    lock.unlock();
    finish_all(std::move(finished));
}

void LogMover::move(const std::string& segment) {
    const std::lock_guard connection_lock(connection_mutex_);
    if (!connection_ || connected_to_ != segment) {
        connection_.reset();
        auto opened = sqlite::Database::open(segment_path(dir_, segment), sqlite::Database::Mode::write);
        if (!opened) return;
        opened->keep_log_on_close();
        if (!opened->execute("PRAGMA synchronous=FULL")) return;
        connection_.emplace(std::move(*opened));
        connected_to_ = segment;
    }
    const auto checkpoint = connection_->checkpoint(sqlite::Database::Extent::passive);
    if (!checkpoint) {
        connection_.reset();
        return;
    }
    const std::lock_guard lock(mutex_);
    if (segment_ != segment) return;
    moved_ = std::min(checkpoint->moved, frames_);
    if (checkpoint->frames >= long_log && frames_ > moved_) wants_pause_ = true;
}

void LogMover::finish_all(std::vector<std::string> segments) {
    for (std::string& segment : segments) {
        {
            const std::lock_guard lock(connection_mutex_);
            if (connected_to_ == segment) connection_.reset();
        }
        const auto done = finish_segment(dir_, segment);
        if (done && *done) continue;
        if (!done) spdlog::warn("archive segment={} not finished yet: {}", segment, done.error().text);
        const std::lock_guard lock(mutex_);
        finished_.push_back(std::move(segment));
    }
}

}  // namespace kokuin::store
