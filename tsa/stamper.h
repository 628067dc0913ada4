// The stamping cycle (design section 4; docs/stamping-cycle.md has the numbered steps).
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "hsm/token.h"
#include "store/archive.h"
#include "tac/clock/reading.h"
#include "tsa/protocol/policy.h"
#include "tsa/protocol/request.h"
#include "tsa/refusals.h"
#include "tsa/tsu.h"

namespace kokuin::tsa {

/// What a stamper works with; all of it must outlive it.
struct StamperParts {
    const tac::clock::StampingClock& clock;
    hsm::Token& token;
    store::Archive& archive;
    std::vector<Tsu*> tsus;  ///< at least one
    Refusals& refusals;
};

/// Turns requests into responses. Thread-safe: one call a connection thread.
class Stamper {
  public:
    explicit Stamper(StamperParts parts) : parts_(std::move(parts)) {}

    /// Steps 2 to 9: a TimeStampResp (DER) for a TimeStampReq of any content. A granted one carries a token
    /// whose clock was proved, whose signature was checked, and that is durable in the archive; everything
    /// else is a rejection with a generic text, counted in Refusals and told in the log.
    Bytes respond(View request, const tsp::PolicyRules& rules);

    /// Tokens that went out since start. For metrics.
    [[nodiscard]] std::uint64_t granted() const { return granted_; }

    /// Why `policy` would get no token at this moment; empty if it would. For /readyz and status.
    [[nodiscard]] std::vector<std::string> obstacles(const tsp::Policy& policy) const;

  private:
    struct Refused {
        tsp::Rejection rejection;
        const char* cause;  // for Refusals: a fixed word
    };
    Result<Bytes, Refused> stamp(View der, const tsp::PolicyRules& rules);
    Result<Bytes, Refused> issue(Tsu& tsu, const tsp::Request& request, const tsp::Policy& policy,
                                 const tac::clock::Reading& reading, const tac::Open& open);

    StamperParts parts_;
    std::atomic<std::size_t> turn_{0};
    std::atomic<std::uint64_t> granted_{0};
};

}  // namespace kokuin::tsa
