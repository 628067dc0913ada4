#include "base/net/owner.h"

#include <unistd.h>
#include <catch2/catch.hpp>

using namespace kokuin;

TEST_CASE("a control socket obeys root and its own user alone", "[owner]") {
    const auto handler =
        net::for_owner("tsad", [](const net::Request&) { return net::Response::text(200, "done"); });
    net::Request request;
    CHECK(handler(request).status == 403);  // not by a Unix socket at all
    request.peer.process.emplace();
    for (const uid_t uid : {uid_t{0}, ::geteuid()}) {
        request.peer.process->uid = uid;
        CHECK(handler(request).status == 200);
    }
    request.peer.process->uid = ::geteuid() + 1;
    const auto refused = handler(request);
    CHECK(refused.status == 403);
    CHECK(as_text(refused.body) == R"({"error":"only root and the user tsad runs as may do this"})");
}
