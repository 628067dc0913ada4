#include "tsa/protocol/policy.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <utility>

namespace kokuin::tsp {
namespace {

constexpr std::array<std::pair<EmbedTac, std::string_view>, 4> embed_names{{
    {EmbedTac::none, "none"},
    {EmbedTac::signer_attribute, "signer-attribute"},
    {EmbedTac::certificates_v1, "certificates-v1"},
    {EmbedTac::certificates_v2, "certificates-v2"},
}};
constexpr std::array<std::pair<EssForm, std::string_view>, 3> ess_names{{
    {EssForm::v1, "v1"},
    {EssForm::v2, "v2"},
    {EssForm::both, "both"},
}};

template <typename Table, typename Value>
std::string_view name_in(const Table& table, Value value) {
    for (const auto& [known, text] : table) {
        if (known == value) return text;
    }
    std::abort();
}

template <typename Value, typename Table>
std::optional<Value> value_in(const Table& table, std::string_view text) {
    for (const auto& [known, known_text] : table) {
        if (known_text == text) return known;
    }
    return std::nullopt;
}

template <typename List, typename Value>
bool contains(const List& list, const Value& value) {
    return std::find(list.begin(), list.end(), value) != list.end();
}

}  // namespace

std::string_view name(EmbedTac form) {
    return name_in(embed_names, form);
}
std::optional<EmbedTac> embed_tac_from_name(std::string_view text) {
    return value_in<EmbedTac>(embed_names, text);
}
std::string_view name(EssForm form) {
    return name_in(ess_names, form);
}
std::optional<EssForm> ess_form_from_name(std::string_view text) {
    return value_in<EssForm>(ess_names, text);
}

Result<const Policy*, Rejection> check(const Request& request, const PolicyRules& rules) {
    const auto hash = request.hash();
    if (!hash) return reject(FailInfo::bad_alg, "unknown hash algorithm " + request.hash_oid);
    if (request.imprint.size() != pki::length(*hash)) {
        return reject(FailInfo::bad_data_format, "an imprint of " + std::to_string(request.imprint.size()) +
                                                     " octets for " + std::string(pki::name(*hash)));
    }

    const Policy* policy = nullptr;
    if (!request.policy) {
        if (!rules.offered.empty()) policy = rules.offered.front();
    } else {
        for (const Policy* offered : rules.offered) {
            if (offered->oid == *request.policy) policy = offered;
        }
    }
    if (!policy) {
        return reject(FailInfo::unaccepted_policy,
                      "policy " + request.policy.value_or("(none)") + " is not offered here");
    }
    if (!contains(policy->hashes, *hash)) {
        return reject(FailInfo::bad_alg, "hash algorithm " + std::string(pki::name(*hash)) +
                                             " is not accepted under policy " + policy->name);
    }
    for (const Extension& extension : request.extensions) {
        if (!contains(rules.extensions, extension.oid)) {
            return reject(FailInfo::unaccepted_extension, "request extension " + extension.oid);
        }
    }
    return policy;
}

}  // namespace kokuin::tsp
