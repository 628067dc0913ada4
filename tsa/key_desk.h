// Where operators work with the keys of a running tsad: `tsactl key …` over its Unix socket.
#pragma once

#include <atomic>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/net/router.h"
#include "hsm/custody/approvals.h"
#include "hsm/token.h"
#include "tac/clock/reading.h"
#include "tsa/config.h"
#include "tsa/housekeeper.h"
#include "tsa/key_life.h"
#include "tsa/tsus.h"

namespace kokuin::tsa {

/// What the desk works with; all of it must outlive it.
struct KeyDeskParts {
    const tac::clock::StampingClock& clock;
    hsm::Token& token;
    KeyLife& life;
    Tsus& tsus;
    const std::vector<TsuSettings>& settings;
    const std::vector<tsp::Policy>& policies;      ///< the default one first
    hsm::custody::Approvals* approvals = nullptr;  ///< null: one person may do it all (pin_file)
    AuditRequester* requester = nullptr;           ///< of its own; null: the TAA can't be asked
    std::function<void(nanoseconds)> sleep{};      ///< between two looks at a successor's gate
};

/// Thread-safe. Changes of keys take turns.
class KeyDesk {
  public:
    explicit KeyDesk(KeyDeskParts parts) : parts_(std::move(parts)) {}

    /// For root and the user tsad runs as; JSON in and out; errors as base/net/outcome.h has them. Every body
    /// may have "why" and "by", which are recorded; where they are demanded it is said.
    ///   GET /keys                what the HSM has and what the archive says of it; while the token is locked
    ///   an error POST /keys/generate      {"label", "bits", "tsu"}: made in the HSM, recorded POST /keys/csr
    ///   {"label", "subject"}; {"pem"} POST /keys/import        {"label", "pem"}: the certificate, and what
    ///   is above it, after all checks POST /keys/rotate        {"label", "why", "by"}: this certified key
    ///   takes over its TSU, as soon as it is audited POST /keys/retire        {"label", "why", "by"}: its
    ///   TSU signs nothing until another key takes over POST /keys/destroy       {"label", "why", "by"}: asks
    ///   the custodians ({"proposal"}), or is done at once
    void add_routes(net::Router& router);
    /// Ends what waits for others; to be called before the listeners stop.
    void stop() { stopping_ = true; }

  private:
    struct Order;
    Result<std::string> list();
    Result<std::string> generate(const Order& order);
    Result<std::string> csr(const Order& order);
    Result<std::string> import(const Order& order);
    Result<std::string> rotate(const Order& order);
    Result<std::string> retire(const Order& order);
    Result<std::string> destroy(const Order& order);

    [[nodiscard]] const TsuSettings* settings_of(const std::string& tsu) const;
    Done audit(Tsu& successor, const std::string& why);
    /// Waits until what it signs at this moment has come to its end.
    void drain(const std::shared_ptr<Tsu>& tsu);
    Result<std::string> carry_out_destruction(const std::string& label, const KeyStep& step);

    KeyDeskParts parts_;
    std::mutex turn_;
    std::atomic<bool> stopping_{false};
};

}  // namespace kokuin::tsa
