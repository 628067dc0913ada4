#include "pki/path.h"

#include <botan/certstor.h>
#include <botan/pk_keys.h>
#include <botan/x509cert.h>
#include <botan/x509path.h>

#include <algorithm>
#include <chrono>
#include <optional>

#include "pki/signed_object.h"

namespace kokuin::pki {
namespace {

constexpr std::size_t usual_strength = 110;  // RSA-2048
constexpr std::size_t weak_strength = 70;    // RSA-1024 (Botan estimates 72 to 80)

// "CN=TSU 1: Certificate has expired; CN=CA: …"
std::string reasons_in(const Botan::Path_Validation_Result& result) {
    std::string text;
    const auto& path = result.cert_path();
    const auto& statuses = result.all_statuses();
    for (std::size_t i = 0; i < statuses.size(); ++i) {
        for (const auto code : statuses[i]) {
            if (code < Botan::Certificate_Status_Code::FIRST_ERROR_STATUS) continue;
            if (!text.empty()) text += "; ";
            if (i < path.size()) text += name_text(path[i]->raw_subject_dn()) + ": ";
            text += Botan::Path_Validation_Result::status_string(code);
        }
    }
    return text.empty() ? result.result_string() : text;
}

/// The line of certificates from a leaf to an anchor, by names and signatures. Botan would enumerate every
/// path that the names allow before it looks at a signature: a handful of certificates that name each other,
/// which anybody can put into a token, would keep it busy for ever.
class Line {
  public:
    Line(const std::vector<Certificate>& intermediates, const std::vector<Certificate>& anchors)
        : intermediates_(intermediates), anchors_(anchors), used_(intermediates.size()) {}

    /// What lies between; nothing if there is no line. `at`: only certificates that are valid then.
    std::optional<std::vector<Certificate>> find(const Certificate& leaf, std::optional<WallTime> at) {
        return find(leaf, at, false);
    }
    /// A line of names alone, which no signature holds together: for Botan to say what is wrong with it.
    std::optional<std::vector<Certificate>> find_named(const Certificate& leaf) {
        return find(leaf, std::nullopt, true);
    }

  private:
    std::optional<std::vector<Certificate>> find(const Certificate& leaf, std::optional<WallTime> at,
                                                 bool by_names) {
        at_ = at;
        by_names_ = by_names;
        line_.clear();
        used_.assign(used_.size(), false);
        return climb(leaf) ? std::optional(line_) : std::nullopt;
    }
    bool climb(const Certificate& from) {
        for (const Certificate& anchor : anchors_)
            if (signs(anchor, from)) return true;
        if (line_.size() == longest) return false;
        for (std::size_t i = 0; i < intermediates_.size(); ++i) {
            const Certificate& next = intermediates_[i];
            // Each is tried once: where it doesn't lead to an anchor it does so from nowhere.
            if (used_[i] || (at_ && !next.valid_at(*at_)) || !signs(next, from)) continue;
            used_[i] = true;
            line_.push_back(next);
            if (climb(next)) return true;
            line_.pop_back();
        }
        return false;
    }
    bool signs(const Certificate& issuer, const Certificate& certificate) {
        if (!same_name(issuer.subject_der(), certificate.issuer_der())) return false;
        if (by_names_) return true;
        if (checks_ == 0) return false;
        --checks_;
        try {
            return certificate.botan().check_signature(*issuer.botan().load_subject_public_key());
        } catch (const std::exception&) {
            return false;  // a key of no known kind
        }
    }

    static constexpr std::size_t longest = 8;
    const std::vector<Certificate>& intermediates_;
    const std::vector<Certificate>& anchors_;
    std::optional<WallTime> at_;
    bool by_names_ = false;
    std::vector<bool> used_;
    std::vector<Certificate> line_;
    unsigned checks_ = 128;
};

}  // namespace

Result<std::vector<Certificate>> validate_path(const Certificate& leaf,
                                               const std::vector<Certificate>& intermediates,
                                               const std::vector<Certificate>& anchors, WallTime at,
                                               const PathRules& rules) {
    const auto refuse = [&](const std::string& why) {
        return Error::no("no valid path from " + leaf.subject_text() + " to a trust anchor at " +
                         to_rfc3339(at, 0) + ": " + why);
    };
    if (anchors.empty()) return refuse("there is no trust anchor");
    // Trusted as it is; Botan would refuse a self-signed leaf (it looks for an issuer above it).
    if (std::find(anchors.begin(), anchors.end(), leaf) != anchors.end()) {
        if (at < leaf.not_before()) return refuse("Certificate is not yet valid");
        if (!leaf.valid_at(at)) return refuse("Certificate has expired");
        return std::vector<Certificate>{leaf};
    }
    try {
        Botan::Certificate_Store_In_Memory trusted;
        for (const Certificate& anchor : anchors) trusted.add_certificate(anchor.botan());
        std::vector<Botan::X509_Certificate> given{leaf.botan()};
        Line line(intermediates, anchors);
        auto between = line.find(leaf, at);
        // To say which one isn't valid, or wrongly signed.
        if (!between) between = line.find(leaf, std::nullopt);
        if (!between) between = line.find_named(leaf);
        if (between)
            for (const Certificate& intermediate : *between) given.push_back(intermediate.botan());
        std::set<std::string> hashes{"SHA-256", "SHA-384", "SHA-512"};
        if (rules.tolerate_weak) hashes.insert({"SHA-160", "SHA-1"});
        const std::size_t strength = rules.tolerate_weak ? weak_strength : usual_strength;
        const Botan::Path_Validation_Restrictions restrictions(false, strength, false, hashes);
        // Botan judges the keys that sign certificates, so not the leaf's.
        if (leaf.botan().load_subject_public_key()->estimated_strength() < strength) {
            return refuse("its public key is too weak");
        }
        // Whole seconds, rounded towards the past: notAfter is inclusive to its last nanosecond (RFC
        // 5280 4.1.2.5).
        const std::chrono::system_clock::time_point when{
            std::chrono::duration_cast<std::chrono::system_clock::duration>(
                std::chrono::floor<std::chrono::seconds>(at.time_since_epoch()))};
        const auto result =
            Botan::x509_path_validate(given, restrictions, trusted, "", Botan::Usage_Type::UNSPECIFIED, when);
        if (!result.successful_validation()) return refuse(reasons_in(result));

        std::vector<Certificate> path;
        for (const auto& step : result.cert_path()) {
            auto certificate = Certificate::from_der(step->BER_encode());
            if (!certificate) return refuse(certificate.error().text);
            path.push_back(std::move(*certificate));
        }
        return path;
    } catch (const std::exception& e) {
        return refuse(e.what());
    }
}

bool is_signed_by(const Certificate& certificate, const Certificate& issuer) {
    if (certificate.issuer_der() != issuer.subject_der()) return false;
    try {
        return is_signed_with(certificate.botan(), *issuer.botan().load_subject_public_key());
    } catch (const std::exception&) {
        return false;  // a key of no known kind
    }
}

}  // namespace kokuin::pki
