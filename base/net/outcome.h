// Results over HTTP, between our own programs: what an operator's tool asks of a running server.
#pragma once

#include <string>

#include "base/net/http.h"
#include "base/result.h"

namespace kokuin::net {

/// {"error": text}: 409 for no, 400 for usage, 503 for environment.
Response problem(const Error& error);
/// What problem() made, back; `where` ("taad on run/taad.sock") is named if the answer says nothing. Only for
/// a status other than 200.
Error error_of(const Response& answer, const std::string& where);

}  // namespace kokuin::net
