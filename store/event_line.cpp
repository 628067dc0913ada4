#include "store/event_line.h"

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
    return json.dump(-1, ' ', false, Json::error_handler_t::replace) + '\n';
}

}  // namespace kokuin::store
