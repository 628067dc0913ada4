// The TAA's end of the audit channel to one TSU: the exchange of design section 3 over HTTPS with both
// certificates checked (TAA-3).
#pragma once

#include <optional>
#include <string>

#include "base/net/client.h"
#include "base/result.h"
#include "base/time.h"
#include "taa/config.h"
#include "tac/exchange.h"

namespace kokuin::taa {

/// The TAA's clocks. They outlive all that holds them.
struct Clocks {
    const WallClock& wall;
    const MonoClock& mono;
};

/// One reading of a TSU's clock.
struct Sample {
    Bytes nonce;
    WallTime t1{};  ///< before the request left, by the TAA's wall clock
    WallTime t2{};  ///< the TSU's two readings
    WallTime t3{};
    /// T1 + what the monotonic clock counted until the answer was there: a wall clock that is slewed
    /// meanwhile doesn't change the delay. (One that is stepped voids the sample.)
    WallTime t4{};
    Bytes certificate_sha256;  ///< of the certificate the TSU says it signs with
    tac::Measurement measurement;
};

/// Why there is no sample.
struct NoSample {
    enum class Kind {
        unreachable,  ///< no connection, wrong certificate, no answer in time
        bad_answer,   ///< an answer that says nothing: status, body, nonce, impossible times
        /// The TAA's own wall clock was stepped meanwhile, or the TSU took too long between T2 and T3: take
        /// another one.
        disturbed,
    };
    Kind kind = Kind::unreachable;
    std::string text;
};

/// A connection to the audit listener of one TSU. For one thread.
class Channel {
  public:
    /// Connects; the error says why not.
    static Result<Channel> open(const net::Client& client, nanoseconds deadline);

    /// POST /audit/clock with a fresh nonce of 32 octets.
    Result<Sample, NoSample> sample(const std::string& called, const Clocks& clocks, View certificate_sha256);

    /// PUT /audit/tac. Error (environment): no answer, or none that is a verdict. The TSU may have the TAC
    /// then.
    Result<tac::DeliveryVerdict> deliver(const tac::TacDelivery& delivery);

    /// POST /audit/notice. Error (environment): it wasn't noted; a TSU of another make may not know notices.
    Done notify(const tac::Notice& notice);

    /// The certificate the TSU showed.
    [[nodiscard]] std::shared_ptr<const net::PeerCertificate> peer() const { return connection_.peer(); }

  private:
    Channel(net::Connection connection, net::Client client, nanoseconds deadline)
        : connection_(std::move(connection)), client_(std::move(client)), deadline_(deadline) {}

    net::Connection connection_;
    net::Client client_;
    nanoseconds deadline_;
};

/// How long a TSU may take between T2 and T3. By as much as it says so falsely it makes the delay less than
/// it was, and half of that is an error which nobody counts. An honest one needs microseconds.
inline constexpr nanoseconds longest_answer = milliseconds(1);

/// Makes a sample of what was read, or says why it is none. Pure. `elapsed`: by the monotonic clock, between
/// just before `t1` and just after `t4_wall` were read.
Result<Sample, NoSample> judge_sample(const tac::ClockRequest& request, const tac::ClockAnswer& answer,
                                      WallTime t1, WallTime t4_wall, nanoseconds elapsed);

}  // namespace kokuin::taa
