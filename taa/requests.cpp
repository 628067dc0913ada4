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

/// The TSU of this name, if it is this peer's; null otherwise, which the log says.
const TsuSettings* find(const std::vector<TsuSettings>& tsus, const std::string& called,
                        const net::Peer& peer) {
    const auto tsu = std::find_if(tsus.begin(), tsus.end(), [&](const TsuSettings& settings) {
        return settings.called == called && shows(peer, settings.peer);
    });
    if (tsu != tsus.end()) return &*tsu;
    spdlog::warn(
        "audit-request refused peer={} tsu=\"{}\" text=\"no [tsu] has this name and a peer name of its "
        "channel "
        "certificate\"",
        peer.text(), one_line(called, 64));
    return nullptr;
}

net::Response take_notice(const net::Request& request, const std::vector<TsuSettings>& tsus,
                          const Compromised& compromised) {
    const auto notice = tac::Notice::from_json(as_text(request.body));
    if (!notice || notice->kind != tac::Notice::Kind::key_compromised)
        return net::Response::text(400, "not a notice of a TSU");
    const auto* tsu = find(tsus, notice->tsu, request.peer);
    if (!tsu) return net::Response::text(403, "not your TSU");
    if (auto done = compromised(*tsu, notice->certificate_sha256, notice->text); !done) {
        spdlog::error("tsu={} peer={} text=\"it says that a key is compromised, but {}\"", tsu->name,
                      request.peer.text(), done.error().text);
        return done.error().kind == Error::Kind::no ? net::Response::text(403, done.error().text)
                                                    : net::Response::text(503, "not possible at the moment");
    }
    return net::Response::json(200, tac::NoticeAnswer{}.to_json());
}

net::Response answer_to(const net::Request& request, const std::vector<TsuSettings>& tsus, const Pace& pace,
                        const Refusal& refusal, const Show& show, const Ask& ask) {
    const auto wanted = tac::AuditRequest::from_json(as_text(request.body));
    if (!wanted) return net::Response::text(400, "not an audit request");
    const auto* tsu = find(tsus, wanted->tsu, request.peer);
    if (!tsu) return net::Response::text(403, "not your TSU");
    if (const auto why = refusal(tsu->name, wanted->certificate)) {
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

void add_notice_route(net::Router& router, const std::vector<TsuSettings>& tsus, Compromised compromised) {
    router.add("POST", "/audit/notice",
               [tsus, compromised = std::move(compromised)](const net::Request& request) {
                   return take_notice(request, tsus, compromised);
               },
               {{"application/json"}, tac::max_body});
}

}  // namespace kokuin::taa
