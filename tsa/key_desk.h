// Where operators work with the keys of a running tsad: `tsactl key …` over its Unix socket.
#pragma once

#include <atomic>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/net/router.h"

#include "tac/clock/reading.h"
#include "tsa/config.h"
#include "tsa/housekeeper.h"
#include "tsa/hsms.h"
#include "tsa/key_life.h"
#include "tsa/tsus.h"

namespace kokuin::tsa {

/// What the desk works with; all of it must outlive it.
struct KeyDeskParts {
    const tac::clock::StampingClock& clock;
    Hsms& hsms;
    KeyLife& life;
    Tsus& tsus;
    const std::vector<TsuSettings>& settings;
    const std::vector<tsp::Policy>& policies;         ///< the default one first
    AuditRequester* requester = nullptr;              ///< of its own; null: the TAA can't be asked
    std::optional<CheckpointSettings> checkpoints{};  ///< the archive key, if there is one
    std::function<void(nanoseconds)> sleep{};         ///< between two looks at a successor's gate
};

/// Thread-safe. What makes or changes a key takes turns; what stops one waits for nobody.
class KeyDesk {
  public:
    explicit KeyDesk(KeyDeskParts parts) : parts_(std::move(parts)) {}

    /// For root and the user tsad runs as; JSON in and out; errors as base/net/outcome.h has them. "why" and
    /// "by" are recorded, with the custodians who have activated the token; what stands in brackets may be
    /// left out.
    /// - GET /keys: what the HSMs have and the archive says of it; that alone while a token can't be asked
    /// - POST /keys/generate {"label", "why", "by", ["type", "bits", "tsu", "hsm"]}: made in the HSM of this
    /// name (Hsms::find), or in its TSU's, RSA unless "type" is "Ed25519"; recorded
    /// - POST /keys/csr {"label", "subject", "why", "by"}: {"pem"}
    /// - POST /keys/import {"label", "pem", "why", "by"}: the certificate and what is above it, checked
    /// - POST /keys/rotate {"label", "why", "by"}: this certified key takes over, as soon as it is audited
    /// - POST /keys/retire {"label", "why", "by"}: its TSU signs nothing until another key takes over
    /// - POST /keys/compromise {"label", "why", "by"}: the same at once, whatever it was (KEY-6)
    /// - POST /keys/destroy {"label", "why", "by"}: asks the custodians ({"proposal"}), or is done at once
    /// A key that was made without records gets them when its certificate is imported.
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
    Result<std::string> compromise(const Order& order);
    Result<std::string> destroy(const Order& order);

    [[nodiscard]] const TsuSettings* settings_of(const std::string& tsu) const;
    /// The custodians who have activated the token of this key; empty where none have, or nobody knows.
    [[nodiscard]] std::string activated_by(const std::string& label) const;
    /// The HSM that has the key of this label, by its records; of one without records, whichever has it.
    [[nodiscard]] Result<Hsm*> hsm_of(const std::string& label) const;
    Done audit(Tsu& successor, const std::string& why);
    /// Closes the gate of whoever signs, or waits to sign, with this key, and waits until what is being
    /// signed has come to its end. True if there was one.
    bool close(const std::string& label, const std::string& why);
    Result<std::string> carry_out_destruction(const std::string& label, const KeyStep& step);

    KeyDeskParts parts_;
    std::mutex turn_;
    std::atomic<bool> stopping_{false};
};

}  // namespace kokuin::tsa
