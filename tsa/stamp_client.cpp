#include "tsa/stamp_client.h"

#include <utility>

#include "base/net/client.h"
#include "tsa/protocol/response.h"

namespace kokuin::tsa {
namespace {

/// What a client must compare before it believes an answer (RFC 3161 2.2).
Done fits(const tsp::Token& token, const tsp::Request& request) {
    const auto& info = token.tst_info;
    if (info.hash_oid != request.hash_oid || info.imprint != request.imprint)
        return Error::no("the token is for another document than the one that was sent");
    if (info.nonce != request.nonce) return Error::no("the token answers another request (nonce)");
    if (request.policy && info.policy != *request.policy)
        return Error::no("the token has policy " + info.policy + ", not the one asked for");
    return {};
}

Result<StampAnswer> ask(const StampTarget& target, const tsp::Request& request, nanoseconds within) {
    net::ClientOptions options;
    options.host = target.url.host;
    options.port = target.url.port;
    if (target.url.https) options.tls = net::ClientTls{target.ca, target.url.host, "", ""};
    const auto client = net::Client::make(std::move(options));
    if (!client) return client.error();
    net::Call call;
    call.method = "POST";
    call.path = target.url.path;
    call.content_type = "application/timestamp-query";
    call.body = tsp::encode(request);
    const auto answer = client->request(call, within);
    if (!answer) return answer.error();
    if (answer->status != 200)
        return Error::environment("HTTP status " + std::to_string(answer->status) + "; is this a TSA's URL?");
    const auto response = tsp::parse_response(answer->body);
    if (!response) return Error::environment("no RFC 3161 response: " + response.error().text);
    if (!response->granted()) return Error::no("refused: " + response->text());
    auto token = tsp::parse_token(*response->token);
    if (!token) return Error::no("the token can't be read: " + token.error().text);
    if (const auto done = fits(*token, request); !done) return done.error();
    return StampAnswer{answer->body, std::move(*token)};
}

}  // namespace

tsp::Request stamp_request(pki::Hash hash, Bytes imprint, const std::optional<std::string>& policy,
                           bool certificates) {
    tsp::Request request;
    request.hash_oid = std::string(pki::oid(hash));
    request.imprint = std::move(imprint);
    request.policy = policy;
    auto nonce = random_octets(16);
    nonce[0] = static_cast<std::uint8_t>((nonce[0] & 0x3fU) | 0x40U);  // positive and minimal as it stands
    request.nonce = nonce;
    request.cert_req = certificates;
    return request;
}

Result<StampAnswer> ask_for_stamp(const StampTarget& target, const tsp::Request& request,
                                  nanoseconds within) {
    auto answer = ask(target, request, within);
    if (!answer)
        return std::move(answer).error().in((target.url.https ? "https://" : "http://") + target.url.host +
                                            ":" + std::to_string(target.url.port) + target.url.path);
    return answer;
}

}  // namespace kokuin::tsa
