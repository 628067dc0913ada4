#include "tsa/programs_desk.h"

#include <spdlog/spdlog.h>

#include <nlohmann/json.hpp>
#include <set>

#include "base/account.h"
#include "base/json_text.h"
#include "base/net/outcome.h"
#include "base/net/owner.h"

namespace kokuin::tsa {
namespace {

using net::Response;
using nlohmann::json;

constexpr std::size_t largest_order = 64U << 10U;

json in_list(const ProgramList& list, const std::string& path) {
    const auto at = list.find(path);
    return at == list.end() ? json(nullptr) : json(at->second);
}

std::string all_of(Programs& programs) {
    programs.look();
    const auto seen = programs.snapshot();
    std::set<std::string> paths;
    for (const auto* list : {&seen.counts, &seen.now})
        for (const auto& [path, digest] : *list) paths.insert(path);
    std::map<std::string, std::string> states;
    for (const auto& one : changes(seen.counts, seen.now)) states[one.path] = name(one.kind);
    json files = json::array();
    for (const auto& path : paths) {
        json file{{"path", path},
                  {"sha256", in_list(seen.now, path)},
                  {"counts", in_list(seen.counts, path)},
                  {"state", states.count(path) > 0 ? states[path] : "as it should be"}};
        if (const auto why = seen.reads.find(path); why != seen.reads.end()) file["why"] = why->second;
        files.push_back(std::move(file));
    }
    json joined = json::array();
    for (const auto& [path, digest] : seen.joined) joined.push_back({{"path", path}, {"sha256", digest}});
    return json_text(json{{"list", digest_of(seen.now)},
                          {"counts", digest_of(seen.counts)},
                          {"stops", seen.stops},
                          {"files", files},
                          {"joined", joined},
                          {"troubles", seen.troubles},
                          {"text", to_text(seen.now)}});
}

Result<std::string> carry_out(Programs& programs, const std::string& digest, const ProgramsAccepted& by) {
    if (auto done = programs.accept(digest, by); !done) return std::move(done).error();
    spdlog::warn("programs event=accepted list={} account={} by=\"{}\" custodians=\"{}\" text=\"{}\"", digest,
                 by.account, by.by, by.custodians, by.why);
    const auto left = programs.snapshot().troubles.size();
    return "the programs count as they are now, SHA-256 " + digest +
           (left == 0 ? "" : "; something else is left: tsactl programs list");
}

Result<std::string> accept(Programs& programs, Hsms& hsms, const ProgramsAccepted& by) {
    programs.look();
    const auto digest = digest_of(programs.snapshot().now);
    if (auto done = programs.acceptable(digest); !done) return std::move(done).error();
    for (const auto& hsm : hsms.all()) {
        auto* const approvals = hsm->approvals();
        if (!approvals) continue;
        const auto proposal = approvals->propose(
            {"programs-accept", "programs, list sha256 " + digest, by.why, by.by, by.account},
            [&programs, digest] { return programs.acceptable(digest); },
            [&programs, digest, by](const hsm::custody::Agreement& agreement) {
                auto agreed = by;
                agreed.agreed_in = agreement.id;
                agreed.custodians = agreement.custodians;
                return carry_out(programs, digest, agreed);
            });
        if (!proposal) return proposal.error();
        return json_text(json{{"proposal", parse_json(proposal->to_json())}, {"hsm", hsm->name()}});
    }
    const auto done = carry_out(programs, digest, by);
    if (!done) return done;
    return json_text(json{{"text", *done}});
}

}  // namespace

void add_programs_routes(net::Router& router, Programs& programs, Hsms& hsms) {
    router.add("GET", "/programs", net::for_owner("tsad", [&programs](const net::Request&) {
                   return Response::json(200, all_of(programs));
               }));
    router.add(
        "POST", "/programs/accept",
        net::for_owner(
            "tsad",
            [&programs, &hsms](const net::Request& request) {
                const auto body = parse_json(as_text(request.body));
                const auto text = [&body](const char* key) { return text_member(body, key); };
                const ProgramsAccepted by{text("why"), text("by"), account_text(request.peer.process->uid)};
                if (auto done = check_why_and_by(by.why, by.by); !done) return net::problem(done.error());
                const auto answer = accept(programs, hsms, by);
                return answer ? Response::json(200, *answer) : net::problem(answer.error());
            }),
        {{"application/json"}, largest_order});
}

}  // namespace kokuin::tsa
