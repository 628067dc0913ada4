#include "pki/pointers.h"

#include <botan/pkix_types.h>
#include <botan/x509_ext.h>
#include <botan/x509cert.h>

#include "base/der.h"

namespace kokuin::pki {
namespace {

constexpr std::string_view id_pe_authority_info_access = "1.3.6.1.5.5.7.1.1";
constexpr std::string_view id_ad_ocsp = "1.3.6.1.5.5.7.48.1";
constexpr std::string_view id_ce_crl_distribution_points = "2.5.29.31";
constexpr std::uint8_t uri_tag = der::context(6, false);

Bytes extension(const Certificate& certificate, std::string_view oid) {
    const auto& all = certificate.botan().v3_extensions();
    const Botan::OID id{std::string(oid)};
    if (!all.extension_set(id)) return {};
    const auto bits = all.get_extension_bits(id);
    return {bits.begin(), bits.end()};
}

std::vector<std::string> ocsp_urls(View value) {
    std::vector<std::string> urls;
    der::Reader outer(value);
    der::Reader list = outer.enter(der::sequence_tag, "authorityInfoAccess");
    while (!list.at_end()) {
        der::Reader one = list.enter(der::sequence_tag, "AccessDescription");
        const auto method = one.read_oid("accessMethod");
        const auto name = one.any();
        if (method == id_ad_ocsp && name.tag == uri_tag) urls.push_back(as_text(name.content));
    }
    return outer.failed() ? std::vector<std::string>() : urls;
}

std::vector<std::string> crl_urls(View value) {
    std::vector<std::string> urls;
    der::Reader outer(value);
    der::Reader list = outer.enter(der::sequence_tag, "cRLDistributionPoints");
    while (!list.at_end()) {
        der::Reader point = list.enter(der::sequence_tag, "DistributionPoint");
        if (!point.next_is(der::context(0, true))) continue;
        std::vector<std::string> here;
        {
            der::Reader name = point.enter(der::context(0, true), "distributionPoint");
            if (name.next_is(der::context(0, true))) {
                der::Reader full = name.enter(der::context(0, true), "fullName");
                while (!full.at_end())
                    if (const auto one = full.any(); one.tag == uri_tag) here.push_back(as_text(one.content));
            }
        }
        // With reasons, or a cRLIssuer, it isn't the whole truth about this certificate.
        if (point.at_end()) urls.insert(urls.end(), here.begin(), here.end());
    }
    return outer.failed() ? std::vector<std::string>() : urls;
}

}  // namespace

Pointers pointers_of(const Certificate& certificate) {
    const auto access = extension(certificate, id_pe_authority_info_access);
    const auto points = extension(certificate, id_ce_crl_distribution_points);
    return {access.empty() ? std::vector<std::string>() : ocsp_urls(access),
            points.empty() ? std::vector<std::string>() : crl_urls(points)};
}

}  // namespace kokuin::pki
