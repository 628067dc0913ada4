// The TAA at work: everything between its settings and its threads.
#pragma once

#include <functional>
#include <optional>

#include "base/net/server.h"
#include "base/result.h"
#include "hsm/custody/activation.h"
#include "hsm/custody/approvals.h"
#include "hsm/token.h"
#include "store/archive.h"
#include "taa/admission.h"
#include "taa/auditor.h"
#include "taa/clock_watch.h"
#include "taa/config.h"
#include "taa/diary.h"
#include "taa/health.h"
#include "taa/issuer.h"
#include "taa/monthly_desk.h"
#include "taa/scheduler.h"
#include "taa/successors.h"
#include "taa/tsus.h"

namespace kokuin::taa {

/// The TAA's certificate and what is between it and the root. Warns in the log when it ends within a month
/// (TAA-5).
Result<std::vector<pki::Certificate>> load_chain(const Settings& settings, WallTime now);

/// Audits by schedule and on request those TSUs that are admitted, takes the operators' steps of admission,
/// makes the monthly reports, and logs what comes of it. Created, started and stopped by one thread.
class Service {
  public:
    /// What it works with; all of it outlives the service.
    struct Parts {
        store::Archive& archive;
        Admissions& admissions;
        Diary& diary;
        Clocks clocks;
        /// Reads the same clocks; used only where a reference is configured.
        const tac::clock::StampingClock& clock;
        /// Where custodians hold the PIN: they and the keys' commands come by the Unix socket. All of them,
        /// or none (null).
        hsm::custody::Activation* custody = nullptr;
        hsm::custody::Approvals* approvals = nullptr;
        hsm::Token* token = nullptr;
        /// Why no TAC may leave now, or nothing; as of Auditor.
        std::function<std::optional<std::string>()> held_back;
    };
    /// `on_doubt` is called, once or more, from any thread, when the archive has stopped for good
    /// (Archive::in_doubt): no TAC leaves any more and the process should end.
    Service(const Settings& settings, Issuer issuer, std::vector<AuditedTsu> tsus, Parts parts,
            std::function<void()> on_doubt);
    ~Service();
    Service(const Service&) = delete;
    Service& operator=(const Service&) = delete;

    /// Listens, records "taa.started", and audits every TSU at once; where a reference watches the TAA's own
    /// clock, once that is proved, or isn't after 20 s. The log names the TSUs that aren't served, and those
    /// whose review is overdue.
    Done start();
    /// Refuses requests from now on, lets audits that run come to their end, records "taa.stopped".
    /// Idempotent.
    void stop();
    /// Port of the channel listener.
    [[nodiscard]] std::uint16_t port() const { return server_.port(); }

  private:
    Ending audit(const std::string& name, bool requested);
    void note(const Report& report);
    Done show(const TsuSettings& tsu, View certificate);
    Done compromised(const TsuSettings& tsu, View certificate_sha256, const std::string& text);
    void remember(const AuditedTsu& tsu, const pki::Certificate& next, const Report& report);
    void follow(const std::string& name, const Sample& sample);
    void audit_all();

    const Settings settings_;
    const Issuer issuer_;
    const std::vector<AuditedTsu> tsus_;
    const Parts parts_;
    const std::function<void()> on_doubt_;
    const tac::clock::LeapFile leaps_;
    std::optional<ClockWatch> watch_;  // nothing where nobody watches the TAA's own clock

    Successors successors_;
    Health health_;
    Auditor auditor_;
    MonthlyDesk desk_;
    Scheduler scheduler_;
    net::Server server_;
    net::Server control_;
    bool started_ = false;
};

/// Writes the outcome of an audit to the log: good ones as info, what needs a person as warning or error.
void log(const Report& report);

}  // namespace kokuin::taa
