#include "tac/explain.h"

#include <cstdlib>

#include "base/bytes.h"
#include "base/text.h"
#include "pki/certificate.h"

namespace kokuin::tac {
namespace {

std::string seconds_text(std::int64_t us) {
    // "12.345 ms" is what people compare with; above a second they think in seconds.
    const std::int64_t size = std::abs(us);
    const std::int64_t unit = size < 1'000'000 ? 1000 : 1'000'000;
    std::string fraction = std::to_string(size % unit);
    fraction.insert(0, (unit == 1000 ? 3 : 6) - fraction.size(), '0');
    return (us < 0 ? "-" : "") + std::to_string(size / unit) + "." + fraction + (unit == 1000 ? " ms" : " s");
}

std::string hash_text(const std::string& oid) {
    if (const auto hash = pki::hash_from_oid(oid)) return std::string(pki::name(*hash));
    return oid;
}
std::string signature_text(const std::string& oid) {
    if (const auto hash = pki::hash_from_rsa_signature_oid(oid))
        return std::string(pki::name(*hash)) + "WithRSA";
    return oid;
}

std::vector<std::string> remarks(const Tac& tac) {
    std::vector<std::string> list;
    const auto weak = [](std::optional<pki::Hash> hash) { return !hash || *hash == pki::Hash::sha1; };
    if (weak(pki::hash_from_rsa_signature_oid(tac.signature_algorithm.oid)))
        list.emplace_back("The signature algorithm is weaker than SHA-256 with RSA, or unknown.");
    if (weak(pki::hash_from_oid(tac.digest_algorithm.oid)))
        list.emplace_back("The holder's certificate is named by a digest weaker than SHA-256, or unknown.");
    const bool zero_life = tac.not_before == tac.not_after || tac.ntp_time == tac.expiration;
    if (zero_life) list.emplace_back("It has no life at all: an order to stop.");
    if (tac.max_offset && std::chrono::abs(tac.offset) > *tac.max_offset)
        list.emplace_back("The offset is beyond maxOffset: an order to stop.");
    if (tac.max_delay && tac.delay > *tac.max_delay) list.emplace_back("The delay is beyond maxDelay.");
    if (std::chrono::abs(tac.not_before - tac.ntp_time) >= seconds(1) ||
        std::chrono::abs(tac.not_after - tac.expiration) >= seconds(1))
        list.emplace_back("The validity period and ntpTime/expiration disagree.");
    if (!tac.authority_key) list.emplace_back("authorityKeyIdentifier is missing.");
    if (!tac.no_rev_avail) list.emplace_back("noRevAvail is missing.");
    if (tac.serial.empty() || tac.serial[0] >= 0x80) list.emplace_back("The serial number is negative.");
    for (const auto& oid : tac.unknown_critical) list.push_back("Unknown critical extension " + oid + ".");
    return list;
}

}  // namespace

Explanation explain(const Tac& tac) {
    Explanation e;
    e.serial = serial_hex(tac.serial);
    e.holder = pki::name_text(tac.holder_name);
    e.issuer = pki::name_text(tac.issuer_name);
    e.not_before = to_rfc3339(tac.not_before, 0);
    e.not_after = to_rfc3339(tac.not_after, 0);
    e.ntp_time = to_rfc3339(tac.ntp_time, 6);
    e.expiration = to_rfc3339(tac.expiration, 6);
    e.offset_us = tac.offset.count();
    e.delay_us = tac.delay.count();
    e.policies = tac.policies;
    if (tac.max_offset) e.max_offset_us = tac.max_offset->count();
    if (tac.max_delay) e.max_delay_us = tac.max_delay->count();
    for (const auto& leap : tac.leap_events)
        e.leap_events.push_back({to_rfc3339(leap.midnight, 0), leap.direction});
    e.signature_algorithm = signature_text(tac.signature_algorithm.oid);
    e.holder_digest_algorithm = hash_text(tac.digest_algorithm.oid);
    e.holder_digest = to_hex(tac.holder_digest);
    e.remarks = remarks(tac);
    return e;
}

std::string to_text(const Explanation& e) {
    std::string text = "Time audit certificate " + e.serial + "\n";
    text += "  The clock of    " + one_line(e.holder, any_length) + "\n";
    text += "    (certificate with " + e.holder_digest_algorithm + " " + e.holder_digest + ")\n";
    text += "  was audited by  " + one_line(e.issuer, any_length) + "\n";
    text += "  at              " + e.ntp_time + "\n";
    // Some TAAs write the sign the other way round, so the text says what stands there and how it is meant to
    // be read.
    if (e.offset_us == 0) {
        text += "  and found to agree with the auditor's clock";
    } else {
        text += "  and found       " + seconds_text(std::abs(e.offset_us)) +
                (e.offset_us > 0 ? " ahead of" : " behind") + " the auditor's clock (offset " +
                std::to_string(e.offset_us) + " us)";
    }
    if (e.max_offset_us) text += ", where " + seconds_text(*e.max_offset_us) + " is allowed";
    text += ".\n  Network delay   " + seconds_text(e.delay_us);
    if (e.max_delay_us) text += ", where " + seconds_text(*e.max_delay_us) + " is allowed";
    text += "\n  Valid           from " + e.not_before + " to " + e.not_after + "\n  Expires         " +
            e.expiration;
    text += "\n  Policies        ";
    for (std::size_t i = 0; i < e.policies.size(); ++i) text += (i ? ", " : "") + e.policies[i];
    text += "\n";
    for (const auto& leap : e.leap_events)
        text += std::string("  Leap second     ") + (leap.action > 0 ? "inserted" : "deleted") +
                " right before " + leap.midnight + "\n";
    text += "  Signed with     " + e.signature_algorithm + "\n";
    for (const auto& remark : e.remarks) text += "  Note            " + remark + "\n";
    return text;
}

}  // namespace kokuin::tac
