#include "hsm/custody/papers/json.h"

namespace kokuin::hsm::custody {

std::string Members::text(const char* key) {
    const auto* value = find(key);
    if (value && value->is_string()) return value->get<std::string>();
    ok_ = false;
    return {};
}

std::uint32_t Members::number(const char* key, std::uint32_t most) {
    const auto* value = find(key);
    if (value && value->is_number_unsigned() && value->get<std::uint64_t>() <= most)
        return value->get<std::uint32_t>();
    ok_ = false;
    return 0;
}

Bytes Members::octets(const char* key, std::size_t length) {
    auto octets = from_hex(text(key));
    if (octets && !octets->empty() && (length == 0 || octets->size() == length)) return std::move(*octets);
    ok_ = false;
    return {};
}

const Json& Members::object(const char* key) {
    static const Json nothing = Json::object();
    const auto* value = find(key);
    if (value && (value->is_object() || value->is_array())) return *value;
    ok_ = false;
    return nothing;
}

const Json* Members::find(const char* key) const {
    if (!object_.is_object()) return nullptr;
    const auto at = object_.find(key);
    return at == object_.end() ? nullptr : &*at;
}

Json box_json(const Box& box) {
    return {{"ephemeral", to_hex(box.ephemeral)}, {"sealed", to_hex(box.sealed)}};
}

std::optional<Box> box_from(const Json& json) {
    Members members(json);
    Box box{members.octets("ephemeral", 32), members.octets("sealed")};
    if (!members.ok()) return std::nullopt;
    return box;
}

Json statement_json(const Statement& statement) {
    return {{"act", statement.act},           {"program", statement.program},
            {"ceremony", statement.ceremony}, {"generation", statement.generation},
            {"token", statement.token},       {"settings", statement.settings},
            {"content", statement.content},   {"nonce", statement.nonce}};
}

std::optional<Statement> statement_from(const Json& json) {
    Members members(json);
    Statement statement{members.text("act"),      members.text("program"),
                        members.text("ceremony"), members.number("generation", 1'000'000),
                        members.text("token"),    members.text("settings"),
                        members.text("content"),  members.text("nonce")};
    if (!members.ok()) return std::nullopt;
    return statement;
}

std::string dump(const Json& json, int indent) {
    return json_text(json, indent);
}

}  // namespace kokuin::hsm::custody
