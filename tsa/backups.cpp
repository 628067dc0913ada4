#include "tsa/backups.h"

#include <nlohmann/json.hpp>

#include "base/account.h"
#include "base/json_text.h"
#include "base/net/outcome.h"
#include "base/net/owner.h"
#include "base/text.h"

namespace kokuin::tsa {
namespace {

using net::Response;

constexpr std::size_t largest_report = 64U << 10U;

Response record(Journal& journal, const net::Request& request) {
    const auto body = parse_json(as_text(request.body));
    const auto number = [&body](const char* key) {
        const auto at = body.find(key);
        return at != body.end() && at->is_number_integer() ? at->get<std::int64_t>() : -1;
    };
    if (!body.is_object() || !body.value("dir", nlohmann::json()).is_string() || number("records") < 0)
        return net::problem(Error::usage("no backup is told; is this tool of the same version?"));
    store::Event event;
    event.kind = "archive.backed-up";
    event.subject = "archive";
    const auto dir = one_line(body["dir"].get<std::string>(), 1000);
    event.fields["dir"] = dir;
    event.fields["records"] = number("records");
    if (const auto size = number("checkpoint"); size >= 0) event.fields["checkpoint"] = size;
    event.fields["account"] = account_text(request.peer.process->uid);
    event.text = dir + " holds a backup of the first " + std::to_string(number("records")) + " records";
    if (auto done = journal.write(event); !done) return net::problem(done.error());
    return Response::json(200, json_text(nlohmann::json{{"recorded", event.kind}}));
}

}  // namespace

void add_backup_route(net::Router& router, Journal& journal) {
    router.add(
        "POST", "/archive/backed-up",
        net::for_owner("tsad", [&journal](const net::Request& request) { return record(journal, request); }),
        {{"application/json"}, largest_report});
}

}  // namespace kokuin::tsa
