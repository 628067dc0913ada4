// The stamping cycle (design section 4; docs/stamping-cycle.md has the numbered steps).
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "checkpoint/checkpointer.h"
#include "hsm/token.h"
#include "store/archive.h"
#include "tac/clock/reading.h"
#include "tsa/programs.h"
#include "tsa/protocol/policy.h"
#include "tsa/protocol/request.h"
#include "tsa/refusals.h"
#include "tsa/tsus.h"

namespace kokuin::tsa {

/// What a stamper works with; all of it must outlive it.
struct StamperParts {
    const tac::clock::StampingClock& clock;
    store::Archive& archive;
    Tsus& tsus;
    Refusals& refusals;
    const checkpoint::Checkpointer* checkpoints = nullptr;  ///< null: nobody signs any
    const Programs* programs = nullptr;                     ///< null: nobody looks at them
};

/// Turns requests into responses. Thread-safe.
class Stamper {
  public:
    explicit Stamper(StamperParts parts) : parts_(std::move(parts)) {}

    /// Takes a TimeStampResp (DER); called exactly once, must return soon.
    using Answer = std::function<void(Bytes)>;
    /// Steps 2 to 9: a TimeStampResp for a TimeStampReq of any content. A granted one carries a token whose
    /// clock was proved, whose signature was checked, and that is durable in the archive; everything else is
    /// a rejection with a generic text, counted in Refusals and told in the log.
    ///
    /// Returns when the token is signed and on its way into the archive: `answer` is called on the archive's
    /// thread once it is there, so that no thread of the caller's waits for the disk. Rejections that need no
    /// record are answered before it returns. `rules` isn't kept.
    void respond(View request, const tsp::PolicyRules& rules, Answer answer);

    /// Tokens that went out since start. For metrics.
    [[nodiscard]] std::uint64_t granted() const { return granted_; }

    /// Why `policy` would get no token at this moment; empty if it would. For /readyz and status.
    [[nodiscard]] std::vector<std::string> obstacles(const tsp::Policy& policy) const;

  private:
    struct Refused {
        tsp::Rejection rejection;
        const char* cause;  // for Refusals: a fixed word
    };
    static Refused failure(const char* cause, std::string detail);
    /// What stops every token, whichever TSU would make it; looked at before one is signed and before it
    /// leaves.
    [[nodiscard]] std::optional<Refused> stopped() const;
    static Refused refused_by(const tac::Closed& closed);

    // A list of a running server's TSUs, in the order in which a request tries them.
    [[nodiscard]] Tsus::List by_turn();

    struct Signed;  // what step 9 needs of the steps before
    Result<std::shared_ptr<Signed>, Refused> sign(View der, const tsp::PolicyRules& rules);
    Result<std::shared_ptr<Signed>, Refused> sign(Tsu::Work work, const tsp::Request& request,
                                                  const tsp::Policy& policy,
                                                  const tac::clock::Reading& reading, tac::Open open);
    Result<Bytes, Refused> release(const Signed& made, const Result<store::RecordNumber>& number);
    Bytes answer_of(const Result<Bytes, Refused>& outcome);

    StamperParts parts_;
    std::atomic<std::size_t> turn_{0};
    std::atomic<std::uint64_t> granted_{0};
};

}  // namespace kokuin::tsa
