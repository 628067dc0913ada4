// What tsad does beside answering: archives refusals (of requests per minute, of TACs per hour), records the
// openings and closings of gates, TACs whose TAA and TSUs whose certificate is revoked, certificates of which
// nobody knows that any more, rates that were learnt or forgotten, and leap seconds ahead, as it sees them
// once a second, and asks the TAA for an audit before a gate closes (TAC-9).
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/net/client.h"
#include "base/ticker.h"
#include "hsm/custody/keeper.h"
#include "tac/clock/reading.h"
#include "tac/exchange.h"
#include "tsa/config.h"
#include "tsa/journal.h"
#include "tsa/key_watch.h"
#include "tsa/leaps.h"
#include "tsa/refusals.h"
#include "tsa/refused_tacs.h"
#include "tsa/revocation_watch.h"
#include "tsa/tsus.h"

namespace kokuin::tsa {

/// Asks a TAA for audits over the mutually authenticated channel. One thread at a time.
class AuditRequester {
  public:
    /// `audit` holds our channel certificate and the TAA's name, `at` is where the TAA listens. The error
    /// names the file that is wrong.
    static Result<std::unique_ptr<AuditRequester>> make(const AuditSettings& audit,
                                                        const config::Endpoint& at);
    /// POST /audit/request; bounded in time. `successor`: DER of the certificate to be audited, where it
    /// isn't the one that signs. Error (no): the TAA doesn't serve this TSU; (environment): no answer, or
    /// none that can be read.
    Result<tac::AuditAnswer> ask(const std::string& tsu, const std::string& why, View successor = {});
    /// POST /audit/notice: the key of this certificate (SHA-256) is compromised (KEY-6). Done: the TAA has
    /// recorded it. Error (no): it doesn't take it; (environment): no answer.
    Done tell_compromised(const std::string& tsu, View certificate_sha256, const std::string& text);

  private:
    explicit AuditRequester(net::Client client) : client_(std::move(client)) {}
    Result<net::Response> post(const std::string& path, const std::string& json);
    net::Client client_;
};

/// What the housekeeper works with; all of it must outlive it.
struct HousekeeperParts {
    const tac::clock::StampingClock& clock;
    Journal& journal;
    Tsus& tsus;
    KeyWatch& keys;
    KeyLife& life;
    const std::vector<tsp::Policy>& policies;  ///< the default one first
    Refusals& refusals;
    RefusedTacs& refused;
    Leaps& leaps;
    pki::CrlFiles* crls = nullptr;                 ///< null: nobody keeps any
    AuditRequester* requester = nullptr;           ///< null: the TAA comes by its own schedule only
    const hsm::custody::Keeper* keeper = nullptr;  ///< null: there is none
    nanoseconds request_before{};
    RevocationWatch* revocation = nullptr;  ///< null: the files alone tell
    /// From the configured TAA's certificate to its root: looked after before the first TAC comes.
    std::vector<pki::Certificate> taa_path{};
};

class Housekeeper {
  public:
    explicit Housekeeper(HousekeeperParts parts)
        : parts_(std::move(parts)), wanted_(wanted_by(parts_.policies)) {}
    ~Housekeeper() { stop(); }
    Housekeeper(const Housekeeper&) = delete;
    Housekeeper& operator=(const Housekeeper&) = delete;

    /// Looks after everything once a second on a thread of its own, until stop().
    void start();
    /// Archives what is left and ends the thread. Idempotent.
    void stop();
    /// One look after everything. Not at the same time as start().
    void tick();
    /// The part of it that must be done before the first token: a revoked TSU, or TAA, closes its gate.
    void watch_revocation();

  private:
    void watch_troubles(const tac::clock::Reading& now);
    void watch_keeper();
    void watch_key(Tsu& tsu);
    void watch_taa(Tsu& tsu);
    /// Certificates of which nobody knows whether they are revoked: by digest, with why.
    using Unknown = std::map<std::string, std::string>;
    void watch_unknown(Tsu& tsu, Unknown& unknown);
    void note_unknown(Unknown unknown);
    /// Policies that want the same of the clock have one gate.
    struct Wanted {
        tac::Demand demand;
        std::string policies;  ///< "a2, g"
    };
    static std::vector<Wanted> wanted_by(const std::vector<tsp::Policy>& policies);

    void watch_gate(Tsu& tsu, const Wanted& wanted, const tac::clock::Reading& now);
    void watch_rates(Tsu& tsu, const tac::clock::Reading& now);
    /// Why a new TAC is wanted; nothing: none would help, or none is needed yet.
    [[nodiscard]] std::optional<std::string> why_audit(const Tsu& tsu, const tac::clock::Reading& now) const;
    void note_refusal(Tsu& tsu, const std::string& text);
    void ask_for_audit(Tsu& tsu, const tac::clock::Reading& now);
    void tell_of_compromises(const tac::clock::Reading& now);
    void flush_refusals();

    HousekeeperParts parts_;
    const std::vector<Wanted> wanted_;
    std::map<std::string, std::string> gates_;  // TSU and policies → cause if closed, empty while open
    std::map<std::string, bool> calibrated_;    // TSU and source → whether the rate of M is learnt
    std::map<std::string, MonoTime>
        tell_not_before_;  // certificate → when the TAA is told again of its compromise
    std::map<std::string, MonoTime> ask_not_before_;  // TSU → when the next request makes sense
    std::set<std::string> troubles_;                  // with CRLs, as they are now
    std::optional<MonoTime> flushed_;
    Unknown unknown_;  // as it was recorded last
    bool keeper_gone_ = false;
    bool stopped_ = false;
    Ticker ticker_{seconds(1), [this] { tick(); }};
};

}  // namespace kokuin::tsa
