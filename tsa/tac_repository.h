// The TACs that tokens were issued under, for whoever holds such a token (TSA-10).
#pragma once

#include <condition_variable>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_map>

#include "base/bytes.h"
#include "base/result.h"
#include "store/archive.h"

namespace kokuin::tsa {

/// Kind of the events that hold the accepted TACs.
inline constexpr std::string_view accepted_kind = "tac.accepted";

/// Finds any TAC that was ever accepted by its serial number: where it stands in the archive is kept in
/// memory (some 200 octets for each, 26 a day), the TAC itself is read when somebody asks, by one look into
/// one segment. Thread-safe, start() and stop() but for one thread; the archive must outlive it.
class TacRepository {
  public:
    explicit TacRepository(const store::Archive& archive) : archive_(archive) {}
    ~TacRepository() { stop(); }
    TacRepository(const TacRepository&) = delete;
    TacRepository& operator=(const TacRepository&) = delete;

    /// Reads the events of earlier runs on a thread of its own, since ten years of them take seconds and
    /// stamping needn't wait. Where the archive can't be read it is tried again once a minute.
    void start();
    /// Ends that thread. Idempotent.
    void stop();

    /// A TAC that is archived and not in force yet: so none covers a token before it can be found here.
    void add(const std::string& serial, const store::BlobId& blob);

    /// The DER of the TAC with this serial number in hexadecimal (any case, leading zeros tolerated; should a
    /// TAA have used one twice, the TAC accepted last); nothing if none was accepted. Error (environment):
    /// not known at the moment.
    [[nodiscard]] Result<std::optional<Bytes>> find(std::string_view serial) const;

  private:
    struct Place {
        store::BlobId blob;
        std::string segment;  // where the blob is for certain; empty: not known
    };
    void run();
    Done load();
    [[nodiscard]] bool stopping() const;

    const store::Archive& archive_;
    mutable std::mutex mutex_;
    std::unordered_map<std::string, std::optional<Place>> places_;  // by tac::serial_hex
    bool complete_ = false;                                         // all of earlier runs is in places_
    bool stopping_ = false;
    std::condition_variable wake_;
    std::thread thread_;
};

}  // namespace kokuin::tsa
