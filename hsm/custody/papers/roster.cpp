#include "hsm/custody/papers/roster.h"

#include <algorithm>

#include "base/json_text.h"
#include "hsm/custody/papers/json.h"

namespace kokuin::hsm::custody {
namespace {

constexpr std::size_t digest_octets = 32;

}  // namespace

bool is_custodian_name(std::string_view name) {
    return !name.empty() && name.size() <= 32 && std::all_of(name.begin(), name.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
    });
}

const Custodian* Roster::find(std::string_view name) const {
    const auto at = std::find_if(custodians.begin(), custodians.end(),
                                 [name](const Custodian& one) { return one.name == name; });
    return at == custodians.end() ? nullptr : &*at;
}

Bytes Roster::share_context(const std::string& custodian) const {
    const auto text = "kokuin share 1 " + ceremony + " " + std::to_string(generation) + " " +
                      std::to_string(threshold) + " " + std::to_string(custodians.size()) + " " + custodian +
                      " " + token;
    return Bytes(text.begin(), text.end());
}

std::string Roster::keys_text() const {
    std::string text;
    for (const auto& one : custodians)
        text += (text.empty() ? "" : ", ") + one.name + " " + fingerprint(one.keys);
    return text;
}

std::string Roster::text() const {
    std::string names;
    for (const auto& one : custodians) names += (names.empty() ? "" : ", ") + one.name;
    return std::to_string(threshold) + " of " + std::to_string(custodians.size()) + " custodians (" + names +
           ")";
}

std::string Roster::to_json() const {
    Json all = Json::array();
    for (const auto& one : custodians) {
        all.push_back({{"name", one.name},
                       {"signing_key", to_hex(one.keys.signing)},
                       {"sealing_key", to_hex(one.keys.sealing)},
                       {"pin_share_sha256", to_hex(one.pin_share)},
                       {"officer_share_sha256", to_hex(one.officer_share)}});
        if (one.share) all.back()["share"] = box_json(*one.share);
    }
    return dump({{"kokuin", "roster"},
                 {"version", 1},
                 {"ceremony", ceremony},
                 {"generation", generation},
                 {"token", token},
                 {"threshold", threshold},
                 {"custodians", all}});
}

Result<Roster> Roster::from_json(std::string_view text) {
    const auto wrong = [] {
        return Error::environment(
            "the roster of the custodians can't be read: it is damaged, or newer than this program");
    };
    const auto json = parse_ordered_json(text);
    Members members(json);
    if (members.text("kokuin") != "roster" || members.number("version", 1) != 1) return wrong();
    Roster roster;
    roster.ceremony = members.text("ceremony");
    roster.generation = members.number("generation", 1'000'000);
    roster.token = members.text("token");
    roster.threshold = members.number("threshold", most_custodians);
    for (const auto& one : members.object("custodians")) {
        Members custodian(one);
        roster.custodians.push_back(
            {custodian.text("name"),
             {custodian.octets("signing_key", 32), custodian.octets("sealing_key", 32)},
             custodian.octets("pin_share_sha256", digest_octets),
             custodian.octets("officer_share_sha256", digest_octets)});
        if (one.contains("share")) {
            roster.custodians.back().share = box_from(one["share"]);
            if (!roster.custodians.back().share) return wrong();
        }
        if (!custodian.ok() || !is_custodian_name(roster.custodians.back().name)) return wrong();
    }
    const auto count = roster.custodians.size();
    if (!members.ok() || roster.threshold < 2 || roster.threshold > count || count > most_custodians)
        return wrong();
    // With one name, or one key, one person would be two.
    for (std::size_t i = 0; i < count; ++i) {
        if (roster.find(roster.custodians[i].name) != &roster.custodians[i]) return wrong();
        for (std::size_t j = 0; j < i; ++j)
            if (roster.custodians[i].keys.signing == roster.custodians[j].keys.signing) return wrong();
    }
    return roster;
}

}  // namespace kokuin::hsm::custody
