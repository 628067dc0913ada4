#include "audit/present.h"

#include <cstdio>
#include <nlohmann/json.hpp>

#include "audit/clock_proof.h"
#include "base/json_text.h"
#include "base/text.h"
#include "pki/certificate.h"
#include "pki/hash.h"
#include "store/event_line.h"
#include "tac/tac.h"

namespace kokuin::audit {
namespace {

using Json = nlohmann::ordered_json;

std::string line(const Json& json) {
    // Texts in records are UTF-8; names out of foreign certificates may be anything.
    return json_text(json);
}

Json find_object(const store::Found& found) {
    const store::Issuance& issuance = found.issuance();
    Json json;
    json["serial"] = to_hex(issuance.serial);
    json["gen_time"] = time_text(issuance.gen_time_us);
    json["policy"] = issuance.policy;
    json["imprint"] = to_hex(issuance.imprint);
    json["imprint_algorithm"] = hash_name(issuance.imprint_algorithm);
    json["tsu"] = issuance.tsu;
    json["tac"] = issuance.tac ? Json(tac::serial_hex(issuance.tac->serial)) : Json(nullptr);
    json["clock_bound_us"] = issuance.clock_bound_us;
    json["segment"] = found.segment;
    json["number"] = found.record.number;
    return json;
}

std::string subject_of(View certificate) {
    const auto read = pki::Certificate::from_der(certificate);
    return read ? read->subject_text() : "(a certificate that can't be read)";
}

std::string sha256(View octets) {
    return to_hex(pki::digest(pki::Hash::sha256, octets));
}

std::string row(std::string_view name, const std::string& value) {
    std::string text(name);
    text.resize(13, ' ');
    return text + one_line(value, any_length) + "\n";
}

struct FieldText {
    std::string operator()(const std::string& text) const { return one_line(text, any_length); }
    std::string operator()(std::int64_t number) const { return std::to_string(number); }
    /// Certificates and the like are for programs (--json).
    std::string operator()(const Bytes& octets) const {
        return octets.size() <= most_shown
                   ? to_hex(octets)
                   : std::to_string(octets.size()) + " octets, SHA-256 " + sha256(octets);
    }
    static constexpr std::size_t most_shown = 64;
};

}  // namespace

std::string hash_name(std::string_view oid) {
    const auto hash = pki::hash_from_oid(oid);
    return std::string(hash ? pki::name(*hash) : oid);
}

std::string time_text(std::int64_t us) {
    return to_rfc3339(from_unix_us(us), us % 1000 == 0 ? 3 : 6);
}

std::string duration_text(std::int64_t us) {
    char text[48];
    const auto magnitude = static_cast<double>(us);
    if (us > -1'000'000 && us < 1'000'000) {
        std::snprintf(text, sizeof text, "%.3f ms", magnitude / 1e3);
    } else {
        std::snprintf(text, sizeof text, "%.6f s", magnitude / 1e6);
    }
    return text;
}

std::string find_json(const store::Found& found) {
    return line(find_object(found));
}

namespace {

Json evidence_json(const tac::clock::Basis::Piece& piece, const tac::clock::Reading& reading) {
    const auto us = [](nanoseconds time) { return std::chrono::duration_cast<microseconds>(time).count(); };
    const auto& evidence = piece.evidence;
    Json json;
    json["source"] = tac::clock::name(evidence.source);
    json["applies"] = piece.applies(reading);
    json["offset_us"] = us(evidence.error);
    json["uncertainty_us"] = us(std::chrono::ceil<microseconds>(evidence.uncertainty));
    json["measured_at"] = to_rfc3339(evidence.at.wall, 6);
    json["age_us"] = us(reading.before - evidence.at.before);
    json["drift_ppm"] = piece.rate.learnt ? Json(piece.rate.f * 1e6) : Json(nullptr);
    json["drift_uncertainty_ppm"] = piece.rate.rho * 1e6;
    json["note"] = evidence.note;
    return json;
}

/// Adds what is known of the clock's proof.
void add_clock(Json& json, const store::Shown& shown) {
    const auto read = clock_proof(shown);
    if (!read) {
        json["clock_proof"] = "unreadable: " + read.error().text;
        return;
    }
    if (!*read) {
        json["clock_proof"] = "none";
        return;
    }
    const auto& proof = **read;
    json["clock_proof"] = proof.objection.empty() ? "holds" : "fails: " + proof.objection;
    json["clock_evidence"] = Json::array();
    for (const auto& piece : proof.basis.pieces)
        json["clock_evidence"].push_back(evidence_json(piece, proof.reading));
}

std::string sentence(const store::Shown& shown) {
    const auto bound_us = shown.found.issuance().clock_bound_us;
    const auto read = clock_proof(shown);
    if (!read)
        return "The record says that the clock was right within " + duration_text(bound_us) +
               ", but its evidence can't be read: " + read.error().text + ".";
    return clock_sentence(bound_us, *read ? &**read : nullptr);
}

}  // namespace

std::string show_json(const store::Shown& shown) {
    Json json = find_object(shown.found);
    add_clock(json, shown);
    json["at"] = to_rfc3339(from_unix_us(shown.found.record.at_us), 6);
    json["certificate"] = to_hex(shown.found.issuance().certificate);
    json["certificate_subject"] = subject_of(shown.certificate);
    json["tac_sha256"] = shown.tac ? Json(sha256(*shown.tac)) : Json(nullptr);
    json["token_sha256"] = sha256(shown.token);
    json["token_octets"] = shown.token.size();
    return line(json);
}

std::string event_json(const store::Found& found) {
    const store::Event& event = found.event();
    Json json;
    json["number"] = found.record.number;
    json["at"] = to_rfc3339(from_unix_us(found.record.at_us), 6);
    json["kind"] = event.kind;
    json["subject"] = event.subject;
    json["text"] = event.text;
    json["fields"] = store::fields_json<Json>(event);
    json["blobs"] = Json::array();
    for (const auto& id : event.blobs) json["blobs"].push_back(to_hex(id));
    json["segment"] = found.segment;
    return line(json);
}

std::string tac_json(const tac::Explanation& tac, std::string_view placement) {
    Json json;
    json["placement"] = placement;
    json["serial"] = tac.serial;
    json["holder"] = tac.holder;
    json["issuer"] = tac.issuer;
    json["not_before"] = tac.not_before;
    json["not_after"] = tac.not_after;
    json["ntp_time"] = tac.ntp_time;
    json["expiration"] = tac.expiration;
    json["offset_us"] = tac.offset_us;
    json["delay_us"] = tac.delay_us;
    json["policies"] = tac.policies;
    json["max_offset_us"] = tac.max_offset_us ? Json(*tac.max_offset_us) : Json(nullptr);
    json["max_delay_us"] = tac.max_delay_us ? Json(*tac.max_delay_us) : Json(nullptr);
    json["leap_events"] = Json::array();
    for (const auto& leap : tac.leap_events)
        json["leap_events"].push_back({{"midnight", leap.midnight}, {"action", leap.action}});
    json["signature_algorithm"] = tac.signature_algorithm;
    json["holder_digest_algorithm"] = tac.holder_digest_algorithm;
    json["holder_digest"] = tac.holder_digest;
    json["remarks"] = tac.remarks;
    return line(json);
}

std::string find_text(const store::Found& found) {
    const store::Issuance& issuance = found.issuance();
    return to_hex(issuance.serial) + "  " + time_text(issuance.gen_time_us) + "  " + issuance.policy + "  " +
           issuance.tsu + "  " + hash_name(issuance.imprint_algorithm) + ":" + to_hex(issuance.imprint) +
           "  record " + std::to_string(found.record.number) + "\n";
}

std::string show_text(const store::Shown& shown) {
    const store::Issuance& issuance = shown.found.issuance();
    std::string text = row("serial", to_hex(issuance.serial));
    text += row("time", time_text(issuance.gen_time_us));
    text += row("policy", issuance.policy);
    text += row("imprint", hash_name(issuance.imprint_algorithm) + " " + to_hex(issuance.imprint));
    text += row("TSU", issuance.tsu);
    text += row("certificate", subject_of(shown.certificate));
    text += row("", "SHA-256 " + to_hex(issuance.certificate));
    if (shown.tac) {
        const auto decoded = tac::decode(*shown.tac);
        text += row("TAC", tac::serial_hex(issuance.tac->serial));
        if (decoded) {
            const auto explained = tac::explain(decoded->tac);
            text += row("", "issued by " + explained.issuer);
            text +=
                row("", "measured " + explained.ntp_time + ", offset " + duration_text(explained.offset_us) +
                            ", delay " + duration_text(explained.delay_us));
        }
    } else {
        text += row("TAC", "none: issued under a policy that doesn't require one");
    }
    text += row("clock", sentence(shown));
    text += row("token", std::to_string(shown.token.size()) + " octets, SHA-256 " + sha256(shown.token));
    text += row("record", std::to_string(shown.found.record.number) + " of segment " + shown.found.segment +
                              ", appended " + to_rfc3339(from_unix_us(shown.found.record.at_us), 6));
    return text;
}

std::string event_text(const store::Found& found) {
    const store::Event& event = found.event();
    std::string text = to_rfc3339(from_unix_us(found.record.at_us), 3) + "  " + event.kind;
    if (!event.subject.empty()) text += "  " + event.subject;
    if (!event.text.empty()) text += "  " + one_line(event.text, any_length);
    text += "  (record " + std::to_string(found.record.number) + ")\n";
    for (const auto& [key, value] : event.fields)
        text += "    " + key + " = " + std::visit(FieldText{}, value) + "\n";
    return text;
}

std::string tac_text(const tac::Explanation& tac, std::string_view placement) {
    const std::string where =
        placement == "file" ? "A TAC by itself.\n" : "In the token's " + std::string(placement) + ".\n";
    return where + to_text(tac);
}

}  // namespace kokuin::audit
