#include "tsa/revocation_answer.h"

#include <algorithm>

#include "pki/ocsp.h"

namespace kokuin::tsa {
namespace {

Error named(Error error, const pki::Certificate& certificate) {
    return std::move(error).in("of " + certificate.subject_text());
}

/// When a kept answer is judged: now, or at its end.
WallTime judged_at(WallTime at, WallTime until, const AnswerRules& rules) {
    return rules.kept ? std::min(at, until) : at;
}

WallTime end_of(const pki::SingleResponse& one, const AnswerRules& rules) {
    return one.next_update.value_or(one.this_update + rules.without_next);
}

}  // namespace

Result<RevocationAnswer> read_ocsp_answer(View der, const pki::Certificate& certificate,
                                          const pki::Certificate& issuer, WallTime at, const pki::Crl* crl,
                                          const AnswerRules& rules) {
    using State = pki::SingleResponse::State;
    const auto response = pki::OcspResponse::decode(der);
    if (!response) return response.error();
    // What was called revoked stays so, whatever has become of the clock and of the responder's certificate
    // since.
    bool kept_revoked = false;
    if (rules.kept)
        for (const auto& one : response->answer().responses)
            if (one.id.means(certificate, issuer)) {
                kept_revoked = one.state == State::revoked;
                at = kept_revoked ? one.this_update : judged_at(at, end_of(one, rules), rules);
                break;
            }
    pki::OcspRules how;
    how.without_next = rules.without_next;
    const auto verdict = response->check(certificate, issuer, at, how);
    if (!verdict) return verdict.error();
    if (verdict->delegate_unchecked) {
        const auto& delegate = *verdict->delegate;
        const auto who = "the OCSP responder's certificate (" + delegate.subject_text() + ")";
        if (!crl && !kept_revoked)
            return Error::no(who +
                             " may be revoked itself: it has no id-pkix-ocsp-nocheck, and there is no CRL");
        if (crl)
            if (auto why = crl->revokes(delegate, issuer)) return Error::no(who + ": " + *why);
        if (auto done = kept_revoked ? Done() : crl->covers(delegate, issuer, at); !done)
            return std::move(done).error().in(who + " may be revoked itself");
    }
    const auto& one = verdict->response;
    if (one.state == State::unknown)
        return Error::no("the OCSP responder doesn't know " + certificate.subject_text());
    // A responder's word holds no longer than the responder.
    auto until = end_of(one, rules);
    if (verdict->delegate) until = std::min(until, verdict->delegate->not_after());
    return RevocationAnswer{one.state == State::revoked, verdict->revoked_text(certificate).value_or(""),
                            one.this_update, until, Bytes(der.begin(), der.end())};
}

bool wants_crl(View der, const pki::Certificate& certificate, const pki::Certificate& issuer, WallTime at) {
    const auto response = pki::OcspResponse::decode(der);
    if (!response) return false;
    const auto verdict = response->check(certificate, issuer, at);
    return verdict && verdict->delegate_unchecked;
}

Result<RevocationAnswer> read_crl_answer(View octets, const pki::Certificate& certificate,
                                         const pki::Certificate& issuer, WallTime at,
                                         const AnswerRules& rules) {
    const auto crl = pki::Crl::from_der(octets);
    if (!crl) return named(crl.error(), issuer);
    const auto until = crl->next_update().value_or(crl->this_update() + rules.without_next);
    at = judged_at(at, until, rules);
    const auto revoked = crl->revokes(certificate, issuer);
    if (auto done = crl->covers(certificate, issuer, at); !done) {
        // Its issuer has signed that, whatever the list leaves out. But not one of the future, which nothing
        // could replace.
        const bool of_the_future = crl->this_update() > at + std::chrono::minutes(5);
        if (!revoked || (of_the_future && !rules.kept)) return std::move(done).error();
    }
    return RevocationAnswer{revoked.has_value(), revoked.value_or(""), crl->this_update(), until,
                            Bytes(octets.begin(), octets.end())};
}

}  // namespace kokuin::tsa
