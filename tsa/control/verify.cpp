// Verification of a token by its receiver, for people and for scripts.
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/json_text.h"
#include "base/text.h"
#include "pki/certificate.h"
#include "tac/validate.h"
#include "tsa/control/commands.h"
#include "tsa/protocol/token.h"
#include "tsa/protocol/verify.h"

namespace kokuin::tsa::control {
namespace {

using nlohmann::json;

/// One line of the answer, whatever it is about.
struct Line {
    std::string check;
    std::string outcome;
    std::string text;
};

Result<std::vector<pki::Certificate>> load_optional(const std::string& path) {
    if (path.empty()) return std::vector<pki::Certificate>{};
    return pki::load_certificates(path);
}

void append_all(std::vector<pki::Certificate>& to, const std::vector<pki::Certificate>& some) {
    to.insert(to.end(), some.begin(), some.end());
}

}  // namespace

Result<int> verify(const VerifyOptions& options, bool as_json, std::ostream& out) {
    const auto data = read_file(options.file, largest_file);
    if (!data) return data.error();
    const auto encoded = read_file(options.token, 1U << 20U);
    if (!encoded) return encoded.error();
    auto anchors = pki::load_certificates(options.anchors);
    if (!anchors) return std::move(anchors).error();
    auto more = load_optional(options.certificates);
    if (!more) return std::move(more).error();
    auto taa_anchors =
        options.taa_anchors.empty() ? Result(*anchors) : pki::load_certificates(options.taa_anchors);
    if (!taa_anchors) return std::move(taa_anchors).error();
    const auto taa_certificates = load_optional(options.taa_certificates);
    if (!taa_certificates) return taa_certificates.error();

    const auto token = tsp::parse_token_or_response(*encoded);
    if (!token) return Error::no(options.token + ": " + token.error().text);
    // Anchors are roots; what else stands in their file only helps to build the path.
    std::vector<pki::Certificate> roots;
    for (const auto& one : *anchors) (one.is_self_issued() ? roots : *more).push_back(one);
    if (roots.empty())
        return Error::usage(options.anchors +
                            ": holds no root (self-signed certificate); give the roots you trust");
    tsp::Expectations expected;
    expected.imprint = tsp::imprint_of(*token, *data);
    expected.anchors = roots;
    expected.more_certificates = *more;
    expected.now = SystemWallClock().now();
    const auto verification = tsp::verify(*token, expected);

    bool ok = verification.ok();
    std::vector<Line> lines;
    for (const auto& one : verification.checks)
        lines.push_back({std::string(name(one.check)), std::string(name(one.outcome)), one.text});
    // Without a known hash algorithm the document was not compared, and nothing is proved about it.
    if (!expected.imprint) {
        ok = false;
        lines.front() = {"imprint", "failed",
                         "hash algorithm " + token->tst_info.hash_oid + " is not known here"};
    }
    for (const auto& embedded : token->tacs) {
        tac::Rules rules;
        for (const auto& one : *taa_anchors)
            (one.is_self_issued() ? rules.anchors : rules.intermediates).push_back(one);
        if (!taa_certificates->empty()) rules.authorities = {taa_certificates->front().subject_der()};
        append_all(rules.intermediates, *taa_certificates);
        append_all(rules.intermediates, *more);
        append_all(rules.intermediates, token->certificates);
        rules.policies.clear();
        std::string problem = "the TSU's certificate is missing";
        if (verification.signer) {
            const auto refusal =
                tac::judge_embedded(embedded.der, rules, *verification.signer, token->tst_info.gen_time);
            problem = refusal ? std::string(name(refusal->reason)) + ": " + refusal->text : "";
            if (refusal && refusal->reason == tac::Reason::chain)
                problem += "; --taa-certificates names the TAA's certificate, --taa-ca its root";
        }
        if (!problem.empty()) ok = false;
        lines.push_back({"tac", problem.empty() ? "passed" : "failed",
                         problem.empty()
                             ? "the TAC covers this token (" + std::string(embedded.placement) + ")"
                             : problem});
    }

    const auto time = to_rfc3339(token->tst_info.gen_time);
    const auto serial = to_hex(token->tst_info.serial);
    if (as_json) {
        json checks = json::array();
        for (const auto& line : lines)
            checks.push_back({{"check", line.check}, {"outcome", line.outcome}, {"text", line.text}});
        out << json_text(json{{"ok", ok},
                              {"serial", serial},
                              {"gen_time", time},
                              {"policy", token->tst_info.policy},
                              {"checks", checks}})
            << '\n';
    } else {
        for (const auto& line : lines)
            out << line.outcome << std::string(8 - line.outcome.size(), ' ') << line.check << ": "
                << one_line(line.text, any_length) << '\n';
        out << (ok ? "The token is good: " + options.file + " existed at " + time
                   : "THE TOKEN IS NOT GOOD for " + options.file)
            << '\n';
    }
    return ok ? 0 : 1;
}

}  // namespace kokuin::tsa::control
