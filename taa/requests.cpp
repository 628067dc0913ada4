#include "taa/requests.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/text.h"
#include "tac/exchange.h"

namespace kokuin::taa {
namespace {

/// DNS names compare without case (RFC 4343).
bool same_name(std::string_view a, std::string_view b) {
    const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
    return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                      [&](char x, char y) { return lower(x) == lower(y); });
}

bool shows(const net::Peer& peer, const std::string& name) {
    if (!peer.encrypted || !peer.certificate) return false;
    const auto& names = peer.certificate->dns_names;
    return std::any_of(names.begin(), names.end(), [&](const auto& shown) { return same_name(shown, name); });
}

net::Response answer_to(const net::Request& request, const std::vector<TsuSettings>& tsus, const Pace& pace,
                        const Refusal& refusal, const Show& show, const Ask& ask) {
    const auto wanted = tac::AuditRequest::from_json(as_text(request.body));
    if (!wanted) return net::Response::text(400, "not an audit request");
    const auto tsu = std::find_if(tsus.begin(), tsus.end(), [&](const TsuSettings& settings) {
        return settings.called == wanted->tsu && shows(request.peer, settings.peer);
    });
    if (tsu == tsus.end()) {
        spdlog::warn(
            "audit-request refused peer={} tsu=\"{}\" text=\"no [tsu] has this name and a peer name of its "
            "channel certificate\"",
            request.peer.text(), one_line(wanted->tsu, 64));
        return net::Response::text(403, "not your TSU");
    }
    if (const auto why = refusal(tsu->name)) {
        spdlog::warn("audit-request refused peer={} tsu={} text=\"{}\"", request.peer.text(), tsu->name,
                     *why);
        return net::Response::text(403, "this TSU isn't served at present; its TAA knows why");
    }
    if (!wanted->certificate.empty())
        if (auto done = show(*tsu, wanted->certificate); !done) {
            spdlog::warn("audit-request refused peer={} tsu={} text=\"{}\"", request.peer.text(), tsu->name,
                         done.error().text);
            return done.error().kind == Error::Kind::no
                       ? net::Response::text(403, done.error().text)
                       : net::Response::text(503, "not possible at the moment");
        }
    const auto answer = ask(tsu->name);
    if (!answer) return net::Response::text(503, "stopping");
    spdlog::info("audit-request tsu={} running={} in_ms={} why=\"{}\"", tsu->name, answer->running,
                 std::chrono::ceil<milliseconds>(answer->in).count(), one_line(wanted->why, 256));
    tac::AuditAnswer out;
    out.accepted = true;
    // Sooner than one spacing after the audit it gets, asking again would bring nothing.
    out.retry_after =
        std::chrono::ceil<seconds>(answer->in + std::max<nanoseconds>(pace.request_spacing, seconds(1)));
    return net::Response::json(200, out.to_json());
}

}  // namespace

void add_request_route(net::Router& router, const std::vector<TsuSettings>& tsus, const Pace& pace,
                       Refusal refusal, Show show, Ask ask) {
    router.add(
        "POST", "/audit/request",
        [tsus, pace, refusal = std::move(refusal), show = std::move(show), ask = std::move(ask)](
            const net::Request& request) { return answer_to(request, tsus, pace, refusal, show, ask); },
        {{"application/json"}, tac::max_body});
}

}  // namespace kokuin::taa
