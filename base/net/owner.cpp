#include "base/net/owner.h"

#include <spdlog/spdlog.h>
#include <unistd.h>

#include <utility>

namespace kokuin::net {

Handler for_owner(const std::string& program, Handler handler) {
    return [refusal = R"({"error":"only root and the user )" + program + R"( runs as may do this"})",
            handler = std::move(handler)](const Request& request) {
        const auto& process = request.peer.process;
        if (process && (process->uid == 0 || process->uid == ::geteuid())) return handler(request);
        spdlog::warn("control: {} is not allowed here", request.peer.text());
        return Response::json(403, refusal);
    };
}

}  // namespace kokuin::net
