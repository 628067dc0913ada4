#include "tsa/published_keys.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>
#include <vector>

#include "base/file.h"
#include "store/log_keys.h"

namespace kokuin::tsa {
namespace {

using net::Request;
using net::Response;

constexpr std::size_t largest_policy = 16U << 20U;

/// There may be another one in some minutes.
Response for_now(Response response) {
    response.fields = {{"Cache-Control", "public, max-age=300"}};
    return response;
}

Response none(const char* text) {
    auto response = Response::text(404, text);
    response.fields = {{"Cache-Control", "no-store"}};
    return response;
}

/// What an operator should mend is a line in the log.
Response not_now(const Error& error) {
    spdlog::warn("repository text=\"{}\"", error.text);
    auto response = Response::text(503, "not possible at the moment; try again");
    response.fields = {{"Cache-Control", "no-store"}, {"Retry-After", "2"}};
    return response;
}

Response certificates(const KeyLife& life) {
    std::string text;
    std::vector<pki::Certificate> above;
    for (const KeyEntry& entry : life.all()) {
        if (!entry.certificate) continue;
        const auto own = life.certificates(entry);
        if (!own) return not_now(own.error());
        const auto& [certificate, chain] = *own;
        text += "# TSU " + entry.tsu + ", " +
                (entry.compromised ? "compromised" : std::string(name(entry.state))) + "\n" +
                certificate.pem();
        for (const auto& one : chain)
            if (std::find(above.begin(), above.end(), one) == above.end()) above.push_back(one);
    }
    for (const auto& one : above) text += one.pem();
    if (text.empty()) return none("no TSU has a certificate yet");
    return for_now(Response::octets(200, "application/x-pem-file", Bytes(text.begin(), text.end())));
}

Response log_keys(const std::string& archive) {
    auto reader = store::ArchiveReader::open(archive);
    if (!reader) return not_now(reader.error());
    const auto keys = store::recorded_keys(**reader);
    if (!keys) return not_now(keys.error());
    std::string text;
    for (const auto& key : *keys) text += (text.empty() ? "" : "\n") + key.text();
    return text.empty() ? none("no key signs checkpoints here") : for_now(Response::text(200, text));
}

Response policy_document(const std::string& path) {
    if (path.empty()) return none("no policy is published here");
    auto octets = read_file(path, largest_policy);
    if (!octets) return not_now(octets.error());
    constexpr std::array<std::pair<std::string_view, const char*>, 3> types{
        {{".pdf", "application/pdf"},
         {".html", "text/html; charset=utf-8"},
         {".txt", "text/plain; charset=utf-8"}}};
    const auto type = std::find_if(types.begin(), types.end(),
                                   [&path](const auto& one) { return path.ends_with(one.first); });
    return for_now(Response::octets(200, type == types.end() ? "application/octet-stream" : type->second,
                                    std::move(*octets)));
}

}  // namespace

void add_key_routes(net::Router& router, const KeyLife& life, const std::string& archive,
                    const std::string& policy) {
    router.add("GET", "/repository/certificates", [&life](const Request&) { return certificates(life); });
    router.add("GET", "/repository/log-key", [archive](const Request&) { return log_keys(archive); });
    router.add("GET", "/repository/policy", [policy](const Request&) { return policy_document(policy); });
}

}  // namespace kokuin::tsa
