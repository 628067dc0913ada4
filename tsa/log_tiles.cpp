#include "tsa/log_tiles.h"

#include <spdlog/spdlog.h>

#include <utility>

#include "store/tiles.h"
#include "store/tree_reader.h"

namespace kokuin::tsa {
namespace {

using net::Response;

constexpr std::size_t most_waiting = 64;

Response none() {
    auto response = Response::text(404, "there is no such tile under the newest checkpoint");
    response.fields = {{"Cache-Control", "no-store"}};  // there may be one soon
    return response;
}

Response later() {
    auto response = Response::text(503, "not possible at the moment; try again");
    response.fields = {{"Retry-After", "2"}, {"Cache-Control", "no-store"}};
    return response;
}

Response found(Bytes hashes, bool full) {
    auto response = Response::octets(200, "application/octet-stream", std::move(hashes));
    // A partial one is as true for ever, but nobody asks for it once it is full.
    response.fields = {
        {"Cache-Control", full ? "public, max-age=31536000, immutable" : "public, max-age=300"}};
    return response;
}

}  // namespace

LogTiles::LogTiles(const store::Archive& archive, std::string dir)
    : archive_(archive), dir_(std::move(dir)), thread_([this] { run(); }) {}

LogTiles::~LogTiles() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    changed_.notify_all();
    thread_.join();
}

void LogTiles::answer(std::string_view level, std::string_view path, const net::Reply& reply) {
    const auto place = tlog::TilePlace::parse(level, path);
    const auto leaves = place ? place->leaves() : std::nullopt;
    if (!leaves || *leaves > archive_.state().covered) return reply(none());
    {
        const std::lock_guard lock(mutex_);
        if (waiting_.size() < most_waiting) {
            waiting_.push_back({*place, reply});
            changed_.notify_one();
            return;
        }
    }
    reply(later());
}

void LogTiles::run() {
    std::unique_lock lock(mutex_);
    while (true) {
        changed_.wait(lock, [this] { return stopping_ || !waiting_.empty(); });
        if (waiting_.empty()) return;
        const auto wishes = std::exchange(waiting_, {});
        lock.unlock();
        answer(wishes);
        lock.lock();
    }
}

void LogTiles::answer(const std::deque<Wish>& wishes) {
    // One for all that have come meanwhile, and no longer: a finished segment loses its log only while nobody
    // reads it.
    const auto tree = store::TreeReader::open(dir_);
    for (const Wish& wish : wishes) {
        auto tile = tree ? (*tree)->tile(wish.place.level, wish.place.position, wish.place.width)
                         : Result<Bytes>(tree.error());
        if (!tile && !troubled_) spdlog::error("repository text=\"{}\"", tile.error().text);
        troubled_ = !tile;
        wish.reply(tile ? found(std::move(*tile), wish.place.width == store::tile_width) : later());
    }
}

}  // namespace kokuin::tsa
