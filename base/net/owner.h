// Who may command a running server over its Unix socket.
#pragma once

#include <string>

#include "base/net/router.h"

namespace kokuin::net {

/// A handler for root and the user this process runs as, by what the kernel says of the other end
/// (SO_PEERCRED); all others, and whoever comes by TCP, get a 403 with JSON {"error"} and a line in the log.
/// `program` is what they are told they may not command: "tsad".
Handler for_owner(const std::string& program, Handler handler);

}  // namespace kokuin::net
