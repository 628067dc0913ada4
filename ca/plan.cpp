#include "ca/plan.h"

#include <algorithm>

#include "base/text.h"
#include "hsm/keytool.h"
#include "pki/ocsp_folder.h"

namespace kokuin::ca {
namespace {

constexpr std::size_t longest_text = 900;

std::string days(nanoseconds validity) {
    return std::to_string(validity / std::chrono::days(1));
}

/// The end of a validity: its last second is still in it (RFC 5280 4.1.2.5).
WallTime end_of(WallTime begin, nanoseconds validity) {
    return begin + validity - seconds(1);
}

Done check_key(const Register& what_was, View spki) {
    for (const auto& one : what_was.issued)
        if (equal(one.certificate.spki(), spki))
            return Error::no("this key was certified before (" + one.certificate.subject_text() +
                             ", serial " + one.serial + "); make a new key (KEY-4)");
    return {};
}

Done check_subject(const Register& what_was, const Order& order, View subject, WallTime now) {
    const Issued* before = nullptr;
    if (!order.successor_of.empty()) {
        before = what_was.find(order.successor_of);
        if (!before) return Error::no("nothing of the serial " + order.successor_of + " was issued");
        if (before->profile != order.profile)
            return Error::no("the certificate " + order.successor_of + " is of the profile " +
                             std::string(name(before->profile)) + "; a successor has the same");
        if (!equal(before->certificate.subject_der(), subject))
            return Error::no("the certificate " + order.successor_of + " is of " +
                             before->certificate.subject_text() +
                             "; a successor has the same subject, written in the same way");
    }
    for (const auto& one : what_was.issued) {
        if (!pki::same_name(one.certificate.subject_der(), subject)) continue;
        if (one.is_ca())
            return Error::no("that is the subject of this CA itself (serial " + one.serial + ")");
        if (!one.living(now) || (before && one.profile == order.profile)) continue;
        if (!has_unique_subject(order.profile) && !has_unique_subject(one.profile)) continue;
        return Error::no("the subject is that of a living certificate, serial " + one.serial + " until " +
                         to_rfc3339(one.certificate.not_after(), 0) +
                         "; for the next key of the same one add --successor-of " + one.serial +
                         ", otherwise take another subject (TSA-18)");
    }
    return {};
}

Done check_validity(const Issued& issuer, WallTime begin, nanoseconds validity) {
    const auto& certificate = issuer.certificate;
    if (issuer.revoked)
        return Error::no("the certificate of " + certificate.subject_text() + " is revoked (" +
                         std::string(pki::name(issuer.revoked->reason)) +
                         "); nothing can be issued under it");
    if (!certificate.valid_at(begin))
        return Error::no("the certificate of " + certificate.subject_text() + " isn't valid now, " +
                         to_rfc3339(begin, 0) + ": it holds from " + to_rfc3339(certificate.not_before(), 0) +
                         " to " + to_rfc3339(certificate.not_after(), 0));
    if (end_of(begin, validity) <= certificate.not_after()) return {};
    const auto longest = (certificate.not_after() + seconds(1) - begin) / std::chrono::days(1);
    return Error::no("a validity of " + days(validity) + " days would end after its issuer's, " +
                     to_rfc3339(certificate.not_after(), 0) + " (CA-5); the longest possible is --days " +
                     std::to_string(longest));
}

}  // namespace

Bytes draw_serial(const Register& what_was, const pki::Certificate* issuer) {
    for (;;) {
        auto serial = random_octets(16);
        // Positive and of one length: the first bit 0, the second 1.
        serial[0] = static_cast<std::uint8_t>((serial[0] & 0x3fU) | 0x40U);
        if (what_was.find(serial_text(serial))) continue;
        bool reachable = true;
        for (const auto hash : {pki::Hash::sha1, pki::Hash::sha256}) {
            if (!issuer) break;
            const pki::CertId id{std::string(pki::oid(hash)), pki::digest(hash, issuer->subject_der()),
                                 pki::key_hash(*issuer, hash), serial};
            reachable = reachable && pki::ocsp_get_path(id).has_value();
        }
        if (reachable) return serial;
    }
}

Result<Plan> make_plan(const Settings& settings, const Register& what_was, const Order& order, View spki,
                       WallTime now) {
    const bool is_root = order.profile == Profile::root;
    const bool is_ca = is_root || order.profile == Profile::issuing;
    const auto& own = is_root ? settings.root : settings.issuing;
    const auto* issuer = is_ca ? what_was.root() : what_was.issuing();
    if (is_root && what_was.root())
        return Error::no("there is a root already, serial " + what_was.root()->serial +
                         "; another one has its own archive and token");
    if (order.profile == Profile::issuing && what_was.issuing())
        return Error::no("there is an issuing CA already, serial " + what_was.issuing()->serial +
                         "; another one has its own archive and token");
    if (!is_root && !issuer)
        return Error::no(is_ca ? "there is no root yet; make it with: tsca root init"
                               : "there is no issuing CA yet; make it with: tsca issuing init");

    auto subject = Result<Bytes>(Bytes());
    if (is_ca) {
        subject = hsm::keytool::subject_der(own.subject);
        if (!subject) return subject.error();
    } else {
        if (!order.request) return Error::usage("no certificate request");
        if (auto done = check_request(order.profile, *order.request); !done) return std::move(done).error();
        subject = order.request->subject_der();
        spki = order.request->spki();
    }
    if (auto done = check_key(what_was, spki); !done) return std::move(done).error();
    if (!is_ca)
        if (auto done = check_subject(what_was, order, *subject, now); !done) return std::move(done).error();
    const auto validity = order.validity.value_or(is_ca ? own.validity : settings.validity.at(order.profile));
    if (validity < std::chrono::days(1)) return Error::usage("a validity of less than a day");
    if (issuer)
        if (auto done = check_validity(*issuer, now, validity); !done) return std::move(done).error();

    Plan plan;
    plan.profile = order.profile;
    plan.successor_of = order.successor_of;
    auto& certificate = plan.certificate;
    certificate.serial = draw_serial(what_was, issuer ? &issuer->certificate : nullptr);
    certificate.issuer = issuer ? issuer->certificate.subject_der() : *subject;
    certificate.subject = *subject;
    certificate.spki.assign(spki.begin(), spki.end());
    certificate.not_before = now;
    certificate.not_after = end_of(now, validity);
    certificate.extensions =
        extensions_of(order.profile, spki, issuer ? View(issuer->certificate.spki()) : spki,
                      order.request ? View(order.request->alternative_names()) : View(),
                      settings.addresses(is_ca ? settings.root : settings.issuing));
    plan.text = "the certificate '" + std::string(name(order.profile)) + "' for " +
                pki::name_text(certificate.subject);
    if (order.request && !order.request->alternative_names_text().empty()) {
        std::string names;
        for (const auto& one : order.request->alternative_names_text())
            names += (names.empty() ? "" : ", ") + one;
        plan.text += " (" + names + ")";
    }
    plan.text += " with the key of SHA-256 " + to_hex(pki::digest(pki::Hash::sha256, spki)).substr(0, 16) +
                 "… until " + to_rfc3339(certificate.not_after, 0);
    // Custodians sign what they have seen: all of it, and nothing that a terminal would show as something
    // else.
    if (one_line(plan.text, longest_text) != plan.text)
        return Error::no("its names can't be shown to custodians on one line of " +
                         std::to_string(longest_text) +
                         " octets, so nobody could agree to them; choose others");
    return plan;
}

}  // namespace kokuin::ca
