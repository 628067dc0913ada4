#include "tsa/imports_desk.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/account.h"
#include "base/json_text.h"
#include "base/net/outcome.h"
#include "base/net/owner.h"
#include "base/text.h"

namespace kokuin::tsa {
namespace {

using net::Response;
using nlohmann::json;

constexpr std::size_t longest_subject = 200;
/// In base64, and what else is said of it.
constexpr std::size_t largest_import = store::largest_content / 3 * 4 + (64U << 10U);

/// What the request says of an import; the account is the caller's.
Result<store::Import> read_import(const json& body, const std::string& account, WallTime now) {
    store::Import import;
    import.kind = text_member(body, "kind");
    const auto& kinds = store::import_kinds();
    if (std::find(kinds.begin(), kinds.end(), import.kind) == kinds.end())
        return Error::usage("--kind: \"" + one_line(import.kind, 64) +
                            "\" is none of room-entry, subscription, other");
    import.subject = text_member(body, "subject");
    if (import.subject.empty() || import.subject != one_line(import.subject, longest_subject))
        return Error::usage(
            "--subject: one line of 1 to 200 octets that says what it is about; no name of a person");
    for (const auto& [key, time] : {std::pair("from", &import.from), {"to", &import.to}}) {
        const auto text = text_member(body, key);
        const auto read = from_rfc3339(text);
        if (!read)
            return Error::usage("--" + std::string(key) + ": \"" + one_line(text, 64) +
                                "\" is no date or time: give 2026-11-23 or 2026-11-23T12:00:00Z (RFC 3339)");
        *time = *read;
    }
    if (import.from >= import.to)
        return Error::usage(
            "--from isn't before --to: the period goes up to --to, without that moment itself");
    if (import.to > now)
        return Error::usage("--to " + to_rfc3339(import.to, 0) + " is yet to come; import what is over");
    import.why = text_member(body, "why");
    import.by = text_member(body, "by");
    import.account = account;
    if (auto done = check_why_and_by(import.why, import.by); !done) return std::move(done).error();
    return import;
}

}  // namespace

store::EventSource ImportsDesk::events() const {
    return [this](const store::EventQuery& query, const store::Visitor& visit) {
        return parts_.archive.events(query, visit);
    };
}

void ImportsDesk::settle() {
    const std::lock_guard turn(turn_);
    const auto warn = [](const Error& error) { spdlog::error("imports: {}", error.text); };
    const auto files = folder_.files();
    if (!files) return warn(files.error());
    if (files->empty()) return;
    const auto imports = store::read_imports(events());
    if (!imports) return warn(imports.error());
    for (const auto& import : *imports) {
        if (!import.erased || folder_.state(import.content) == store::ContentState::missing) continue;
        if (auto done = folder_.erase(import.content.id); !done)
            warn(done.error());
        else
            spdlog::warn("imports: {} was still there, and its erasure is recorded: erased",
                         import.content.id);
    }
}

Result<std::string> ImportsDesk::list() {
    const std::lock_guard turn(turn_);
    const auto seen = store::look_at_imports(events(), &folder_, parts_.journal.now());
    if (!seen) return seen.error();
    return store::imports_json(*seen);
}

Result<store::KeptContent> ImportsDesk::import(store::Import import, View content) {
    const std::lock_guard turn(turn_);
    auto kept = folder_.keep(content);
    if (!kept) return std::move(kept).error();
    import.content = *kept;
    if (auto done = parts_.journal.write(event_of(import)); !done) {
        // It may be there all the same (store/archive.h), so the content stays; the list tells.
        return Error::environment(done.error().text + "; its content lies in " + folder_.dir() + " as " +
                                  kept->id + ": see tsactl archive imports");
    }
    spdlog::info("imports: {} kind={} octets={} account={}", kept->id, import.kind, kept->size,
                 import.account);
    return kept;
}

Result<std::string> ImportsDesk::erasable(const std::string& id) const {
    const auto imports = store::read_imports(events());
    if (!imports) return imports.error();
    for (const auto& import : *imports) {
        if (import.content.id != id) continue;
        if (!import.erased)
            return "import " + id + ", " + import.kind + ", hmac sha256 " + to_hex(import.content.hmac) +
                   ", to be kept until " + to_rfc3339(kept_until(import), 0);
        if (folder_.state(import.content) != store::ContentState::missing) return std::string();
        return Error::no("the import " + id + " is erased already, since " + to_rfc3339(*import.erased, 0));
    }
    const auto files = folder_.files();
    if (!files) return files.error();
    if (std::find(files->begin(), files->end(), id) != files->end())
        return "import " + id + ", without a record";
    return Error::no("there is no import '" + one_line(id, 64) + "'; tsactl archive imports lists them");
}

Result<std::string> ImportsDesk::carry_out(const store::Erasure& erasure) {
    const std::lock_guard turn(turn_);
    const auto what = erasable(erasure.id);
    if (!what) return what.error();
    if (!what->empty())
        if (auto done = parts_.journal.write(event_of(erasure)); !done) return std::move(done).error();
    if (auto done = folder_.erase(erasure.id); !done)
        return Error::environment(done.error().text +
                                  "; its erasure is recorded: mend that, and repeat tsactl archive erase");
    spdlog::warn("imports: {} erased account={} by=\"{}\" custodians=\"{}\" text=\"{}\"", erasure.id,
                 erasure.account, erasure.by, erasure.custodians, erasure.why);
    return "the content of the import " + erasure.id + " is erased; copies of its folder are yours to erase";
}

Result<std::string> ImportsDesk::erase(const store::Erasure& wanted) {
    const auto what = erasable(wanted.id);
    if (!what) return what.error();
    for (const auto& hsm : parts_.hsms.all()) {
        auto* const approvals = hsm->approvals();
        // What is recorded already was agreed to.
        if (!approvals || what->empty()) continue;
        const auto proposal = approvals->propose(
            {"import-erase", *what, wanted.why, wanted.by, wanted.account},
            [this, id = wanted.id]() -> Done {
                const auto still = erasable(id);
                return still ? Done() : still.error();
            },
            [this, wanted](const hsm::custody::Agreement& agreement) {
                auto agreed = wanted;
                agreed.agreed_in = agreement.id;
                agreed.custodians = agreement.custodians;
                return carry_out(agreed);
            });
        if (!proposal) return proposal.error();
        return json_text(json{{"proposal", parse_json(proposal->to_json())}, {"hsm", hsm->name()}});
    }
    const auto done = carry_out(wanted);
    if (!done) return done.error();
    return json_text(json{{"text", *done}});
}

void ImportsDesk::add_routes(net::Router& router) {
    router.add("GET", "/archive/imports", net::for_owner("tsad", [this](const net::Request&) {
                   const auto answer = list();
                   return answer ? Response::json(200, *answer) : net::problem(answer.error());
               }));
    router.add("POST", "/archive/imports",
               net::for_owner(
                   "tsad",
                   [this](const net::Request& request) {
                       const auto body = parse_json(as_text(request.body));
                       const auto said =
                           read_import(body, account_text(request.peer.process->uid), parts_.journal.now());
                       if (!said) return net::problem(said.error());
                       const auto content = from_base64(text_member(body, "content"));
                       if (!content || content->empty())
                           return net::problem(Error::usage("the content is empty"));
                       const auto kept = import(*said, *content);
                       if (!kept) return net::problem(kept.error());
                       return Response::json(200, json_text(json{{"id", kept->id}, {"octets", kept->size}}));
                   }),
               {{"application/json"}, largest_import});
    router.add("POST", "/archive/imports/erase",
               net::for_owner("tsad",
                              [this](const net::Request& request) {
                                  const auto body = parse_json(as_text(request.body));
                                  const store::Erasure wanted{
                                      text_member(body, "id"), text_member(body, "why"),
                                      text_member(body, "by"), account_text(request.peer.process->uid)};
                                  if (auto done = check_why_and_by(wanted.why, wanted.by); !done)
                                      return net::problem(done.error());
                                  const auto answer = erase(wanted);
                                  return answer ? Response::json(200, *answer) : net::problem(answer.error());
                              }),
               {{"application/json"}, std::nullopt});
}

}  // namespace kokuin::tsa
