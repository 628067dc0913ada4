// The TAA at work: everything between its settings and its threads.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>

#include "base/net/server.h"
#include "base/result.h"
#include "store/archive.h"
#include "taa/auditor.h"
#include "taa/config.h"
#include "taa/issuer.h"
#include "taa/monthly_desk.h"
#include "taa/own_clock.h"
#include "taa/scheduler.h"
#include "tac/clock/comparison.h"
#include "tac/clock/reference_watch.h"

namespace kokuin::taa {

/// The TSUs of the configuration with their certificates and clients. The error names the file and what is
/// wrong.
Result<std::vector<AuditedTsu>> load_tsus(const Settings& settings);

/// The TAA's certificate and what is between it and the root. Warns in the log when it ends within a month
/// (TAA-5).
Result<std::vector<pki::Certificate>> load_chain(const Settings& settings, WallTime now);

/// Audits by schedule and on request, makes the monthly reports, and logs what comes of it. Created, started
/// and stopped by one thread.
class Service {
  public:
    /// `archive` and `clocks` outlive the service. `on_doubt` is called, once or more, from any thread, when
    /// the archive has stopped for good (Archive::in_doubt): no TAC leaves any more and the process should
    /// end.
    /// `clock` reads the same clocks; used only where a reference is configured.
    Service(const Settings& settings, Issuer issuer, std::vector<AuditedTsu> tsus, store::Archive& archive,
            Clocks clocks, const tac::clock::StampingClock& clock, std::function<void()> on_doubt);
    ~Service();
    Service(const Service&) = delete;
    Service& operator=(const Service&) = delete;

    /// Records "taa.started", listens, and audits every TSU at once; where a reference watches the TAA's own
    /// clock, once that is proved, or isn't after 20 s.
    Done start();
    /// Refuses requests from now on, lets audits that run come to their end, records "taa.stopped".
    /// Idempotent.
    void stop();
    /// Port of the channel listener.
    [[nodiscard]] std::uint16_t port() const { return server_.port(); }

  private:
    Ending audit(const std::string& name, bool requested);
    void record(const char* kind, const std::string& text, const std::map<std::string, std::int64_t>& fields);
    [[nodiscard]] tac::clock::ReferenceWatch::Listener listener();
    void watch_own_clock();
    void record_comparison();

    const Issuer issuer_;
    const std::vector<AuditedTsu> tsus_;
    store::Archive& archive_;
    const Clocks clocks_;
    const std::function<void()> on_doubt_;
    const tac::clock::LeapFile leaps_;
    // The TAA's own clock (TAA-4); nothing where nobody watches it. Used by the watching thread.
    std::optional<OwnClock> own_;
    std::optional<tac::clock::ReferenceWatch> reference_;
    tac::clock::Comparison comparison_;
    std::optional<bool> own_proved_;  // as recorded last
    std::optional<MonoTime> patience_until_;
    bool auditing_ = false;

    Auditor auditor_;
    MonthlyDesk desk_;
    Scheduler scheduler_;
    net::Server server_;
    bool started_ = false;
};

/// Writes the outcome of an audit to the log: good ones as info, what needs a person as warning or error.
void log(const Report& report);

}  // namespace kokuin::taa
