#include "tsa/tac_repository.h"

#include <spdlog/spdlog.h>

#include <algorithm>

#include "store/reader.h"
#include "tac/tac.h"

namespace kokuin::tsa {
namespace {

constexpr auto again = std::chrono::minutes(1);

/// As tac::serial_hex writes it; nothing if it isn't a number in hexadecimal.
std::optional<std::string> normal(std::string_view serial) {
    serial.remove_prefix(std::min(serial.find_first_not_of('0'), serial.size()));
    std::string hex(serial);
    for (char& c : hex) {
        if (c >= 'A' && c <= 'F') c = static_cast<char>(c - 'A' + 'a');
        if ((c < '0' || c > '9') && (c < 'a' || c > 'f')) return std::nullopt;
    }
    return hex.empty() ? "0" : hex;
}

}  // namespace

void TacRepository::start() {
    thread_ = std::thread([this] { run(); });
}

void TacRepository::stop() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    wake_.notify_all();
    if (thread_.joinable()) thread_.join();
}

bool TacRepository::stopping() const {
    const std::lock_guard lock(mutex_);
    return stopping_;
}

void TacRepository::add(const std::string& serial, const store::BlobId& blob) {
    const std::lock_guard lock(mutex_);
    places_[serial] = Place{blob, ""};
}

void TacRepository::run() {
    while (!stopping()) {
        const auto done = load();
        std::unique_lock lock(mutex_);
        if (stopping_) return;
        if (done) {
            complete_ = true;
            spdlog::info("repository tacs={}", places_.size());
            return;
        }
        spdlog::error("repository: the TACs of earlier runs can't all be read, tried again in a minute: {}",
                      done.error().text);
        wake_.wait_for(lock, again, [this] { return stopping_; });
    }
}

Done TacRepository::load() {
    store::EventQuery query;
    query.kind = accepted_kind;
    return archive_.events(query, [&](const store::Found& found) {
        const auto& event = found.event();
        const auto* der = event.find<Bytes>("tac");
        const auto tac = der ? tac::decode(*der) : Error::environment("holds no TAC");
        if (!tac || event.blobs.empty()) {
            // One event that says nothing takes no other one away.
            spdlog::error("repository: archive record {}: {}", found.record.number,
                          tac ? "names no blob" : tac.error().text);
            return !stopping();
        }
        const std::lock_guard lock(mutex_);
        auto& place = places_[tac::serial_hex(tac->tac.serial)];
        // What add() has put there is newer.
        if (!place || !place->segment.empty()) place = Place{event.blobs.front(), found.segment};
        return !stopping_;
    });
}

Result<std::optional<Bytes>> TacRepository::find(std::string_view serial) const {
    const auto hex = normal(serial);
    if (!hex) return std::optional<Bytes>();
    Place place;
    {
        const std::lock_guard lock(mutex_);
        const auto at = places_.find(*hex);
        if (at == places_.end()) {
            if (complete_) return std::optional<Bytes>();
            return Error::environment("the TACs of earlier runs are still being read");
        }
        place = *at->second;
    }
    auto der = archive_.blob(place.blob, place.segment);
    // It was there when it was accepted.
    if (!der) return Error::environment("TAC " + *hex + ": " + der.error().text);
    return std::optional<Bytes>(std::move(*der));
}

}  // namespace kokuin::tsa
