// What operators and monitoring see: /readyz, /metrics, `tsactl status`.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/net/server.h"
#include "hsm/custody/keeper.h"
#include "store/archive.h"
#include "tac/clock/reading.h"
#include "tac/clock/reference_watch.h"
#include "tsa/hsms.h"
#include "tsa/key_life.h"
#include "tsa/leaps.h"
#include "tsa/programs.h"
#include "tsa/protocol/policy.h"
#include "tsa/refusals.h"
#include "tsa/revocation_watch.h"
#include "tsa/sealer.h"
#include "tsa/stamper.h"
#include "tsa/tsus.h"
#include "tsa/witnesses.h"

namespace kokuin::tsa {

/// What status is read from; all of it must outlive it.
struct StatusParts {
    const tac::clock::StampingClock& clock;
    const Hsms& hsms;
    const store::Archive& archive;
    Tsus& tsus;
    const std::vector<tsp::Policy>& policies;  ///< the default one first
    const Stamper& stamper;
    const Refusals& refusals;
    const hsm::custody::Keeper* keeper = nullptr;  ///< null: nobody holds PINs over a crash
    const KeyLife& life;
    const Leaps& leaps;
    const tac::clock::Correction* correction = nullptr;     ///< null: the clock follows nobody
    const tac::clock::ReferenceWatch* reference = nullptr;  ///< null: none is configured
    pki::CrlFiles* crls = nullptr;                          ///< null: nobody keeps any
    bool has_taa = false;
    RevocationWatch* revocation = nullptr;                  ///< null: nothing is fetched
    const checkpoint::Checkpointer* checkpoints = nullptr;  ///< null: nobody signs any
    const Witnesses* witnesses = nullptr;                   ///< null: nobody cosigns them
    const Sealer* sealer = nullptr;
    const Programs* programs = nullptr;  ///< null: nobody looks at them
};

/// Thread-safe. Texts are JSON, or Prometheus' text format for metrics().
class Status {
  public:
    explicit Status(StatusParts parts) : parts_(std::move(parts)) {}
    /// Servers whose connections metrics() counts; to be called before they start.
    void watch(std::string name, const net::Server& server) {
        servers_.emplace_back(std::move(name), &server);
    }

    /// True if the default policy would get a token now.
    [[nodiscard]] bool ready() const { return reasons().empty(); }
    /// Whether it is ready, and the same as {"ready": bool, "reasons": [text…]}: of one look.
    [[nodiscard]] std::pair<bool, std::string> readiness() const;
    /// The keys of design section 7, and more.
    [[nodiscard]] std::string status() const;
    [[nodiscard]] std::string metrics() const;

  private:
    [[nodiscard]] std::vector<std::string> departures() const;
    /// What is known of the paths that this TSU's tokens rest on; none where nothing is fetched.
    [[nodiscard]] std::vector<PathRevocation> revocation(const Tsu& tsu) const;
    /// When the gate closes if no new evidence comes, and no new word of revocation either.
    [[nodiscard]] std::optional<WallTime> closes_at(const Tsu& tsu, const tac::GateStatus& gate) const;
    [[nodiscard]] std::vector<std::string> reasons() const {
        return parts_.stamper.obstacles(parts_.policies.front());
    }

    StatusParts parts_;
    std::vector<std::pair<std::string, const net::Server*>> servers_;
};

}  // namespace kokuin::tsa
