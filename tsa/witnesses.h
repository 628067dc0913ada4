// Sends checkpoints to witnesses, and keeps their cosignatures (ARC-3; docs/witness.md): whoever rewrote the
// archive, its operators included, would have to explain it to somebody who remembers.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/net/client.h"
#include "base/result.h"
#include "base/ticker.h"
#include "base/time.h"
#include "store/archive.h"
#include "store/tlog/note.h"
#include "tsa/config.h"
#include "tsa/journal.h"

namespace kokuin::tsa {

/// One POST to a witness: the whole answer, whatever its status. Called from the witnesses' thread only.
using Submit = std::function<Result<net::Response>(const net::Url& url, const net::Call& call)>;
/// Over base/net: a connection for each, `timeout` for all of it.
Submit submit_over_http(nanoseconds timeout);

/// What Witnesses work with; all of it must outlive them.
struct WitnessesParts {
    store::Archive& archive;
    std::string dir;  ///< of the archive: proofs are read beside its writer
    Journal& journal;
    std::vector<WitnessSettings> witnesses;
    nanoseconds every{};
    Submit submit;
};

/// Once in `every`: sends the newest checkpoint to each witness that hasn't cosigned it, with a proof that it
/// goes on from the last one that this witness has cosigned, and keeps the cosignature durably. Nothing waits
/// for it, and nothing of it stops stamping.
///
/// Events, each with the witness's name as subject: "witness.key" before the first cosignature by a key;
/// "witness.away" once when one gives no cosignature, "witness.back" when it does again; "witness.conflict"
/// once when one has seen another history of this log: a larger tree than there is here, another root, or a
/// proof that it refuses. A start tells none of these anew.
///
/// Thread-safe but for start(), stop() and tick(), which are one thread's.
class Witnesses {
  public:
    explicit Witnesses(WitnessesParts parts);
    ~Witnesses() { stop(); }
    Witnesses(const Witnesses&) = delete;
    Witnesses& operator=(const Witnesses&) = delete;

    /// On a thread of its own until stop(), which waits for a request that runs: as long as `submit` takes.
    void start() { ticker_.start(); }
    void stop();
    /// One round. Not at the same time as start().
    void tick();

    /// What status shows of one witness.
    struct Seen {
        std::string name;              ///< of its key
        std::string state;             ///< "new", "cosigned", "away", "conflict"
        std::uint64_t size = 0;        ///< records that it has cosigned
        std::optional<WallTime> at{};  ///< when, as it says
        std::string trouble;           ///< why it is away, or what it contradicts; empty otherwise
    };
    [[nodiscard]] std::vector<Seen> snapshot() const;

  private:
    /// The thread's own but for `seen`, which is changed under the lock.
    struct Witness {
        WitnessSettings settings;
        Seen seen{};
        std::uint64_t size = 0;  ///< what it has cosigned, as far as is known: where the next proof begins
        bool restored = false;
        bool away = false;
        bool conflict = false;
    };
    /// What came of a submission that brought no cosignature.
    struct Refusal {
        bool conflict = false;
        std::string text;
    };

    Done restore(Witness& witness) const;
    Done record_key(const Witness& witness) const;
    /// Nothing: it is cosigned, and kept.
    std::optional<Refusal> submit(Witness& witness, const tlog::Checkpoint& checkpoint,
                                  const tlog::Note& note);
    std::optional<Refusal> take(Witness& witness, const tlog::Checkpoint& checkpoint, const tlog::Note& note,
                                const net::Response& answer);
    void settle(Witness& witness, const std::optional<Refusal>& refusal);
    void tell(const Witness& witness, const char* kind, const std::string& text) const;

    const WitnessesParts parts_;
    std::vector<Witness> witnesses_;
    mutable std::mutex mutex_;
    std::atomic<bool> stopping_{false};
    Ticker ticker_{parts_.every, [this] { tick(); }};
};

}  // namespace kokuin::tsa
