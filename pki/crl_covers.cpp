// Whether a CRL is the whole truth about a certificate (RFC 5280 6.3.3).
#include <botan/pk_keys.h>
#include <botan/pkix_types.h>
#include <botan/x509_crl.h>
#include <botan/x509_ext.h>
#include <botan/x509cert.h>

#include <algorithm>

#include "base/der.h"
#include "base/text.h"
#include "pki/pointers.h"
#include "pki/revocation.h"
#include "pki/signed_object.h"

namespace kokuin::pki {
namespace {

const Botan::OID id_ce_crl_number("2.5.29.20");
const Botan::OID id_ce_delta_crl_indicator("2.5.29.27");
const Botan::OID id_ce_issuing_distribution_point("2.5.29.28");
const Botan::OID authority_key_identifier_oid("2.5.29.35");

/// Why a list with this IssuingDistributionPoint (RFC 5280 5.2.5) doesn't tell of `certificate`; empty: it
/// does.
std::string outside(View point, const Certificate& certificate) {
    der::Reader outer(point);
    der::Reader fields = outer.enter(der::sequence_tag, "IssuingDistributionPoint");
    std::vector<std::string> names;
    std::string why;
    while (!fields.at_end()) {
        const auto field = fields.any();
        if (field.tag == der::context(0, true)) {
            der::Reader name(field.content);
            if (!name.next_is(der::context(0, true))) return "is for a part of its issuer's certificates";
            der::Reader full = name.enter(der::context(0, true), "fullName");
            while (!full.at_end())
                if (const auto one = full.any(); one.tag == der::context(6, false))
                    names.push_back(as_text(one.content));
            const auto own = pointers_of(certificate).crls;
            if (std::none_of(names.begin(), names.end(), [&own](const std::string& one) {
                    return std::find(own.begin(), own.end(), one) != own.end();
                }))
                why = "is the one of " + (names.empty() ? std::string("another place") : names.front()) +
                      ", which the certificate doesn't name";
            continue;
        }
        if (field.content.size() == 1 && field.content[0] == 0) continue;  // FALSE
        const bool is_ca = certificate.botan().is_CA_cert();
        if (field.tag == der::context(1, false)) {
            if (is_ca) why = "tells of no CA's certificate";
        } else if (field.tag == der::context(2, false)) {
            if (!is_ca) why = "tells of CAs' certificates only";
        } else {
            why = "tells of some reasons, attribute certificates or other issuers";
        }
    }
    return outer.failed() ? "has an issuing distribution point that can't be read" : why;
}

}  // namespace

Done Crl::covers(const Certificate& certificate, const Certificate& issuer, WallTime at,
                 nanoseconds tolerance) const {
    const auto no = [&](const std::string& what) {
        return Error::no("the CRL of " + issuer_text() + " of " + to_rfc3339(this_update(), 0) + " " + what);
    };
    try {
        if (botan_->issuer_dn() != issuer.botan().subject_dn() ||
            !issuer.botan().allowed_usage(Botan::CRL_SIGN) ||
            !is_signed_with(*botan_, *issuer.botan().load_subject_public_key()))
            return no("isn't signed by " + issuer.subject_text() + ", with SHA-256 or better");
        const auto& extensions = botan_->extensions();
        if (extensions.extension_set(id_ce_delta_crl_indicator)) return no("holds changes only (delta CRL)");
        for (const auto& oid : extensions.get_extension_oids())
            if (extensions.critical_extension_set(oid) && oid != id_ce_crl_number &&
                oid != id_ce_issuing_distribution_point && oid != authority_key_identifier_oid)
                return no("has a critical extension that isn't known here (" + oid.to_string() + ")");
        if (extensions.extension_set(id_ce_issuing_distribution_point)) {
            const auto bits = extensions.get_extension_bits(id_ce_issuing_distribution_point);
            if (const auto why = outside(View(bits.data(), bits.size()), certificate); !why.empty())
                return no(why);
        }
    } catch (const std::exception& fault) {
        return no(one_line(std::string("can't be checked: ") + fault.what(), 200));
    }
    if (this_update() > at + tolerance) return no("is of the future");
    if (const auto due = next_update(); due && at > *due + tolerance)
        return no("ended on " + to_rfc3339(*due, 0));
    return {};
}

}  // namespace kokuin::pki
