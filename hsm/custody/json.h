// Reading JSON strictly, without exceptions. Internal to hsm/custody.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include "base/bytes.h"
#include "hsm/custody/seal.h"
#include "hsm/custody/statement.h"

namespace kokuin::hsm::custody {

using Json = nlohmann::ordered_json;

/// Reads the members of one object; one that is missing or of another type makes the whole wrong.
class Members {
  public:
    explicit Members(const Json& object) : object_(object), ok_(object.is_object()) {}
    std::string text(const char* key) {
        const auto* value = find(key);
        if (value && value->is_string()) return value->get<std::string>();
        ok_ = false;
        return {};
    }
    std::uint32_t number(const char* key, std::uint32_t most) {
        const auto* value = find(key);
        if (value && value->is_number_unsigned() && value->get<std::uint64_t>() <= most)
            return value->get<std::uint32_t>();
        ok_ = false;
        return 0;
    }
    /// Hexadecimal; exactly `length` octets if that isn't 0.
    Bytes octets(const char* key, std::size_t length = 0) {
        auto octets = from_hex(text(key));
        if (octets && !octets->empty() && (length == 0 || octets->size() == length))
            return std::move(*octets);
        ok_ = false;
        return {};
    }
    const Json& object(const char* key) {
        static const Json nothing = Json::object();
        const auto* value = find(key);
        if (value && (value->is_object() || value->is_array())) return *value;
        ok_ = false;
        return nothing;
    }
    [[nodiscard]] bool ok() const { return ok_; }
    void fail() { ok_ = false; }

  private:
    const Json* find(const char* key) const {
        if (!object_.is_object()) return nullptr;
        const auto at = object_.find(key);
        return at == object_.end() ? nullptr : &*at;
    }
    const Json& object_;
    bool ok_;
};

inline Json box_json(const Box& box) {
    return {{"ephemeral", to_hex(box.ephemeral)}, {"sealed", to_hex(box.sealed)}};
}
inline std::optional<Box> box_from(const Json& json) {
    Members members(json);
    Box box{members.octets("ephemeral", 32), members.octets("sealed")};
    if (!members.ok()) return std::nullopt;
    return box;
}

inline Json statement_json(const Statement& statement) {
    return {{"act", statement.act},           {"program", statement.program},
            {"ceremony", statement.ceremony}, {"generation", statement.generation},
            {"token", statement.token},       {"settings", statement.settings},
            {"content", statement.content},   {"nonce", statement.nonce}};
}
inline std::optional<Statement> statement_from(const Json& json) {
    Members members(json);
    Statement statement{members.text("act"),      members.text("program"),
                        members.text("ceremony"), members.number("generation", 1'000'000),
                        members.text("token"),    members.text("settings"),
                        members.text("content"),  members.text("nonce")};
    if (!members.ok()) return std::nullopt;
    return statement;
}

/// As the texts of others are written: what isn't UTF-8 becomes U+FFFD.
inline std::string dump(const Json& json, int indent = -1) {
    return json.dump(indent, ' ', false, Json::error_handler_t::replace);
}

}  // namespace kokuin::hsm::custody
