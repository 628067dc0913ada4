#include "base/net/outcome.h"

#include <nlohmann/json.hpp>

#include "base/json_text.h"
#include "base/text.h"

namespace kokuin::net {

using nlohmann::json;

Response problem(const Error& error) {
    const int status = error.kind == Error::Kind::no ? 409 : error.kind == Error::Kind::usage ? 400 : 503;
    return Response::json(status, json_text(json{{"error", error.text}}));
}

Error error_of(const Response& answer, const std::string& where) {
    const auto kind = answer.status == 409   ? Error::Kind::no
                      : answer.status == 400 ? Error::Kind::usage
                                             : Error::Kind::environment;
    const auto value = parse_json(as_text(answer.body));
    const bool said = value.is_object() && value.contains("error") && value["error"].is_string();
    return {kind, said ? one_line(value["error"].get<std::string>(), any_length)
                       : where + ": status " + std::to_string(answer.status)};
}

}  // namespace kokuin::net
