#include "pki/tsu_certificate.h"

#include <botan/x509cert.h>

#include "pki/path.h"
#include "pki/public_key.h"

namespace kokuin::pki {

Result<std::vector<Certificate>> check_tsu_certificate(const Certificate& certificate,
                                                       const std::vector<Certificate>& given,
                                                       const std::vector<Certificate>& configured,
                                                       WallTime now) {
    const auto key = PublicKey::from_certificate(certificate);
    if (!key) return key.error();
    if (key->bits() < 2048)
        return Error::no("an RSA key of " + std::to_string(key->bits()) +
                         " bits; a TSU needs 2048 or more (TSA-3)");
    if (!certificate.is_time_stamping_only())
        return Error::no(
            "its extended key usage must be timeStamping alone and critical (RFC 3161 2.3); have it issued "
            "again");
    const auto& botan = certificate.botan();
    if (botan.is_CA_cert())
        return Error::no("it is a CA's certificate; a TSU's signs tokens and nothing else");
    constexpr auto may = static_cast<std::uint32_t>(Botan::DIGITAL_SIGNATURE | Botan::NON_REPUDIATION);
    const auto usage = static_cast<std::uint32_t>(botan.constraints());
    if (usage != Botan::NO_CONSTRAINTS && ((usage & ~may) != 0 || (usage & may) == 0))
        return Error::no(
            "its key usage must be digitalSignature, nonRepudiation or both; have it issued again");
    std::vector<Certificate> anchors;
    std::vector<Certificate> between = given;
    for (const auto& one : configured) (one.is_self_issued() ? anchors : between).push_back(one);
    auto path = validate_path(certificate, between, anchors, now);
    if (!path) return path;
    for (std::size_t i = 0; i + 1 < path->size(); ++i)
        if ((*path)[i].not_after() > (*path)[i + 1].not_after() ||
            (*path)[i].not_before() < (*path)[i + 1].not_before())
            return Error::no("the validity of " + (*path)[i].subject_text() +
                             " isn't inside its issuer's (CA-5): " + to_rfc3339((*path)[i].not_before(), 0) +
                             " to " + to_rfc3339((*path)[i].not_after(), 0) + ", the issuer's " +
                             to_rfc3339((*path)[i + 1].not_before(), 0) + " to " +
                             to_rfc3339((*path)[i + 1].not_after(), 0));
    return path;
}

}  // namespace kokuin::pki
