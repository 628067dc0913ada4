// The audit exchange between a TAA (client) and a TSU (server): messages, measurement, and the TSU's record
// of what it answered (design section 3 "Audit exchange", TAA-1, TAA-3). No I/O: HTTP belongs to the
// programs.
//
//   POST /audit/clock    {"nonce": hex, "tsu": name}
//                     →  {"nonce": hex, "t2_ns": n, "t3_ns": n, "certificate_sha256": hex}
//   PUT  /audit/tac      {"nonce": hex, "tac": base64, "chain": [base64, …]}            chain may be left out
//                     →  {"verdict": "accepted"|"stop-accepted"|"refused", "reason": word, "text": sentence}
//   POST /audit/notice   {"tsu": name, "notice": "clock-unproved", "text": sentence}
//                     →  {"noted": true}
//   POST /audit/request  {"tsu": name, "why": text}                                     to the TAA
//                     →  {"accepted": bool, "retry_after_s": n}
//
// Times are ns since 1970-01-01T00:00:00Z as integers, up to the year 2229. Nonces: 16 to 64 octets in
// lower-case hex. A body is one JSON object of at most max_body octets; an unknown key, a missing one or
// another type is refused (both sides are ours, and a key that one side doesn't know is a misunderstanding
// about time).
#pragma once

#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "tac/clock/reading.h"

namespace kokuin::tac {

inline constexpr std::size_t max_body = 64U << 10U;
inline constexpr std::size_t min_nonce = 16;
inline constexpr std::size_t max_nonce = 64;
inline constexpr std::size_t max_name = 128;  ///< of a TSU, in octets
inline constexpr std::size_t max_chain = 8;   ///< certificates with a TAC

/// "Read your clock": answered with T2 and T3, which the TSU also remembers under the nonce.
struct ClockRequest {
    Bytes nonce;
    std::string tsu;
    /// SHA-256 of the certificate that is meant, where a successor waits to take over under the same name;
    /// empty: the one that signs.
    Bytes certificate_sha256{};
    static Result<ClockRequest> from_json(std::string_view body);
    [[nodiscard]] std::string to_json() const;
};
struct ClockAnswer {
    Bytes nonce;
    WallTime t2{};             ///< C when the request had arrived
    WallTime t3{};             ///< C when the answer left, T2 ≤ T3 unless the clock was stepped in between
    Bytes certificate_sha256;  ///< of the TSU's certificate: what the TAC's objectDigestInfo will be about
    static Result<ClockAnswer> from_json(std::string_view body);
    [[nodiscard]] std::string to_json() const;
};
/// The TAC, or the order to stop, with the nonce of the sample it rests on.
struct TacDelivery {
    Bytes nonce;
    Bytes tac;                 ///< DER
    std::vector<Bytes> chain;  ///< DER certificates: the TAA's and what is above it; may be empty
    static Result<TacDelivery> from_json(std::string_view body);
    [[nodiscard]] std::string to_json() const;
};
struct DeliveryVerdict {
    enum class Kind { accepted, stop_accepted, refused };
    Kind kind = Kind::refused;
    std::string reason;  ///< name(Reason) if refused, otherwise empty
    std::string text;    ///< for the logs of both
    static Result<DeliveryVerdict> from_json(std::string_view body);
    [[nodiscard]] std::string to_json() const;
};
/// The TAA says why there is no TAC. It changes nothing of what was delivered before: a TAC was true when it
/// was signed.
struct Notice {
    enum class Kind {
        clock_unproved,   ///< the TAA doesn't know its own clock to be within ±30 ms (TAA-4)
        key_compromised,  ///< a TSU tells its TAA: the key is, or may be, in other hands (KEY-6)
    };
    std::string tsu;
    Kind kind = Kind::clock_unproved;
    std::string text;            ///< for people
    Bytes certificate_sha256{};  ///< key_compromised: of which certificate (32 octets); otherwise empty
    static Result<Notice> from_json(std::string_view body);
    [[nodiscard]] std::string to_json() const;
};
/// "clock-unproved", "key-compromised".
std::string_view name(Notice::Kind kind);
struct NoticeAnswer {
    static Result<NoticeAnswer> from_json(std::string_view body);
    [[nodiscard]] std::string to_json() const;
};
/// A TSU asks for an audit (TAC-9).
struct AuditRequest {
    std::string tsu;
    std::string why;  ///< at most 256 octets
    /// DER of the certificate of a successor that is to be audited before it takes over; empty: of the one
    /// that signs.
    Bytes certificate{};
    static Result<AuditRequest> from_json(std::string_view body);
    [[nodiscard]] std::string to_json() const;
};
struct AuditAnswer {
    bool accepted = false;
    seconds retry_after{0};  ///< when asking again makes sense; 0…86400
    static Result<AuditAnswer> from_json(std::string_view body);
    [[nodiscard]] std::string to_json() const;
};

/// What one sample says. T1, T4 by the TAA's clock, T2, T3 by the TSU's.
struct Measurement {
    WallTime at{};  ///< middle of T1 and T4: this must become ntpTime, the TSU checks the TAC against it
    nanoseconds offset{0};  ///< ((T2−T1)+(T3−T4))/2 = TSU − TAA, + = TSU ahead
    nanoseconds delay{0};   ///< (T4−T1)−(T3−T2), the network's part, there and back
};
Measurement measure(WallTime t1, WallTime t2, WallTime t3, WallTime t4);
/// Index of the sample with the least delay among those whose delay isn't negative (which only a clock
/// stepped meanwhile makes); nothing if there is none.
std::optional<std::size_t> best(const std::vector<Measurement>& samples);

/// What the TSU keeps of a clock request it answered.
struct Exchange {
    Bytes nonce;
    std::string tsu;
    clock::Reading received{};  ///< T2, C₀ and M₀
    clock::Reading sent{};      ///< T3
    std::string boot_id;
};

/// The TSU's record of answered clock requests, for all TSUs of a server. Thread-safe. Bounded: the oldest
/// goes when `capacity` is reached, and after `lifetime` by M an exchange no longer counts.
class ExchangeLog {
  public:
    explicit ExchangeLog(std::size_t capacity = 1024, nanoseconds lifetime = std::chrono::minutes(5))
        : capacity_(capacity), lifetime_(lifetime) {}
    /// False if the nonce is here already: a nonce used twice is no nonce, and the caller refuses the
    /// request.
    [[nodiscard]] bool record(Exchange exchange);
    /// Hands out the exchange with this nonce, once; nothing if there is none, or it is older than the
    /// lifetime.
    std::optional<Exchange> take(View nonce, MonoTime now);
    [[nodiscard]] std::size_t size() const;

  private:
    mutable std::mutex mutex_;
    std::deque<Exchange> exchanges_;
    std::size_t capacity_;
    nanoseconds lifetime_;
};

}  // namespace kokuin::tac
