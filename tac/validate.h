// Validation of a TAC the moment it arrives (TAC-1), in the order of Reason. Pure and thread-safe.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "pki/certificate.h"
#include "pki/revocation.h"
#include "tac/clock/bound.h"
#include "tac/exchange.h"
#include "tac/tac.h"

namespace kokuin::tac {

/// Every way a TAC can fail, in the order in which it is judged; the first one met is told.
enum class Reason {
    malformed,    ///< not the ASN.1 of the profile
    algorithm,    ///< a hash or key too weak, or the inner and the outer algorithm differ
    signature,    ///< doesn't verify under the TAA's key
    chain,        ///< no certificate of an accepted TAA, or no path from it to an anchor valid at ntpTime
    revoked,      ///< a certificate of that path, other than the anchor, is revoked: no TAC of it is believed
    holder_name,  ///< entityName isn't the subject of the TSU's certificate
    holder_digest,  ///< objectDigestInfo isn't the digest of the TSU's certificate
    unknown_nonce,  ///< no record of an exchange under the nonce it was delivered with
    restarted,      ///< the machine was booted or suspended since that exchange
    replay,  ///< not newer than the last one taken (ntpTime, exchange), or its serial again: ignored and
             ///< recorded
    // Here an order to stop is recognised: it needs nothing of what follows.
    profile,        ///< ntpTime/expiration and the validity period disagree, or an unknown critical extension
    policy,         ///< none of its policies is accepted
    future,         ///< audited later than now
    window,         ///< not valid any more, or not yet; or measured around a leap second that it announces
    offset,         ///< beyond what we accept for its policy
    delay,          ///< network delay beyond what we accept
    contradiction,  ///< says something else about our clock than our own record of the exchange
};
/// One word for logs, events, metrics and DeliveryVerdict::reason: "holder-name", "unknown-nonce", …
std::string_view name(Reason reason);

/// What we accept under one policy OID. Both inclusive, on the measured value.
struct Limits {
    microseconds max_offset{0};
    microseconds max_delay = milliseconds(100);
};
/// The time audit policies of the Seiko policy (1.2.2): ±500 ms and ±1 s.
inline constexpr std::string_view half_second_policy = "1.3.6.1.4.1.955.1.18.1.1";
inline constexpr std::string_view one_second_policy = "1.3.6.1.4.1.955.1.18.1.2";
/// TAC-3: the limits of these two; delay 100 ms.
std::map<std::string, Limits> builtin_policies();

/// What is trusted and accepted, from the configuration. Immutable while in use.
struct Rules {
    std::vector<pki::Certificate> anchors;        ///< roots of the TAA's chain
    std::vector<pki::Certificate> intermediates;  ///< the TAA's own certificate and those between; may be
                                                  ///< empty if the TAA delivers them with its TACs
    /// Subjects (DER Names) of the TAAs whose TACs are taken. Empty: any certificate under the anchors that
    /// isn't a CA, isn't the TSU's, and wasn't made for something else (extended key usage for time-stamping,
    /// TLS, code, mail or OCSP). Name them where other parties have certificates under the same anchor.
    std::vector<Bytes> authorities;
    std::map<std::string, Limits> policies = builtin_policies();
    bool accept_weak = false;                  ///< SHA-1, and RSA keys from 1024 bits: foreign TAAs only
    bool offset_is_taa_minus_tsu = false;      ///< a foreign TAA that writes the sign the other way round
    nanoseconds taa_bound = milliseconds(30);  ///< how far the TAA's own clock may be off (TAA-4)
};

/// One field of an archive event.
using Field = std::variant<std::string, std::int64_t, Bytes>;
using Fields = std::map<std::string, Field>;

/// A TAC as it was delivered, with our side of the story. It can be kept (in an archive event) and validated
/// again after a restart of the server in the same boot.
struct Delivered {
    Bytes tac;                         ///< DER
    std::vector<Bytes> chain;          ///< DER certificates that came with it
    std::optional<Exchange> exchange;  ///< ExchangeLog::take(nonce)

    /// Keys: tac, chain_0…, nonce, tsu, boot_id, and for the readings t2 and t3 each _before_ns, _wall_ns,
    /// _after_ns, _asleep_low_ns, _asleep_high_ns. Other keys may be added beside them. Needs an exchange.
    [[nodiscard]] Fields to_fields() const;
    /// Reads what to_fields() wrote; keys it doesn't know are ignored.
    static Result<Delivered> from_fields(const Fields& fields);
};

/// A TAC that passed everything. Immutable, shared by the gate, the tokens in work and the archive.
struct AcceptedTac {
    Delivered delivered;
    SignedTac value;
    std::string serial;        ///< serial_hex
    std::string policy;        ///< the accepted policy with the strictest limits
    nanoseconds offset{0};     ///< TSU − TAA, whatever way the TAA writes it
    clock::Evidence evidence;  ///< about our clock
    WallTime
        valid_from{};  ///< by C: start of its validity, less the largest offset accepted (C may be behind)
    WallTime valid_until{};  ///< by C, inclusive: its expiration (notAfter is the same, cut to seconds)
    MonoTime deadline{};     ///< by M, inclusive: its life after the exchange, less 50 ppm of it
    /// The TAA's certificate that verifies it, then those between, then the anchor.
    std::vector<pki::Certificate> path;
};

/// An order to stop (TAC-4): zero life, or an offset beyond maxOffset.
struct StopOrder {
    Bytes tac;  ///< DER
    std::string serial;
    WallTime ntp_time{};
    nanoseconds offset{0};  ///< TSU − TAA
    std::string text;       ///< why, one line
    /// Our own record of the exchange it belongs to: when we were told, whatever time the TAA believed it to
    /// be.
    clock::Reading received{};
    std::string boot_id;

    /// Keys: tac, offset_ns, text, boot_id, and t2_… as in Delivered. It is restored without being judged
    /// again: an order holds across restarts and boots.
    [[nodiscard]] Fields to_fields() const;
    static Result<StopOrder> from_fields(const Fields& fields);
};

struct Refusal {
    Reason reason = Reason::malformed;
    std::string text;  ///< what, where: for log and event
};

using Verdict = std::variant<std::shared_ptr<const AcceptedTac>, StopOrder, Refusal>;

/// What a new TAC must be newer than: the last one accepted, or the order to stop that came after it.
struct LastTac {
    /// By the TAA's clock. Of an order to stop, our clock's time of the exchange if that is earlier: an order
    /// from a TAA whose clock is ahead must not shut out the right ones until that time has come.
    WallTime ntp_time{};
    std::string serial;
    /// Its exchange: another one of the same boot must have taken place later by M. Nothing where that isn't
    /// known (taken in an earlier run, long ago).
    std::optional<MonoTime> exchanged{};
    std::string boot_id{};
};
/// Why a TAC of this time, serial and exchange isn't newer than `last`; empty if it is.
std::string not_newer(const LastTac& last, WallTime ntp_time, const std::string& serial,
                      const clock::Reading& received, const std::string& boot_id);

/// The TSU's side at this moment.
struct Situation {
    pki::Certificate tsu;
    std::optional<LastTac> last;  ///< Gate::last(); nothing when a kept TAC is validated again at start
    clock::Reading now{};
    std::string boot_id;
    /// The newest lists at hand; null: nobody keeps any. Whenever a list says that a certificate was revoked,
    /// what comes now isn't believed: whoever has a stolen key chooses the time he writes.
    std::shared_ptr<const pki::Crls> crls{};
    /// What else is known of a path's revocation: why it is revoked, or nothing. Empty: nothing else is.
    std::function<std::optional<std::string>(const std::vector<pki::Certificate>&)> revoked{};
};

/// Judges a delivered TAC. Never throws for what the TAC holds. The evidence of an accepted one: error =
/// offset, uncertainty = delay/2 + the TAA's bound (+ what C moved against M between T2 and T3, + what the
/// TAC differs in from our own record of the exchange, + 1 µs for rounding).
Verdict validate(const Delivered& delivered, const Rules& rules, const Situation& situation);

/// Judges a TAC that stands in a token, as a verifier can who has nothing else: algorithms, signature, chain,
/// holder (the token's signer), no order to stop, profile, policy, offset and delay within the policy's
/// limits and those that the TAC states, and genTime inside its validity (less the offset it allows: C may be
/// behind). If `rules` names no policies, those of builtin_policies() have their limits, and any other one
/// will do if the TAC states how large the offset may be (Reason::offset if it doesn't). Nothing if all hold.
/// Pure and thread-safe.
std::optional<Refusal> judge_embedded(View tac, const Rules& rules, const pki::Certificate& signer,
                                      WallTime gen_time);

}  // namespace kokuin::tac
