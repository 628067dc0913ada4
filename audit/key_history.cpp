#include "audit/key_history.h"

#include <algorithm>

#include "audit/present.h"

namespace kokuin::audit {
namespace {

/// What genTime can lie before the moment at which the clock was read: a token may state whole seconds.
constexpr std::int64_t cut_off_us = 1'000'000;

}  // namespace

void KeyHistory::add(const store::BareRecord& record, const store::Event& event) {
    if (event.kind == "archive.key" || event.kind == "witness.key") {
        auto& keys = event.kind == "archive.key" ? log_keys_ : witness_keys_;
        if (const auto* text = event.find<std::string>("verifier"))
            if (auto key = tlog::VerifierKey::parse(*text)) keys.push_back(std::move(*key));
        if (const auto* within = event.find<std::int64_t>("covered_within_us")) covered_within_us_ = *within;
        return;
    }
    if (event.kind == "tac.accepted") {
        for (const auto& [key, value] : event.fields) {
            const auto* der = std::get_if<Bytes>(&value);
            if (!der || !key.starts_with("chain_")) continue;
            auto certificate = pki::Certificate::from_der(*der);
            if (certificate &&
                std::find(certificates_.begin(), certificates_.end(), *certificate) == certificates_.end())
                certificates_.push_back(std::move(*certificate));
        }
        return;
    }
    const auto* spki = event.find<std::string>("spki_sha256");
    if (!spki) return;
    auto& turns = turns_[*spki];
    if (event.kind == "key.activated") {
        const auto* since = event.find<std::int64_t>("activated_us");
        turns.push_back({event.subject, record.number, since ? *since : record.at_us});
    } else if (event.kind == "key.retired" || event.kind == "key.compromised" ||
               event.kind == "key.destroyed") {
        for (Turn& turn : turns) {
            if (turn.ended) continue;
            turn.ended = record.number;
            turn.until_us = record.at_us;
            turn.compromised = event.kind == "key.compromised";
        }
    }
}

std::string KeyHistory::objection(const std::string& spki_sha256, const std::string& tsu,
                                  store::RecordNumber number, std::int64_t gen_time_us) const {
    if (incomplete_) return "";
    const auto found = turns_.find(spki_sha256);
    if (found == turns_.end() || found->second.empty())
        return "no record says that the key of its certificate was ever activated";
    std::string why;
    for (const Turn& turn : found->second) {
        // The order of records counts; clocks may be set in between. But what is on its way when a key
        // begins, or is stopped at once, gets its record a little before or after.
        const bool before = number < turn.begun &&
                            (turn.begun - number > on_their_way || gen_time_us + cut_off_us <= turn.since_us);
        const bool after =
            turn.ended && number > *turn.ended &&
            (!turn.compromised || number - *turn.ended > on_their_way || gen_time_us > turn.until_us);
        if (turn.tsu != tsu) {
            why = "the key of its certificate is the one of the TSU " + turn.tsu;
        } else if (before) {
            why = "the key of its certificate was activated at " + time_text(turn.since_us) + ", record " +
                  std::to_string(turn.begun);
        } else if (after) {
            why = "the key of its certificate was retired at " + time_text(turn.until_us) + ", record " +
                  std::to_string(*turn.ended);
        } else {
            return "";
        }
    }
    return why;
}

}  // namespace kokuin::audit
