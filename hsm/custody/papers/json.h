// Reading JSON strictly, without exceptions. Internal to hsm/custody and this room.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/json_text.h"
#include "hsm/custody/papers/seal.h"
#include "hsm/custody/papers/statement.h"

namespace kokuin::hsm::custody {

using Json = nlohmann::ordered_json;

/// Reads the members of one object; one that is missing or of another type makes the whole wrong.
class Members {
  public:
    explicit Members(const Json& object) : object_(object), ok_(object.is_object()) {}
    [[nodiscard]] bool has(const char* key) const { return find(key) != nullptr; }
    std::string text(const char* key);
    std::uint32_t number(const char* key, std::uint32_t most);
    /// Hexadecimal; exactly `length` octets if that isn't 0.
    Bytes octets(const char* key, std::size_t length = 0);
    /// An object or an array.
    const Json& object(const char* key);
    [[nodiscard]] bool ok() const { return ok_; }
    void fail() { ok_ = false; }

  private:
    [[nodiscard]] const Json* find(const char* key) const;
    const Json& object_;
    bool ok_;
};

Json box_json(const Box& box);
std::optional<Box> box_from(const Json& json);

Json statement_json(const Statement& statement);
std::optional<Statement> statement_from(const Json& json);

/// json_text(), for texts that are made in place.
std::string dump(const Json& json, int indent = -1);

}  // namespace kokuin::hsm::custody
