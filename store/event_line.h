// Events as JSON, for programs that aren't ours.
#pragma once

#include <string>
#include <type_traits>
#include <variant>

#include "base/bytes.h"
#include "base/time.h"
#include "store/record.h"

namespace kokuin::store {

/// One JSON object and a line end: kind, at (RFC 3339, µs), subject, text, fields. For those who are told of
/// an event when it happens, so before the archive has it: no number, no segment, no blobs; what has a key
/// here has the same key in `tsaudit events --json`. What isn't UTF-8 becomes U+FFFD. Pure.
std::string event_line(WallTime at, const Event& event);

/// The fields of an event, wherever they are JSON: texts and numbers as they are, octets in hex. `Json` is
/// one of nlohmann's; a template, so that only those who make JSON depend on that library. Pure.
template <class Json>
Json fields_json(const Event& event) {
    Json json = Json::object();
    for (const auto& [key, value] : event.fields)
        json[key] = std::visit(
            [](const auto& plain) -> Json {
                if constexpr (std::is_same_v<decltype(plain), const Bytes&>)
                    return to_hex(plain);
                else
                    return plain;
            },
            value);
    return json;
}

}  // namespace kokuin::store
