// Whether a response can be believed.
#include <botan/pk_keys.h>
#include <botan/pkix_types.h>
#include <botan/x509cert.h>

#include <algorithm>

#include "base/der.h"
#include "base/text.h"
#include "pki/ocsp.h"
#include "pki/path.h"
#include "pki/signed_object.h"

namespace kokuin::pki {
namespace {

constexpr std::string_view id_pkix_ocsp_nocheck = "1.3.6.1.5.5.7.48.1.5";
constexpr std::string_view id_kp_ocsp_signing = "1.3.6.1.5.5.7.3.9";

bool signed_by(const Botan::X509_Object& object, const Certificate& signer) {
    try {
        return is_signed_with(object, *signer.botan().load_subject_public_key());
    } catch (const std::exception&) {
        return false;  // a key of no known kind
    }
}

/// Whether what stands around a certificate's signed part is what its issuer wrote: the algorithm is the
/// signed one, octet for octet, and the signature whole octets. Botan doesn't mind.
bool intact_around(View certificate) {
    der::Reader outer(certificate);
    der::Reader fields = outer.enter(der::sequence_tag, "Certificate");
    der::Reader tbs = fields.enter(der::sequence_tag, "TBSCertificate");
    const auto algorithm = fields.expect(der::sequence_tag, "signature algorithm").whole;
    fields.read_bit_string("signature");
    fields.finish("Certificate");
    if (tbs.next_is(der::context(0, true))) tbs.any();
    tbs.any();  // serial number
    const auto inside = tbs.expect(der::sequence_tag, "signature algorithm").whole;
    return !outer.failed() && equal(algorithm, inside);
}

/// Why this certificate may not answer for `issuer`; empty: it may.
std::string objection(const Certificate& delegate, const Certificate& issuer, WallTime at) {
    const auto& botan = delegate.botan();
    if (!intact_around(delegate.der()) || !is_signed_by(delegate, issuer))
        return "wasn't issued by " + issuer.subject_text();
    if (!botan.has_ex_constraint(Botan::OID(std::string(id_kp_ocsp_signing))))
        return "isn't made for signing OCSP responses (RFC 6960 4.2.2.2)";
    const auto usage = static_cast<std::uint32_t>(botan.constraints());
    if (usage != Botan::NO_CONSTRAINTS && (usage & Botan::DIGITAL_SIGNATURE) == 0)
        return "may not sign (key usage)";
    if (!delegate.valid_at(at)) return "isn't valid at " + to_rfc3339(at, 0);
    return "";
}

bool is_responder(const OcspAnswer& answer, const Certificate& certificate) {
    return answer.responder_name.empty() ? answer.responder_key_hash == key_hash(certificate, Hash::sha1)
                                         : answer.responder_name == certificate.subject_der();
}

}  // namespace

Result<OcspVerdict> OcspResponse::check(const Certificate& certificate, const Certificate& issuer,
                                        WallTime at, const OcspRules& rules) const {
    const auto no = [](const std::string& why) { return Error::no("the OCSP response " + why); };
    if (status_ != OcspStatus::successful) return no("says only: " + std::string(name(status_)));
    const auto one =
        std::find_if(answer_.responses.begin(), answer_.responses.end(),
                     [&](const SingleResponse& single) { return single.id.means(certificate, issuer); });
    if (one == answer_.responses.end())
        return no("says nothing of " + certificate.subject_text() + " (or its hash isn't known)");

    OcspVerdict verdict{*one, std::nullopt, false};
    try {
        const SignedObject signed_data(signed_);
        if (!is_responder(answer_, issuer) || !signed_by(signed_data, issuer)) {
            std::string why = "isn't signed by " + issuer.subject_text() +
                              ", and brings no certificate of a responder that it has named";
            for (const auto& der : certificates_) {
                auto delegate = Certificate::from_der(der);
                if (!delegate || !is_responder(answer_, *delegate)) continue;
                const auto wrong = objection(*delegate, issuer, at);
                if (!wrong.empty()) {
                    why = "is by a responder whose certificate (" + delegate->subject_text() + ") " + wrong;
                } else if (!signed_by(signed_data, *delegate)) {
                    why = "isn't signed by the responder that it names, " + delegate->subject_text();
                } else {
                    verdict.delegate_unchecked = !delegate->botan().v3_extensions().extension_set(
                        Botan::OID(std::string(id_pkix_ocsp_nocheck)));
                    verdict.delegate = std::move(*delegate);
                    break;
                }
            }
            if (!verdict.delegate) return no(why);
        }
    } catch (const std::exception& fault) {
        return no(one_line(std::string("can't be checked: ") + fault.what(), 200));
    }

    if (one->this_update > at + rules.tolerance)
        return no("is of the future: " + to_rfc3339(one->this_update, 0));
    const auto until = one->next_update.value_or(one->this_update + rules.without_next);
    if (one->next_update && *one->next_update < one->this_update) return no("ends before it begins");
    if (at > until + rules.tolerance)
        return no("of " + to_rfc3339(one->this_update, 0) + " ended on " + to_rfc3339(until, 0) +
                  "; fetch the next one");
    return verdict;
}

std::optional<std::string> OcspVerdict::revoked_text(const Certificate& certificate) const {
    if (response.state != SingleResponse::State::revoked) return std::nullopt;
    return certificate.subject_text() + " is revoked since " + to_rfc3339(response.revoked_at, 0) + " (" +
           std::string(response.reason ? name(*response.reason) : "no reason given") + ")";
}

}  // namespace kokuin::pki
