#include "audit/soundness.h"

#include <string>

#include "tsa/protocol/verify.h"

namespace kokuin::audit {

bool same_number(View a, View b) {
    while (!a.empty() && a.front() == 0) a = a.subspan(1);
    while (!b.empty() && b.front() == 0) b = b.subspan(1);
    return equal(a, b);
}

std::optional<std::string> token_fault(tsp::TokenParser& parser, View token, const store::Issuance& issuance,
                                       const pki::Certificate& signer, const pki::PublicKey& key,
                                       std::optional<std::int64_t>& accuracy_us) {
    const auto read = parser.read(token);
    if (!read) return "its token can't be read: " + read.error().text;
    if (const auto fault = tsp::find_fault(**read, signer, key)) return "its token doesn't hold: " + *fault;
    const auto& info = (*read)->tst_info;
    if (info.accuracy) accuracy_us = info.accuracy->count();
    const char* differs = !same_number(info.serial, issuance.serial)          ? "serial number"
                          : to_unix_us(info.gen_time) != issuance.gen_time_us ? "genTime"
                          : info.policy != issuance.policy                    ? "policy"
                          : info.hash_oid != issuance.imprint_algorithm       ? "hash algorithm"
                          : info.imprint != issuance.imprint                  ? "imprint"
                                                                              : nullptr;
    if (differs) return std::string("it names another ") + differs + " than its token";
    return std::nullopt;
}

Done check_token(const store::Shown& shown) {
    const auto damaged = [&](const std::string& what) {
        return Error::environment("segment " + shown.found.segment + ": record " +
                                  std::to_string(shown.found.record.number) + ": " + what +
                                  ": the archive is damaged, restore a copy");
    };
    const auto certificate = pki::Certificate::from_der(shown.certificate);
    if (!certificate) return damaged("its certificate can't be read: " + certificate.error().text);
    const auto key = pki::PublicKey::from_certificate(*certificate);
    if (!key) return damaged("its certificate can't be used: " + key.error().text);
    tsp::TokenParser parser(tsp::TokenCertificates::skip);
    std::optional<std::int64_t> accuracy_us;
    if (const auto fault =
            token_fault(parser, shown.token, shown.found.issuance(), *certificate, *key, accuracy_us))
        return damaged(*fault);
    return {};
}

}  // namespace kokuin::audit
