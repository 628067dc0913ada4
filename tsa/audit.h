// The TSU's side of the audit exchange (design section 3): answers with the clock, takes TACs and orders to
// stop.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "store/archive.h"
#include "tac/clock/reading.h"
#include "tac/exchange.h"
#include "tac/validate.h"
#include "tsa/follower.h"
#include "tsa/journal.h"
#include "tsa/refused_tacs.h"
#include "tsa/revocation_watch.h"
#include "tsa/tac_repository.h"
#include "tsa/tsus.h"

namespace kokuin::tsa {

/// The event that a TAC was taken back, since its TAA is revoked: subject the TSU; field tac (serial, hex).
inline constexpr std::string_view revoked_kind = "tac.revoked";
store::Event revoked_event(const std::string& tsu, const std::string& serial, const std::string& why);

/// What the audited side works with; all of it must outlive it.
struct AuditedParts {
    const tac::clock::StampingClock& clock;
    store::Archive& archive;  ///< read at start
    Journal& journal;
    RefusedTacs& refused;
    TacRepository& repository;  ///< is told of every TAC before it is in force
    Tsus& tsus;
    const tac::Rules& rules;
    pki::CrlFiles* crls = nullptr;          ///< null: nobody keeps any
    Follower* follower = nullptr;           ///< null: the clock doesn't follow the TAA
    RevocationWatch* revocation = nullptr;  ///< null: the lists in files alone tell
};

/// Answers a TAA whose channel certificate was checked already. Thread-safe.
class Audited {
  public:
    explicit Audited(AuditedParts parts) : parts_(std::move(parts)) {}

    /// POST /audit/clock: T2 and T3, remembered under the nonce. Error::usage: not such a request, an unknown
    /// TSU, or a nonce used before.
    Result<tac::ClockAnswer> read_clock(const tac::ClockRequest& request);

    /// PUT /audit/tac: judged (TAC-1), archived durably, and only then in force and answered. An order to
    /// stop holds from the next stamp on, even if it could not be archived: then the answer is an error, and
    /// the TAA delivers again. A refused TAC is archived too (RefusedTacs) and changes nothing.
    Result<tac::DeliveryVerdict> deliver(const tac::TacDelivery& delivery);

    /// POST /audit/notice: archived ("taa.notice") when it says something new, and shown in status until a
    /// TAC is accepted. It closes nothing. Error::usage: an unknown TSU.
    Result<tac::NoticeAnswer> take_notice(const tac::Notice& notice);

    /// At start: puts the last TAC or order to stop of each TSU back in force. A TAC is validated again, and
    /// only one of the same boot can still prove anything; what comes must be newer in any case. An order to
    /// stop always holds (design section 3).
    Done restore();

  private:
    [[nodiscard]] std::shared_ptr<const pki::Crls> crls() const;
    [[nodiscard]] Result<std::optional<store::Record>> last_accepted(const Tsu& tsu) const;
    Done restore(Tsu& tsu, const tac::Delivered& delivered, bool in_force);
    /// Why what was fetched calls a path revoked, as a function of the path; empty: nothing is fetched.
    [[nodiscard]] std::function<std::optional<std::string>(const std::vector<pki::Certificate>&)> fetched()
        const;
    void put_in_force(Tsu& tsu, const std::shared_ptr<const tac::AcceptedTac>& tac) const;
    [[nodiscard]] tac::Verdict judge(const Tsu& tsu, const tac::Delivered& delivered,
                                     const tac::clock::Reading& now) const;
    Result<tac::DeliveryVerdict> take(Tsu& tsu, const tac::Verdict& verdict, const Bytes& der);
    Result<tac::DeliveryVerdict> take(Tsu& tsu, const std::shared_ptr<const tac::AcceptedTac>& tac);
    Result<tac::DeliveryVerdict> take(Tsu& tsu, const tac::StopOrder& order);
    Result<tac::DeliveryVerdict> take(Tsu& tsu, const tac::Refusal& refusal, const Bytes& der);

    AuditedParts parts_;
    tac::ExchangeLog exchanges_;
};

}  // namespace kokuin::tsa
