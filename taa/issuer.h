// What the TAA signs: TACs and orders to stop.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "pki/certificate.h"
#include "pki/hash.h"
#include "pki/public_key.h"
#include "taa/config.h"
#include "tac/exchange.h"
#include "tac/tac.h"

namespace kokuin::taa {

/// What an audit says about a clock (TAA-2).
enum class Judgement {
    good,  ///< |offset| ≤ max_offset, inclusive
    stop,  ///< beyond: the TAC is an order to stop, its life is 0
};
Judgement judge(const tac::Measurement& measurement, const AuditRules& rules);

/// Signs in the HSM: RSA PKCS#1 v1.5 with this hash. Callable from many threads.
using Sign = std::function<Result<Bytes>(pki::Hash, View message)>;

/// A TAC that may leave: signed, and its signature checked.
struct Issued {
    Bytes der;
    std::string serial;  ///< tac::serial_hex
    tac::Tac tac;
    Judgement judgement = Judgement::good;
};

/// One TAA key and its certificate. Immutable, thread-safe as far as `sign` is.
class Issuer {
  public:
    /// `chain`: the TAA's certificate, then what is between it and the root; not empty. `signature`: SHA-256
    /// or SHA-512. Error (usage) if the key isn't RSA of 2048 bits or more, or the certificate may not sign.
    static Result<Issuer> make(std::vector<pki::Certificate> chain, pki::Hash signature, Sign sign);

    /// The TAC's value, field by field (TAC-7, Seiko policy 8): holder by name and digest of the whole
    /// certificate (with the hash that signs), issuer, AKI and noRevAvail; ntpTime = the measurement's
    /// moment, offset rounded towards 0 and delay rounded up to whole µs; life 0 for an order to stop;
    /// the leap seconds to be announced (TAA-9).
    /// `serial`: magnitude, positive. Pure.
    [[nodiscard]] tac::Tac describe(const pki::Certificate& holder, const tac::Measurement& measurement,
                                    const AuditRules& rules, const std::vector<tac::clock::LeapSecond>& leaps,
                                    View serial) const;

    /// Describes with a fresh random serial of 127 bits, encodes, signs, and checks the signature under the
    /// TAA's own certificate before anybody sees it. Error (environment): the HSM failed, its key isn't the
    /// certificate's, or the TAA's certificate isn't valid at the measurement's moment.
    [[nodiscard]] Result<Issued> issue(const pki::Certificate& holder, const tac::Measurement& measurement,
                                       const AuditRules& rules,
                                       const std::vector<tac::clock::LeapSecond>& leaps = {}) const;

    [[nodiscard]] const pki::Certificate& certificate() const { return chain_.front(); }
    [[nodiscard]] const std::vector<pki::Certificate>& chain() const { return chain_; }

  private:
    Issuer(std::vector<pki::Certificate> chain, pki::PublicKey key, pki::Hash signature, Sign sign);

    std::vector<pki::Certificate> chain_;
    pki::PublicKey key_;
    pki::Hash signature_;
    Sign sign_;
    tac::AuthorityKey authority_key_;
};

}  // namespace kokuin::taa
