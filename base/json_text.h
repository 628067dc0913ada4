// JSON texts. The reader and the writer of nlohmann's values are templates that cost each file that calls
// them seconds of compiling; here they are compiled once.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace kokuin {

/// A value for which is_discarded() is true if the text isn't JSON. Never throws.
nlohmann::json parse_json(std::string_view text);
/// The same, with the members of objects in the order of the text.
nlohmann::ordered_json parse_ordered_json(std::string_view text);

/// The text that this member of an object is; empty if it is none, or `value` no object.
std::string text_member(const nlohmann::json& value, const char* key);
std::string text_member(const nlohmann::ordered_json& value, const char* key);
/// The same for a terminal: one_line() of it, whole.
std::string line_member(const nlohmann::json& value, const char* key);

/// What isn't UTF-8 in a string becomes U+FFFD. `indent`: columns for each level; -1: all in one line.
std::string json_text(const nlohmann::json& value, int indent = -1);
std::string json_text(const nlohmann::ordered_json& value, int indent = -1);

}  // namespace kokuin
