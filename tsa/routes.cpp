#include "tsa/routes.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <memory>

#include <nlohmann/json.hpp>

#include "base/json_text.h"
#include "base/net/owner.h"

namespace kokuin::tsa {
namespace {

using net::Request;
using net::Response;

Response problem(int status, const std::string& text) {
    return Response::json(status, json_text(nlohmann::json{{"error", text}}));
}

/// Parses a JSON message, lets `act` answer it, and turns both outcomes into a response. What the TAA, a
/// known and authenticated peer, did wrong it is told; what failed here stays in our log.
template <typename Message, typename Act>
Response exchange(const Request& request, Act act) {
    auto message = Message::from_json(as_text(request.body));
    if (!message) return problem(400, message.error().text);
    auto answer = act(*message);
    if (answer) return Response::json(200, answer->to_json());
    if (answer.error().kind == Error::Kind::usage) return problem(400, answer.error().text);
    spdlog::error("audit: {}", answer.error().text);
    return problem(503, "not possible at the moment; try again");
}

}  // namespace

void add_stamping_routes(net::Router& router, Stamper& stamper, const std::vector<tsp::Policy>& policies) {
    const net::RouteLimits limits{{"application/timestamp-query"}, std::nullopt};
    auto all = std::make_shared<tsp::PolicyRules>();
    for (const auto& policy : policies) all->offered.push_back(&policy);
    const auto stamp = [&stamper](const tsp::PolicyRules& rules, const Request& request,
                                  const net::Reply& reply) {
        stamper.respond(request.body, rules, [reply](Bytes response) {
            reply(Response::octets(200, "application/timestamp-reply", std::move(response)));
        });
    };
    const auto any = [stamp, all](const Request& request, const net::Reply& reply) {
        stamp(*all, request, reply);
    };
    router.add_later("POST", "/", any, limits);
    router.add_later("POST", "/tsa", any, limits);
    for (const auto& policy : policies)
        router.add_later(
            "POST", "/tsa/" + policy.name,
            [stamp, rules = tsp::PolicyRules{{&policy}}](const Request& request, const net::Reply& reply) {
                stamp(rules, request, reply);
            },
            limits);
}

void add_repository_routes(net::Router& router, const TacRepository& tacs) {
    router.add("GET", "/repository/tac/{serial}", [&tacs](const Request& request) {
        auto tac = tacs.find(request.parameter("serial"));
        if (!tac) {
            spdlog::warn("repository: {}", tac.error().text);
            auto later = Response::text(503, "not possible at the moment; try again");
            later.fields = {{"Retry-After", "2"}, {"Cache-Control", "no-store"}};
            return later;
        }
        if (!*tac) {
            auto none = Response::text(404, "there is no TAC with this serial number");
            none.fields = {{"Cache-Control", "no-store"}};  // there may be one tomorrow
            return none;
        }
        auto found = Response::octets(200, "application/pkix-attr-cert", std::move(**tac));
        found.fields = {{"Cache-Control", "public, max-age=31536000, immutable"}};
        return found;
    });
}

void add_log_routes(net::Router& router, const store::Archive& archive, LogTiles& tiles) {
    const auto note_or = [](const std::string& note, const char* none) {
        auto response = note.empty() ? Response::text(404, none)
                                     : Response::octets(200, "text/plain; charset=utf-8",
                                                        Bytes(note.begin(), note.end()));
        response.fields = {{"Cache-Control", "no-store"}};
        return response;
    };
    router.add("GET", "/repository/checkpoint", [&archive, note_or](const Request&) {
        return note_or(archive.checkpoint(), "no checkpoint has been signed yet");
    });
    router.add("GET", "/repository/checkpoint/witnessed", [&archive, note_or](const Request&) {
        return note_or(archive.witnessed(), "no witness has cosigned a checkpoint yet");
    });
    router.add_later("GET", "/repository/tile/{level}/{path...}",
                     [&tiles](const Request& request, const net::Reply& reply) {
                         tiles.answer(request.parameter("level"), request.parameter("path"), reply);
                     });
}

void add_health_routes(net::Router& router, const Status& status) {
    router.add("GET", "/healthz", [](const Request&) { return Response::text(200, "alive"); });
    router.add("GET", "/readyz", [&status](const Request&) {
        const auto [ready, text] = status.readiness();
        return Response::json(ready ? 200 : 503, text + '\n');
    });
    router.add("GET", "/metrics", [&status](const Request&) {
        return Response::octets(200, "text/plain; version=0.0.4; charset=utf-8", [&] {
            const auto text = status.metrics();
            return Bytes(text.begin(), text.end());
        }());
    });
}

void add_audit_routes(net::Router& router, Audited& audited, const std::string& peer) {
    const auto guarded = [peer](const auto& handler) {
        return [peer, handler](const Request& request) {
            const auto& certificate = request.peer.certificate;
            const bool known =
                certificate && std::find(certificate->dns_names.begin(), certificate->dns_names.end(),
                                         peer) != certificate->dns_names.end();
            if (known) return handler(request);
            spdlog::warn("audit: {} came with a certificate that isn't for {}", request.peer.text(), peer);
            return problem(403, "this certificate is not the one of the TAA");
        };
    };
    const net::RouteLimits limits{{"application/json"}, tac::max_body};
    router.add("POST", "/audit/clock", guarded([&audited](const Request& request) {
                   return exchange<tac::ClockRequest>(request, [&](const tac::ClockRequest& message) {
                       return audited.read_clock(message);
                   });
               }),
               limits);
    router.add("PUT", "/audit/tac", guarded([&audited](const Request& request) {
                   return exchange<tac::TacDelivery>(
                       request, [&](const tac::TacDelivery& message) { return audited.deliver(message); });
               }),
               limits);
    router.add("POST", "/audit/notice", guarded([&audited](const Request& request) {
                   return exchange<tac::Notice>(
                       request, [&](const tac::Notice& message) { return audited.take_notice(message); });
               }),
               limits);
}

void add_control_routes(net::Router& router, const Status& status) {
    router.add("GET", "/status", net::for_owner("tsad", [&status](const Request&) {
                   return Response::json(200, status.status());
               }));
}

}  // namespace kokuin::tsa
