#include "audit/trust.h"

#include "base/config.h"
#include "base/file.h"
#include "store/log_keys.h"

namespace kokuin::audit {
namespace {

std::vector<tlog::VerifierKey> read_keys(config::Table& table, const char* name,
                                         tlog::VerifierKey::Type type) {
    std::vector<tlog::VerifierKey> keys;
    for (const std::string& text : table.strings(name, std::vector<std::string>{})) {
        auto key = tlog::VerifierKey::parse(text);
        if (!key) {
            table.problem(name, key.error().text);
        } else if (key->type() != type) {
            table.problem(name, "the key of '" + key->name() + "' is of another kind; allowed: " +
                                    (type == tlog::VerifierKey::Type::ed25519 ? "a log's" : "a witness's"));
        } else {
            keys.push_back(std::move(*key));
        }
    }
    return keys;
}

std::vector<pki::Certificate> read_certificates(config::Table& table, const char* name) {
    std::vector<pki::Certificate> all;
    for (const std::string& path : table.paths(name, std::vector<std::string>{})) {
        auto read = pki::load_certificates(path);
        if (!read) {
            table.problem(name, read.error().text);
        } else {
            all.insert(all.end(), read->begin(), read->end());
        }
    }
    return all;
}

}  // namespace

std::string Trust::lacks() const {
    std::string missing;
    const auto lack = [&missing](bool there, const char* what) {
        if (!there) missing += (missing.empty() ? "" : ", ") + std::string(what);
    };
    lack(!log_keys.empty(), "log_keys");
    lack(!anchors.empty(), "anchors");
    lack(checkpoint.has_value(), "checkpoint");
    return missing;
}

Result<Trust> load_trust(const std::string& path) {
    auto document = config::Document::load(path);
    if (!document) return std::move(document).error();
    auto root = document->root();
    Trust trust;
    trust.log_keys = read_keys(root, "log_keys", tlog::VerifierKey::Type::ed25519);
    trust.witnesses = read_keys(root, "witnesses", tlog::VerifierKey::Type::cosignature);
    trust.anchors = read_certificates(root, "anchors");
    trust.taa_anchors = read_certificates(root, "taa_anchors");
    if (!root.has("taa_anchors")) trust.taa_anchors = trust.anchors;
    trust.seal_anchors = read_certificates(root, "seal_anchors");
    if (root.has("sealed_within"))
        trust.sealed_within =
            root.duration("sealed_within", std::chrono::hours(1), std::chrono::hours(24 * 3650));
    trust.certificates = read_certificates(root, "certificates");
    if (const auto file = root.maybe_path("checkpoint")) {
        const auto octets = read_file(*file, 64U << 10U);
        auto note = octets ? tlog::Note::parse(as_text(*octets)) : Result<tlog::Note>(octets.error());
        const auto checkpoint = note ? store::signed_by(*note, trust.log_keys) : note.error();
        if (!checkpoint) {
            root.problem("checkpoint", *file + ": " + checkpoint.error().text);
        } else if (!trust.witnesses.empty()) {
            bool seen = false;
            for (const auto& witness : trust.witnesses)
                seen = seen || tlog::check(*note, witness).outcome == tlog::Checked::Outcome::good;
            if (!seen) root.problem("checkpoint", *file + ": none of the witnesses has cosigned it");
        }
        if (note) trust.checkpoint = std::move(*note);
    }
    if (auto done = document->finish(); !done) return std::move(done).error();
    return trust;
}

}  // namespace kokuin::audit
