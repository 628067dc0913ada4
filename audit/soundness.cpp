#include "audit/soundness.h"

#include <string>

#include "pki/certificate.h"
#include "tsa/protocol/token.h"
#include "tsa/protocol/verify.h"

namespace kokuin::audit {
namespace {

bool same_number(View a, View b) {
    while (!a.empty() && a.front() == 0) a = a.subspan(1);
    while (!b.empty() && b.front() == 0) b = b.subspan(1);
    return equal(a, b);
}

}  // namespace

Done check_token(const store::Shown& shown) {
    const auto& issuance = shown.found.issuance();
    const auto damaged = [&](const std::string& what) {
        return Error::environment("segment " + shown.found.segment + ": record " +
                                  std::to_string(shown.found.record.number) + ": " + what +
                                  ": the archive is damaged, restore a copy");
    };
    const auto token = tsp::parse_token(shown.token);
    if (!token) return damaged("its token can't be read: " + token.error().text);
    auto certificate = pki::Certificate::from_der(shown.certificate);
    if (!certificate) return damaged("its certificate can't be read: " + certificate.error().text);
    tsp::Expectations expected;
    expected.more_certificates = {std::move(*certificate)};
    const auto verification = tsp::verify(*token, expected);
    for (const auto check : {tsp::Check::content_type, tsp::Check::message_digest, tsp::Check::signer,
                             tsp::Check::certificate_binding, tsp::Check::signature})
        if (const auto& checked = verification.of(check);
            checked.outcome == tsp::Outcome::failed || checked.outcome == tsp::Outcome::skipped)
            return damaged("its token doesn't hold: " + checked.text);
    const auto& info = token->tst_info;
    const char* differs = !same_number(info.serial, issuance.serial)          ? "serial number"
                          : to_unix_us(info.gen_time) != issuance.gen_time_us ? "genTime"
                          : info.policy != issuance.policy                    ? "policy"
                          : info.hash_oid != issuance.imprint_algorithm       ? "hash algorithm"
                          : info.imprint != issuance.imprint                  ? "imprint"
                                                                              : nullptr;
    if (differs) return damaged(std::string("it names another ") + differs + " than its token");
    return {};
}

}  // namespace kokuin::audit
