#include "store/event_line.h"
#include "base/json_text.h"

#include <nlohmann/json.hpp>

namespace kokuin::store {

using Json = nlohmann::ordered_json;

std::string event_line(WallTime at, const Event& event) {
    Json json;
    json["kind"] = event.kind;
    json["at"] = to_rfc3339(at, 6);
    json["subject"] = event.subject;
    json["text"] = event.text;
    json["fields"] = fields_json<Json>(event);
    return json_text(json) + '\n';
}

}  // namespace kokuin::store
