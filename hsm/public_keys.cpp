// What a token tells without a PIN: the public halves of its keys, and certificates. Stands alone: no Token
// is open.
#include <algorithm>

#include <nlohmann/json.hpp>

#include "base/json_text.h"
#include "base/time.h"
#include "hsm/call.h"
#include "hsm/commands.h"
#include "hsm/locator.h"
#include "hsm/objects.h"
#include "pki/certificate.h"

namespace kokuin::hsm {

using nlohmann::json;

Result<std::string> public_keys_json(const Settings& settings) {
    apply_environment(settings);
    const auto module = Module::load(settings.module, settings.module_parameters);
    if (!module) return module.error();
    const auto locator = Locator::parse(settings.token);
    if (!locator) return locator.error();
    const auto epoch = (*module)->epoch();
    const auto call = ModuleCall::enter(**module, epoch);
    if (!call) return Error::environment(settings.module + ": is being initialised anew");
    const auto token = locator->find(*call);
    if (!token) return token.error();
    const auto failed = [&](CK_RV rv) {
        return failure(rv, "token '" + token->label + "': listing what is public");
    };
    const auto session = Session::open(*module, epoch, token->slot, 0);
    if (!session) return failed(session.error());

    Template any_certificate;
    any_certificate.number(CKA_CLASS, CKO_CERTIFICATE).number(CKA_CERTIFICATE_TYPE, CKC_X_509);
    const auto found = find_objects(*call, session->handle(), any_certificate);
    if (!found) return failed(found.error());
    std::vector<pki::Certificate> certificates;
    for (const auto object : *found) {
        AttributeReader reader(*call, session->handle(), object);
        if (auto certificate = pki::Certificate::from_der(reader.octets(CKA_VALUE)))
            certificates.push_back(std::move(*certificate));
    }
    std::sort(certificates.begin(), certificates.end(),
              [](const auto& a, const auto& b) { return a.not_after() > b.not_after(); });

    Template any_key;
    any_key.number(CKA_CLASS, CKO_PUBLIC_KEY);
    const auto keys = find_objects(*call, session->handle(), any_key);
    if (!keys) return failed(keys.error());
    std::vector<json> all;
    for (const auto object : *keys) {
        AttributeReader reader(*call, session->handle(), object);
        const auto label = reader.text(CKA_LABEL);
        const auto id = reader.octets(CKA_ID);
        if (reader.outcome() != CKR_OK) return failed(reader.outcome());
        const auto half = read_public_half(*call, session->handle(), object);
        if (!half) return failed(half.error());
        if (!half->algorithm) continue;
        const auto measure = measure_of(half->spki);
        json beside = json::array();
        for (const auto& one : certificates)
            if (one.spki() == half->spki)
                beside.push_back({{"subject", one.subject_text()},
                                  {"issuer", one.issuer_text()},
                                  {"not_after", to_rfc3339(one.not_after(), 0)}});
        all.push_back({{"label", label},
                       {"id", to_hex(id)},
                       {"type", name(*half->algorithm)},
                       {"bits", measure ? measure->bits : 0},
                       {"sensitive", nullptr},
                       {"extractable", nullptr},
                       {"certificates", beside}});
    }
    std::sort(all.begin(), all.end(), [](const json& a, const json& b) { return a["label"] < b["label"]; });
    return json_text(json(all));
}

}  // namespace kokuin::hsm
