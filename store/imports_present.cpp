// Imports as JSON and as text.
#include <nlohmann/json.hpp>

#include "base/json_text.h"
#include "base/text.h"
#include "store/imports.h"

namespace kokuin::store {
namespace {

using OrderedJson = nlohmann::ordered_json;

std::string member_of(const OrderedJson& of, const char* key) {
    const auto at = of.find(key);
    return at != of.end() && at->is_string() ? one_line(at->get<std::string>(), any_length) : std::string();
}

bool flag_of(const OrderedJson& of, const char* key) {
    const auto at = of.find(key);
    return at != of.end() && at->is_boolean() && at->get<bool>();
}

OrderedJson list_of(const OrderedJson& of, const char* key) {
    const auto at = of.is_object() ? of.find(key) : of.end();
    return of.is_object() && at != of.end() && at->is_array() ? *at : OrderedJson::array();
}

}  // namespace

std::string imports_json(const ImportsView& view) {
    auto imports = OrderedJson::array();
    for (const auto& one : view.imports) {
        const auto& import = one.import;
        imports.push_back(
            {{"id", import.content.id},
             {"kind", import.kind},
             {"subject", import.subject},
             {"from", to_rfc3339(import.from, 0)},
             {"to", to_rfc3339(import.to, 0)},
             {"octets", import.content.size},
             {"hmac", to_hex(import.content.hmac)},
             {"at", to_rfc3339(import.at)},
             {"number", import.number},
             {"by", import.by},
             {"why", import.why},
             {"state", one.state},
             {"kept_until", to_rfc3339(kept_until(import), 0)},
             {"past", one.past},
             {"erased", import.erased ? OrderedJson(to_rfc3339(*import.erased)) : OrderedJson(nullptr)}});
    }
    return json_text(OrderedJson{{"ok", view.ok()}, {"imports", imports}, {"strays", view.strays}});
}

std::string imports_text(std::string_view text) {
    const auto json = parse_ordered_json(text);
    std::string out;
    for (const auto& one : list_of(json, "imports")) {
        out += member_of(one, "id") + "  " + member_of(one, "kind") + "  " + member_of(one, "from") + " to " +
               member_of(one, "to") + "  " + member_of(one, "state");
        if (const auto erased = member_of(one, "erased"); !erased.empty())
            out += " (recorded " + erased + ")";
        if (flag_of(one, "past")) out += ", PAST ITS TIME since " + member_of(one, "kept_until");
        if (const auto subject = member_of(one, "subject"); !subject.empty()) out += "  " + subject;
        out += '\n';
    }
    for (const auto& one : list_of(json, "strays"))
        if (one.is_string())
            out += one_line(one.get<std::string>(), any_length) +
                   "  STRAY: no record names it; a crash came in between, or somebody has put it there\n";
    return out.empty() ? "nothing was imported\n" : out;
}

}  // namespace kokuin::store
