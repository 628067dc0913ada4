// A small RFC 3161 client.
#include <nlohmann/json.hpp>

#include "base/der.h"
#include "base/file.h"
#include "base/json_text.h"
#include "base/net/client.h"
#include "base/time.h"
#include "tsa/control/commands.h"
#include "tsa/protocol/request.h"
#include "tsa/protocol/response.h"
#include "tsa/protocol/token.h"

namespace kokuin::tsa::control {
namespace {

constexpr std::size_t largest_file = std::size_t{1} << 31U;
constexpr nanoseconds patience = seconds(30);

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

}  // namespace

Result<int> stamp(const StampOptions& options, bool as_json, std::ostream& out) {
    const auto data = read_file(options.file, largest_file);
    if (!data) return data.error();
    const auto hash = pki::hash_from_name(options.hash);
    if (!hash || *hash == pki::Hash::sha1)
        return Error::usage("--hash " + options.hash + ": allowed are sha256, sha384, sha512");
    if (!options.policy.empty() && !der::is_oid(options.policy))
        return Error::usage("--policy " + options.policy +
                            ": is no OID; allowed is a dotted one, e.g. 1.3.6.1.4.1.1291.1.1.1.2");
    const auto url = net::parse_url(options.url);
    if (!url) return Error::usage("--url " + options.url + ": " + url.error().text);
    if (url->https && options.ca.empty())
        return Error::usage("--url " + options.url + ": https needs --ca FILE, the server's anchors");

    tsp::Request request;
    request.hash_oid = std::string(pki::oid(*hash));
    request.imprint = pki::digest(*hash, *data);
    if (!options.policy.empty()) request.policy = options.policy;
    auto nonce = random_octets(16);
    nonce[0] = static_cast<std::uint8_t>((nonce[0] & 0x3fU) | 0x40U);  // positive and minimal as it stands
    request.nonce = nonce;
    request.cert_req = options.certificates;

    net::ClientOptions client_options;
    client_options.host = url->host;
    client_options.port = url->port;
    if (url->https) client_options.tls = net::ClientTls{options.ca, url->host, "", ""};
    const auto client = net::Client::make(std::move(client_options));
    if (!client) return client.error();
    net::Call call;
    call.method = "POST";
    call.path = url->path;
    call.content_type = "application/timestamp-query";
    call.body = tsp::encode(request);
    const auto answer = client->request(call, patience);
    if (!answer) return answer.error();
    if (answer->status != 200)
        return Error::environment(options.url + ": HTTP status " + std::to_string(answer->status) +
                                  "; is this a TSA's URL?");
    const auto response = tsp::parse_response(answer->body);
    if (!response)
        return Error::environment(options.url + ": no RFC 3161 response: " + response.error().text);
    if (!response->granted()) return Error::no(options.url + " refused: " + response->text());
    const auto token = tsp::parse_token(*response->token);
    if (!token) return Error::no(options.url + ": the token can't be read: " + token.error().text);
    if (const auto done = fits(*token, request); !done) return done.error();

    const auto output = options.output.empty() ? options.file + ".tsr" : options.output;
    if (const auto done = write_file(output, answer->body); !done) return done.error();
    const auto time = to_rfc3339(token->tst_info.gen_time);
    const auto serial = to_hex(token->tst_info.serial);
    if (as_json)
        out << json_text(nlohmann::json{{"file", output},
                                        {"serial", serial},
                                        {"gen_time", time},
                                        {"policy", token->tst_info.policy}})
            << '\n';
    else
        out << options.file << " stamped at " << time << ", serial " << serial << ": " << output << '\n';
    return 0;
}

}  // namespace kokuin::tsa::control
