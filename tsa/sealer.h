// Seals finished months, has them time-stamped by a TSA of another organisation, and renews that before it
// ages (ARC-3; docs/seals.md).
#pragma once

#include <atomic>
#include <functional>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/net/router.h"
#include "base/result.h"
#include "base/ticker.h"
#include "base/time.h"
#include "checkpoint/checkpointer.h"
#include "evidence/check.h"
#include "evidence/seal.h"
#include "pki/hash.h"
#include "store/archive.h"
#include "tac/clock/reading.h"
#include "tsa/config.h"
#include "tsa/journal.h"
#include "tsa/stamp_client.h"

namespace kokuin::tsa {

/// What a sealed month needs now.
enum class SealStep {
    none,
    stamp,   ///< its first time-stamp
    renew,   ///< the newest one's certificate ends soon (RFC 4998 5.2, time-stamp renewal)
    rehash,  ///< another hash function is wanted by now (hash-tree renewal)
};
/// Renewed `renew_before` the end of the certificate, but not before half of the time that it still had when
/// the time-stamp was made: a certificate that is short-lived anyway doesn't make one renewal follow the
/// other.
SealStep next_step(const evidence::Seal& seal, pki::Hash wanted, nanoseconds renew_before, WallTime now);
/// What to tell of a time-stamp of that time, if it comes when the one before has ended; nothing: it is in
/// time, or the first. Pure.
std::optional<std::string> lapse(const evidence::Seal& seal, WallTime stamped);

/// Gets a time-stamp for a request; called on the sealer's thread.
using AskForStamp = std::function<Result<StampAnswer>(const tsp::Request&)>;

/// What a sealer works with; all of it must outlive it.
struct SealerParts {
    const tac::clock::StampingClock& clock;
    store::Archive& archive;
    std::string dir;  ///< the archive's folder
    Journal& journal;
    checkpoint::Checkpointer* checkpointer =
        nullptr;                           ///< null: there is no archive key, and no month is sealed
    std::optional<SealSettings> settings;  ///< nothing: months are sealed, but time-stamped by nobody
    evidence::Believed believed;           ///< whose time-stamps are taken
    AskForStamp ask;
    /// True if this SubjectPublicKeyInfo is that of a TSU of ours: what it signs isn't another
    /// organisation's.
    std::function<bool(View spki)> is_own;
};
/// The certificates that the settings name. Error (usage): one can't be read.
Result<evidence::Believed> load_believed(const SealSettings& settings);
/// Asks that TSA, for half a minute at most.
AskForStamp ask_over_http(const SealSettings& settings);

/// A month is finished when a later one has begun, its file has no log any more, and all its records are
/// under a checkpoint. Then its head is signed and recorded (event "seal.made"); then a time-stamp over that
/// and all its tokens is asked for, checked and recorded ("seal.stamped"), and renewed in time. What doesn't
/// succeed is tried again, with growing pauses of up to an hour; that it didn't, and does again, are events
/// ("seal.late", "seal.back"). Stamping waits for none of this. Thread-safe but for start(), stop(), tick().
class Sealer {
  public:
    explicit Sealer(SealerParts parts);
    ~Sealer() { stop(); }
    Sealer(const Sealer&) = delete;
    Sealer& operator=(const Sealer&) = delete;

    void start() { ticker_.start(); }
    /// Waits for a request that runs, and breaks off the reading of a month. Idempotent.
    void stop();
    /// Reads anew at the next look what is sealed, and what was removed. From any thread.
    void forget() { forget_ = true; }
    /// One look, and what it shows to be done.
    void tick();

    /// For status pages. As of the last look.
    struct Snapshot {
        struct Month {
            std::string segment;
            std::string state;  ///< "waits", "sealed", "stamped"; what is next: "to be stamped", "to be
                                ///< renewed"; "expired": its tokens were removed
            std::optional<WallTime> stamped;  ///< genTime of the newest time-stamp
            std::optional<WallTime> until;    ///< end of its certificate
            std::size_t chains = 0;
            std::size_t stamps = 0;
        };
        std::vector<Month> months;  ///< finished ones, oldest first
        std::string trouble;        ///< why the last attempt failed; empty if none did
    };
    [[nodiscard]] Snapshot snapshot() const;
    /// Has the newest time-stamp of this month renewed at the next look, due or not (a restart forgets it),
    /// and records that somebody wants it ("seal.wished"). Error (no): there is none; (environment): the
    /// archive.
    Done wish_renewal(const std::string& segment, const std::string& why, const std::string& by,
                      const std::string& account);
    /// GET /seals, POST /seals/renew {"month", "why", "by"}: for this server's owner.
    void add_routes(net::Router& control);

  private:
    /// Reads what is sealed, if that isn't known, and does the first thing that is to be done. True: there
    /// may be more.
    Result<bool> advance();
    Result<bool> seal(const std::string& segment, const std::string& next, const store::Removals& removals);
    Done stamp(const evidence::Seals& seals, const evidence::Seal& seal, SealStep step);
    struct Token {
        evidence::Stamped stamped;
        Bytes der;
    };
    /// `after`: it mustn't be older.
    Result<Token> time_stamp(pki::Hash hash, const Bytes& imprint, WallTime after);
    Result<tlog::TreeHead> head_at(std::uint64_t end) const;
    Done write(evidence::Entry entry, const std::optional<std::string>& lapsed = std::nullopt);
    void tell(const char* kind, const std::string& text);
    [[nodiscard]] SealStep step_of(const evidence::Seal& seal) const;
    void show(const std::vector<std::string>& finished, const evidence::Seals& seals,
              const std::string& trouble);

    SealerParts parts_;
    std::shared_ptr<const evidence::Seals> seals_;  // null: to be read anew
    nanoseconds pause_{};                           // after a failure, growing
    std::optional<MonoTime> not_before_;            // after a failure
    bool late_ = false;
    std::atomic<bool> stopping_{false};
    std::atomic<bool> hurry_{false};  // a wish has come: no pause
    std::atomic<bool> forget_{false};

    mutable std::mutex mutex_;
    Snapshot snapshot_;
    std::set<std::string> wishes_;  // months to be renewed now
    Ticker ticker_;
};

}  // namespace kokuin::tsa
