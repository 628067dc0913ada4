// The tree's tiles for whoever follows the log (C2SP tlog-tiles).
#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

#include "base/net/router.h"
#include "store/archive.h"
#include "store/tlog/tile_path.h"

namespace kokuin::tsa {

/// Reads tiles on one thread of its own, so that however many are asked for, stamping loses no more than one
/// core's time now and then: 64 requests wait at most, what is more gets 503. A tile costs at most some 256
/// reads of 8 KiB and 2^16 hashes. Thread-safe; the archive must outlive it, and it the last answer.
class LogTiles {
  public:
    /// `dir`: the archive's folder.
    LogTiles(const store::Archive& archive, std::string dir);
    /// Answers what waits.
    ~LogTiles();
    LogTiles(const LogTiles&) = delete;
    LogTiles& operator=(const LogTiles&) = delete;

    /// The tile of this path, full or partial (tlog::TilePlace::parse): 200 with its hashes, which never
    /// change; 404 for what is no tile, and what the newest checkpoint doesn't cover.
    void answer(std::string_view level, std::string_view path, const net::Reply& reply);

  private:
    struct Wish {
        tlog::TilePlace place;
        net::Reply reply;
    };
    void run();
    void answer(const std::deque<Wish>& wishes);

    const store::Archive& archive_;
    const std::string dir_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<Wish> waiting_;
    bool stopping_ = false;
    bool troubled_ = false;  // the thread's own: said already
    std::thread thread_;
};

}  // namespace kokuin::tsa
