#include "tsa/compromise.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <charconv>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>

#include "base/json_text.h"
#include "base/text.h"
#include "pki/certificate.h"
#include "pki/hash.h"

namespace kokuin::tsa {
namespace {

using net::Request;
using net::Response;
using Json = nlohmann::ordered_json;

/// What one request may look through: others want the disk too.
constexpr int most_looked_at = 20'000;
constexpr std::size_t most_tokens = 5'000;
/// A clock that was set back writes a genTime before the key's activation.
constexpr nanoseconds margin = std::chrono::hours(24);

std::string dump(const Json& json, int indent = -1) {
    return json_text(json, indent);
}

/// Names and digits as `tsaudit find --json` has them.
Json token_json(const store::Issuance& issuance) {
    const auto hash = pki::hash_from_oid(issuance.imprint_algorithm);
    const auto us = issuance.gen_time_us;
    return {{"serial", to_hex(issuance.serial)},
            {"gen_time", to_rfc3339(from_unix_us(us), us % 1000 == 0 ? 3 : 6)},
            {"policy", issuance.policy},
            {"imprint_algorithm", hash ? std::string(pki::name(*hash)) : issuance.imprint_algorithm},
            {"imprint", to_hex(issuance.imprint)}};
}

std::string path_of(const Compromise& compromise) {
    return "/repository/lost/" + compromise.key.certificate_sha256;
}

Response unchanging(Response response) {
    response.fields = {{"Cache-Control", "no-store"}};  // there may be more of it in a minute
    return response;
}

Response later(const Error& error) {
    spdlog::warn("repository: {}", error.text);
    auto response = unchanging(Response::text(503, "not possible at the moment; try again"));
    response.fields.emplace_back("Retry-After", "2");
    return response;
}

Response notices(const KeyLife& life) {
    Json all = Json::array();
    for (const auto& one : life.compromises()) {
        const auto certificates = life.certificates(one.key);
        if (!certificates) return later(certificates.error());
        const auto& certificate = certificates->first;
        const auto or_null = [](const std::optional<WallTime>& time) {
            return time ? Json(to_rfc3339(*time, 0)) : Json();
        };
        all.push_back(
            {{"notice", "key-compromised"},
             {"at", to_rfc3339(one.at, 0)},
             {"tsu", one.key.tsu},
             {"certificate",
              {{"subject", certificate.subject_text()},
               {"issuer", certificate.issuer_text()},
               {"serial", to_hex(certificate.serial())},
               {"sha256", one.key.certificate_sha256}}},
             {"signed_from", or_null(one.key.activated)},
             {"signed_until", or_null(one.key.activated ? std::optional(one.at) : std::nullopt)},
             {"text",
              "The private key of this certificate is, or may be, in other hands. No token that it signed "
              "can be relied on any more, whatever its time."},
             {"tokens", path_of(one)}});
    }
    return unchanging(Response::json(200, dump({{"notices", all}})));
}

bool is_of(const Compromise& compromise, const store::Issuance& issuance) {
    const auto& all = compromise.key.certificates;
    return std::find(all.begin(), all.end(), issuance.certificate) != all.end();
}

/// Every issuance since the key was activated, whoever signed it.
Done each_candidate(store::ArchiveReader& reader, const Compromise& compromise, store::RecordNumber first,
                    const store::Visitor& visit) {
    if (!compromise.key.activated) return {};
    store::Query query;
    query.first = first;
    query.from = *compromise.key.activated - margin;
    return reader.find(query, visit);
}

Response lost(const Request& request, const KeyLife& life, const std::string& archive) {
    const auto which = request.parameter("certificate");
    const auto none = [] {
        return unchanging(Response::text(404, "there is no notice about this certificate"));
    };
    const auto all = life.compromises();
    const auto compromise = std::find_if(all.begin(), all.end(), [which](const Compromise& one) {
        return one.key.certificate_sha256 == which;
    });
    if (compromise == all.end()) return none();
    store::RecordNumber first = 0;
    if (const auto text = request.parameter("first"); !text.empty()) {
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), first);
        if (error != std::errc() || end != text.data() + text.size() || first < 0) return none();
    }
    auto reader = store::ArchiveReader::open(archive);
    if (!reader) return later(reader.error());
    Json tokens = Json::array();
    std::optional<store::RecordNumber> next;
    int looked_at = 0;
    const auto done = each_candidate(**reader, *compromise, first, [&](const store::Found& found) {
        if (tokens.size() == most_tokens || ++looked_at > most_looked_at) {
            next = found.record.number;
            return false;
        }
        if (is_of(*compromise, found.issuance())) tokens.push_back(token_json(found.issuance()));
        return true;
    });
    if (!done) return later(done.error());
    return unchanging(Response::json(
        200, dump({{"certificate", compromise->key.certificate_sha256},
                   {"tokens", tokens},
                   {"next", next ? Json(path_of(*compromise) + "/" + std::to_string(*next)) : Json()}})));
}

}  // namespace

Done each_lost_token(store::ArchiveReader& reader, const Compromise& compromise, store::RecordNumber first,
                     const store::Visitor& visit) {
    return each_candidate(reader, compromise, first, [&](const store::Found& found) {
        return !is_of(compromise, found.issuance()) || visit(found);
    });
}

std::string lost_token_json(const store::Issuance& issuance) {
    return dump(token_json(issuance));
}

std::string revocation_request_json(const Compromise& compromise, const pki::Certificate& certificate,
                                    const std::string& why, const std::string& by) {
    return dump({{"request", "revocation"},
                 {"certificate_sha256", to_hex(certificate.sha256())},
                 {"subject", certificate.subject_text()},
                 {"issuer", certificate.issuer_text()},
                 {"serial", to_hex(certificate.serial())},
                 {"reason", "keyCompromise"},
                 {"invalidity_date",
                  to_rfc3339(compromise.key.activated.value_or(certificate.not_before()), 0)},
                 {"tsu", compromise.key.tsu},
                 {"why", why},
                 {"asked_by", by},
                 {"asked_at", to_rfc3339(compromise.at, 0)}},
                2) +
           '\n';
}

void add_notice_routes(net::Router& router, const KeyLife& life, const std::string& archive) {
    router.add("GET", "/repository/notices", [&life](const Request&) { return notices(life); });
    // One page at a time: strangers' reading must not keep the disk from those who stamp.
    const auto page = [&life, archive, busy = std::make_shared<std::mutex>()](const Request& request) {
        const std::unique_lock turn(*busy, std::try_to_lock);
        return turn.owns_lock() ? lost(request, life, archive)
                                : later(Error::environment("lost tokens: another page is being read"));
    };
    router.add("GET", "/repository/lost/{certificate}", page);
    router.add("GET", "/repository/lost/{certificate}/{first}", page);
}

}  // namespace kokuin::tsa
