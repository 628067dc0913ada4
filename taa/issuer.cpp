#include "taa/issuer.h"

#include <botan/x509cert.h>

#include <chrono>
#include <utility>

namespace kokuin::taa {
namespace {

constexpr unsigned least_bits = 2048;
constexpr std::size_t serial_octets = 16;

// RFC 5280 4.2.1.2: the identifier in the certificate, or its method (1) where there is none.
Bytes key_identifier(const pki::Certificate& certificate) {
    auto identifier = certificate.botan().subject_key_id();
    if (!identifier.empty()) return {identifier.begin(), identifier.end()};
    const auto& bits = certificate.botan().subject_public_key_bitstring();
    return pki::digest(pki::Hash::sha1, View(bits.data(), bits.size()));
}

Bytes fresh_serial() {
    auto serial = random_octets(serial_octets);
    // Positive in two's complement, and never shorter than 16 octets: the first one is 40…7f.
    serial.front() = static_cast<std::uint8_t>((serial.front() & 0x3fU) | 0x40U);
    return serial;
}

}  // namespace

Judgement judge(const tac::Measurement& measurement, const AuditRules& rules) {
    return std::chrono::abs(measurement.offset) <= rules.max_offset ? Judgement::good : Judgement::stop;
}

Issuer::Issuer(std::vector<pki::Certificate> chain, pki::PublicKey key, pki::Hash signature, Sign sign)
    : chain_(std::move(chain)),
      key_(std::move(key)),
      signature_(signature),
      sign_(std::move(sign)),
      authority_key_{key_identifier(chain_.front()), chain_.front().issuer_der(), chain_.front().serial()} {}

Result<Issuer> Issuer::make(std::vector<pki::Certificate> chain, pki::Hash signature, Sign sign) {
    if (chain.empty()) return Error::usage("the TAA has no certificate; name it in [taa] certificate");
    const auto& own = chain.front();
    auto key = pki::PublicKey::from_certificate(own);
    if (!key) return std::move(key).error().in("the TAA's certificate " + own.subject_text());
    if (key->bits() < least_bits)
        return Error::usage("the TAA's certificate " + own.subject_text() + " has a key of " +
                            std::to_string(key->bits()) + " bits; RSA of 2048 bits or more is needed");
    if (own.botan().is_CA_cert())
        return Error::usage("the first certificate of [taa] certificate, " + own.subject_text() +
                            ", is a CA's; put the TAA's own certificate first");
    return Issuer(std::move(chain), std::move(*key), signature, std::move(sign));
}

tac::Tac Issuer::describe(const pki::Certificate& holder, const tac::Measurement& measurement,
                          const AuditRules& rules, const std::vector<tac::clock::LeapSecond>& leaps,
                          View serial) const {
    tac::Tac tac;
    tac.holder_name = holder.subject_der();
    tac.digest_algorithm = tac::plain(signature_);
    tac.holder_digest = holder.digest(signature_);
    tac.issuer_name = certificate().subject_der();
    tac.signature_algorithm = tac::rsa_with(signature_);
    tac.serial = Bytes(serial.begin(), serial.end());
    // Towards 0, so that rounding alone never puts a good offset beyond its limit; the delay up, because half
    // of it is the uncertainty the TSU reckons with.
    tac.offset = std::chrono::duration_cast<microseconds>(measurement.offset);
    tac.delay = std::chrono::ceil<microseconds>(measurement.delay);
    const bool good = judge(measurement, rules) == Judgement::good;
    tac::set_validity(tac, measurement.at, good ? rules.validity : nanoseconds(0));
    tac.policies = {rules.policy};
    tac.max_offset = std::chrono::duration_cast<microseconds>(rules.max_offset);
    tac.max_delay = std::chrono::duration_cast<microseconds>(rules.max_delay);
    tac.authority_key = authority_key_;
    tac.no_rev_avail = true;
    tac.leap_events = leaps;
    return tac;
}

Result<Issued> Issuer::issue(const pki::Certificate& holder, const tac::Measurement& measurement,
                             const AuditRules& rules,
                             const std::vector<tac::clock::LeapSecond>& leaps) const {
    if (!certificate().valid_at(measurement.at))
        return Error::environment("the TAA's certificate is valid from " +
                                  to_rfc3339(certificate().not_before(), 0) + " until " +
                                  to_rfc3339(certificate().not_after(), 0) +
                                  ", not now; renew it (taad key csr) or mend the clock");
    Issued issued;
    issued.judgement = judge(measurement, rules);
    issued.tac = describe(holder, measurement, rules, leaps, fresh_serial());
    auto info = tac::encode_info(issued.tac);
    if (!info) return std::move(info).error().in("TAC");
    auto signature = sign_(signature_, *info);
    if (!signature) return std::move(signature).error();
    // A wrong key, a failing HSM or a fault in memory must not leave the house as a TAC.
    if (!key_.verify(signature_, *info, *signature))
        return Error::environment(
            "the signature made in the HSM doesn't verify under the TAA's certificate; is [taa] key the key "
            "of [taa] "
            "certificate?");
    issued.der = tac::assemble(*info, issued.tac.signature_algorithm, *signature);
    issued.serial = tac::serial_hex(issued.tac.serial);
    return issued;
}

}  // namespace kokuin::taa
