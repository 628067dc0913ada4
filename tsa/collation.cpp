#include "tsa/collation.h"

#include <spdlog/spdlog.h>

#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "base/json_text.h"
#include "base/text.h"
#include "pki/certificate.h"
#include "store/prove.h"
#include "store/reader.h"
#include "store/removal.h"
#include "tac/tac.h"
#include "tsa/protocol/collation.h"

namespace kokuin::tsa {
namespace {

using net::Request;
using net::Response;
using Json = nlohmann::ordered_json;

constexpr std::size_t largest = 64U << 10U;

Json malformed(const std::string& detail) {
    return {{"result", "malformed"}, {"detail", one_line(detail, 500)}};
}

/// When the key of this certificate was said to be compromised.
Json compromised_at(const KeyLife& life, const std::string& certificate_sha256) {
    for (const auto& one : life.compromises())
        if (one.key.certificate_sha256 == certificate_sha256) return to_rfc3339(one.at);
    return nullptr;
}

void add_record(Json& to, const store::Shown& shown, const tsp::Token& issued, const CollationParts& parts) {
    const auto& issuance = shown.found.issuance();
    to["gen_time"] = to_rfc3339(from_unix_us(issuance.gen_time_us));
    to["policy"] = issuance.policy;
    to["imprint_algorithm"] = issuance.imprint_algorithm;
    to["imprint"] = to_hex(issuance.imprint);
    to["tsu"] = issuance.tsu;
    to["record"] = shown.found.record.number;
    to["clock_bound_us"] = issuance.clock_bound_us;
    to["token_sha256"] = to_hex(pki::digest(pki::Hash::sha256, shown.token));
    to["tac"] = nullptr;
    if (issuance.tac) {
        const auto serial = to_hex(issuance.tac->serial);
        to["tac"] = {{"serial", serial}, {"path", "/repository/tac/" + serial}};
    }
    const auto certificate = pki::Certificate::from_der(shown.certificate);
    to["holds_until"] = nullptr;
    to["holds_until_because"] = nullptr;
    if (certificate) {
        const auto holding = holding_of(issued, *certificate, parts.ends);
        to["holds_until"] = to_rfc3339(holding.until, 0);
        to["holds_until_because"] = holding.because;
    }
    to["key_compromised"] = compromised_at(parts.life, to_hex(issuance.certificate));
}

/// The list of a restore names it (store::lost_lines()): the number of its lost record.
Result<std::optional<store::RecordNumber>> listed_as_lost(store::ArchiveReader& reader,
                                                          const store::Found& restored,
                                                          const std::string& serial) {
    const auto& blobs = restored.event().blobs;
    if (blobs.empty()) return std::optional<store::RecordNumber>();
    const auto list = reader.blob(blobs.front(), restored.segment);
    if (!list) return list.error();
    // A list may be long, and anybody may ask.
    const std::string lines = as_text(*list);
    const auto at = lines.find("\"serial\":\"" + serial + "\"");
    if (at == std::string::npos) return std::optional<store::RecordNumber>();
    const auto begin = lines.rfind('\n', at) + 1;
    const auto one = parse_json(std::string_view(lines).substr(begin, lines.find('\n', at) - begin));
    const bool readable = one.is_object() && one.contains("number") && one["number"].is_number_integer();
    return std::optional(readable ? one["number"].get<store::RecordNumber>() : store::RecordNumber(-1));
}

/// Records were lost before the archive was restored from a copy: the sentence that tells that the one of
/// this token was among them, or may have been.
Result<std::optional<std::string>> lost(store::ArchiveReader& reader, const tsp::TstInfo& info) {
    std::optional<std::string> gone;
    std::optional<Error> trouble;
    store::EventQuery query;
    query.kind = "archive.restored";
    const auto done = reader.events(query, [&](const store::Found& found) {
        const auto said = "the archive was restored from a copy on " +
                          to_rfc3339(from_unix_us(found.record.at_us), 0) + " (record " +
                          std::to_string(found.record.number) + ")";
        const auto number = listed_as_lost(reader, found, to_hex(info.serial));
        if (!number) {
            trouble = number.error();
            return false;
        }
        if (*number) {
            gone = said + ", and the record of the token of this serial number that was issued, " +
                   std::to_string(**number) + ", was lost before: what it said isn't known any more";
            return false;
        }
        // What came after the last record that is left, and isn't in the list, nobody may have known of.
        const auto last = reader.record(found.record.number - 1);
        const auto gen_time_us = to_unix_us(info.gen_time);
        if (!gone && gen_time_us <= found.record.at_us && (!last || gen_time_us >= last->record.at_us))
            gone = said +
                   "; what was issued just before is lost, and not all of it is known: whether this "
                   "was issued here can't be told";
        return true;
    });
    if (trouble) return *trouble;
    if (!done) return done.error();
    return gone;
}

/// Error: the archive can't be asked.
Result<Json> collate(const CollationParts& parts, View presented) {
    const auto token = tsp::parse_token_or_response(presented);
    if (!token) return malformed(token.error().text);
    const auto& info = token->tst_info;
    Json json{{"result", "not-issued-here"}, {"detail", "no token with this serial number was issued here"}};
    json["serial"] = to_hex(info.serial);
    if (info.negative_serial) return json;
    auto reader = store::ArchiveReader::open(parts.archive);
    if (!reader) return reader.error();
    const auto shown = (*reader)->show(info.serial);
    if (!shown && shown.error().kind == Error::Kind::no) {
        const auto removals = store::Removals::read(**reader);
        if (!removals) return removals.error();
        if (const auto* gone = removals->tokens_at(to_unix_us(info.gen_time))) {
            json["result"] = "removed";
            json["detail"] = "the records of its time (" + gone->segment +
                             ") were removed when they had passed theirs, on " + to_rfc3339(gone->ends, 0) +
                             " or later: whether it was issued here can't be told any more";
            return json;
        }
        const auto gone = lost(**reader, info);
        if (!gone) return gone.error();
        if (*gone) {
            json["result"] = "lost";
            json["detail"] = **gone;
        }
        return json;
    }
    if (!shown) return shown.error();
    auto issued = tsp::parse_token(shown->token);
    if (!issued) return std::move(issued).error().in("record " + std::to_string(shown->found.record.number));

    const auto differs = tsp::differences(*issued, *token);
    json["result"] = differs.empty() ? "matches" : "altered";
    std::string names;
    for (const auto& name : differs) names += (names.empty() ? "" : ", ") + name;
    json["detail"] = differs.empty()
                         ? "it is the token that was issued, octet for octet"
                         : "the token with this serial number was issued here, and differs in: " + names;
    if (!differs.empty()) json["differs"] = differs;
    add_record(json, *shown, *issued, parts);
    auto proof = store::prove(parts.archive, info.serial);
    if (!proof && proof.error().kind != Error::Kind::no) return proof.error();
    json["proof"] = proof ? Json(*proof) : Json(nullptr);
    return json;
}

Response answer(const Request& request, const std::optional<tsp::VerifyRequest>& asked, const Json& json) {
    const auto accepted = request.field("Accept");
    if (!asked || (accepted && accepted->find("application/json") != std::string_view::npos))
        return Response::json(200, json_text(json) + '\n');
    const auto result = json["result"].get<std::string>();
    std::optional<std::string> rejected;
    if (result != "matches") rejected = result + ": " + json["detail"].get<std::string>();
    return Response::octets(200, "application/octet-stream", tsp::verify_response(*asked, rejected));
}

Response respond(const CollationParts& parts, const Request& request) {
    const auto asked = tsp::parse_verify_request(request.body);
    if (!asked) return Response::json(200, json_text(malformed(asked.error().text)) + '\n');
    const auto json = collate(parts, *asked ? View((*asked)->token) : View(request.body));
    if (json) {
        auto response = answer(request, *asked, *json);
        response.fields = {{"Cache-Control", "no-store"}};
        return response;
    }
    spdlog::error("collation: {}", json.error().text);
    auto later = Response::text(503, "not possible at the moment; try again");
    later.fields = {{"Retry-After", "2"}, {"Cache-Control", "no-store"}};
    return later;
}

}  // namespace

void add_collation_routes(net::Router& router, CollationParts parts) {
    router.add("POST", "/collate",
               [parts = std::move(parts)](const Request& request) { return respond(parts, request); },
               {{}, largest});
}

}  // namespace kokuin::tsa
