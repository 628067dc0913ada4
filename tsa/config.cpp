#include "tsa/config.h"

#include <algorithm>
#include <filesystem>

#include "base/der.h"
#include "base/net/http.h"
#include "tac/clock/bound.h"
#include "tac/clock/leap_list.h"
#include "tac/validate.h"

namespace kokuin::tsa {
namespace {

using std::chrono::hours;
using std::chrono::minutes;

tsp::Policy read_policy(const std::string& name, config::Table& table) {
    tsp::Policy policy;
    policy.name = name;
    policy.oid = table.oid("oid");
    policy.hashes = table.choices<pki::Hash>(
        "hashes",
        {{"sha256", pki::Hash::sha256}, {"sha384", pki::Hash::sha384}, {"sha512", pki::Hash::sha512}},
        policy.hashes);
    policy.accuracy =
        std::chrono::floor<microseconds>(table.duration("accuracy", milliseconds(1), minutes(1), seconds(1)));
    policy.gentime_digits = static_cast<int>(table.integer("gentime_digits", 0, 6, policy.gentime_digits));
    policy.embed_tac = table.choice<tsp::EmbedTac>("embed_tac",
                                                   {{"none", tsp::EmbedTac::none},
                                                    {"signer-attribute", tsp::EmbedTac::signer_attribute},
                                                    {"certificates-v1", tsp::EmbedTac::certificates_v1},
                                                    {"certificates-v2", tsp::EmbedTac::certificates_v2}},
                                                   policy.embed_tac);
    policy.ess = table.choice<tsp::EssForm>(
        "signing_certificate",
        {{"v1", tsp::EssForm::v1}, {"v2", tsp::EssForm::v2}, {"both", tsp::EssForm::both}}, policy.ess);
    policy.require_tac = table.boolean("require_tac", true);
    if (tac::clock::truncation(policy.gentime_digits) >= policy.accuracy)
        table.problem(
            "gentime_digits",
            "genTime cut off after " + std::to_string(policy.gentime_digits) +
                " digits may be as far behind as the accuracy, so the gate could never open; allowed: more "
                "digits, or an accuracy above " +
                config::to_text(tac::clock::truncation(policy.gentime_digits)));
    return policy;
}

/// What must prove the clock has to be configured (TSA-6, design section 3).
void check_proof(const tsp::Policy& policy, config::Table& table, const Settings& settings) {
    if (policy.require_tac && !settings.taa)
        table.problem("require_tac",
                      "is true, and there is no [taa] whose TACs could be accepted; allowed: "
                      "[audit] and [taa], or require_tac = false with a [reference]");
    if (!policy.require_tac && !settings.reference)
        table.problem("require_tac",
                      "false needs a [reference] that proves the clock instead; allowed: true");
    if (policy.embed_tac != tsp::EmbedTac::none && !policy.require_tac)
        table.problem("embed_tac", "there may be no TAC to embed with require_tac = false; allowed: none");
}

std::vector<tsp::Policy> read_policies(config::Table root, const Settings& settings) {
    std::vector<tsp::Policy> policies;
    std::optional<std::size_t> first;
    for (auto& [name, table] : root.named_tables("policy", 1)) {
        if (table.boolean("default", false)) {
            if (first)
                table.problem("default", "policy '" + policies[*first].name + "' is the default already");
            first = policies.size();
        }
        policies.push_back(read_policy(name, table));
        policies.back().require_reference = settings.reference && settings.reference->required;
        check_proof(policies.back(), table, settings);
        for (std::size_t i = 0; i + 1 < policies.size(); ++i)
            if (policies[i].oid == policies.back().oid)
                table.problem("oid", "policy '" + policies[i].name + "' has this OID already");
    }
    if (policies.size() > 1 && !first)
        root.problem("policy", "no policy is the default; allowed: default = true in one of them");
    if (first)
        std::rotate(policies.begin(), policies.begin() + static_cast<std::ptrdiff_t>(*first),
                    policies.begin() + static_cast<std::ptrdiff_t>(*first) + 1);
    return policies;
}

TlsSettings read_tls(config::Table& table) {
    return {table.endpoint("listen"), table.path("certificate"), table.path("key")};
}

TaaSettings read_taa(config::Table& table) {
    TaaSettings taa;
    taa.anchors = table.path("anchors");
    taa.certificates = table.path("certificates");
    taa.crls = table.paths("crls", std::vector<std::string>{});
    taa.offset_is_tsu_minus_taa =
        table.choice<bool>("clock_is", {{"tsu-minus-taa", true}, {"taa-minus-tsu", false}}, true);
    taa.allow_sha1 = table.boolean("allow_sha1", false);
    taa.request = table.maybe_endpoint("request");
    taa.request_before = table.duration("request_before", seconds(1), hours(24), minutes(20));
    std::vector<std::pair<std::string, std::string>> names;
    for (auto& [name, limit] : table.named_tables("policy", 1)) {
        const auto oid = limit.oid("oid");
        const auto policies = tac::builtin_policies();
        const auto known = policies.find(oid);
        // Of a policy nobody knows the limit must be said, not guessed.
        const auto max_offset =
            known == policies.end()
                ? limit.duration("max_offset", milliseconds(1), minutes(1))
                : limit.duration("max_offset", milliseconds(1), minutes(1), known->second.max_offset);
        for (const auto& [other, theirs] : names)
            if (theirs == oid) limit.problem("oid", "[taa.policy." + other + "] has this OID already");
        names.emplace_back(name, oid);
        taa.limits.push_back(
            {oid, max_offset,
             limit.duration("max_delay", milliseconds(1), minutes(1), tac::Limits().max_delay)});
    }
    return taa;
}

}  // namespace

namespace {

/// The listeners of a configuration. Two at one place can't both bind; said here, it has a file and a line.
class Listeners {
  public:
    void add(config::Table& table, const config::Endpoint& at) {
        for (const auto& [name, other] : known_)
            if (at.port != 0 && at.port == other.port && same_place(at.host, other.host))
                table.problem("listen", "[" + name + "] listens on " + config::to_text(other) +
                                            " already; allowed: a port that no other listener has");
        known_.emplace_back(table.name(), at);
    }

  private:
    static std::string address(const std::string& host) { return host == "localhost" ? "127.0.0.1" : host; }
    static bool same_place(const std::string& a, const std::string& b) {
        return address(a) == address(b) || takes(a, b) || takes(b, a);
    }
    /// Every address; "::" takes those of IPv4 too.
    static bool takes(const std::string& all, const std::string& host) {
        return all == "::" || (all == "0.0.0.0" && host.find(':') == std::string::npos);
    }
    std::vector<std::pair<std::string, config::Endpoint>> known_;
};

}  // namespace

namespace {
bool has_hsm(const Settings& settings, const std::string& name) {
    return std::any_of(settings.hsms.begin(), settings.hsms.end(),
                       [&name](const hsm::Settings& one) { return one.name == name; });
}

/// `name`: what stands under "hsm", empty for [hsm] afterwards.
void check_hsm(const Settings& settings, config::Table& table, std::string& name) {
    if (name == "hsm") name.clear();
    if (!has_hsm(settings, name))
        table.problem("hsm", "there is no [hsm." + name +
                                 "]; allowed: the NAME of an [hsm.NAME], or nothing for [hsm]");
}

void read_archive(config::Table table, Settings& settings) {
    settings.archive = table.path("dir");
    settings.personal = table.path("personal", "personal");
    settings.archive_name = table.string("name", "kokuin");
    if (auto copy = table.maybe_path("copy")) settings.copy = std::move(*copy);
    settings.copy_waits = table.boolean("copy_waits", false);
    if (settings.copy_waits && settings.copy.empty())
        table.problem("copy_waits", "there is no copy to wait for; allowed: with [archive] copy only");
    const auto key = table.maybe_string("key");
    auto hsm = table.maybe_string("hsm").value_or("");
    check_hsm(settings, table, hsm);
    const auto within = table.duration("covered_within", seconds(1), hours(1), seconds(5));
    if (key) settings.checkpoints = CheckpointSettings{*key, hsm, within};
    settings.witness_every = table.duration("witness_every", seconds(1), hours(24), minutes(1));
}

Result<net::Url> read_witness_url(std::string_view text) {
    auto url = net::parse_url(text);
    if (!url) return url;
    if (url->https || url->path.find('?') != std::string::npos)
        return Error::usage(
            "not the URL of a witness; allowed: http://HOST[:PORT][/PATH] (what it says is signed)");
    if (!url->path.ends_with('/')) url->path += '/';
    return url;
}

Result<tlog::VerifierKey> read_witness_key(std::string_view text) {
    auto key = tlog::VerifierKey::parse(text);
    if (key && key->type() != tlog::VerifierKey::Type::cosignature)
        return Error::usage("the key of '" + key->name() + "' is a log's; allowed: a witness's");
    return key;
}

void read_witnesses(config::Table root, Settings& settings) {
    for (auto& [name, table] : root.named_tables("witness")) {
        auto url = table.parsed<net::Url>("url", read_witness_url, true);
        auto key = table.parsed<tlog::VerifierKey>("key", read_witness_key, true);
        if (!settings.checkpoints)
            table.problem("url", "there are no checkpoints to cosign; allowed: with [archive] key only");
        if (!url || !key) continue;
        for (const auto& other : settings.witnesses)
            if (other.key.name() == key->name())
                table.problem("key", "[witness." + other.name + "] has this name in its key already");
        settings.witnesses.push_back({name, std::move(*url), std::move(*key)});
    }
}
SealSettings read_seal(config::Table table) {
    SealSettings seal;
    seal.ca = table.maybe_path("ca").value_or("");
    if (auto url = table.parsed<net::Url>("tsa", net::parse_url, true)) seal.url = std::move(*url);
    if (seal.url.https && seal.ca.empty())
        table.problem("tsa", "https needs `ca`, the PEM file with the anchors of that server's certificate");
    seal.policy = table.maybe_string("policy");
    if (seal.policy && !der::is_oid(*seal.policy))
        table.problem("policy", "is no OID; allowed is a dotted one, e.g. 1.3.6.1.4.1.1291.1.1.1.2");
    seal.anchors = table.path("anchors");
    seal.certificates = table.paths("certificates", std::vector<std::string>{});
    seal.hash = table.choice<pki::Hash>(
        "hash", {{"sha256", pki::Hash::sha256}, {"sha384", pki::Hash::sha384}, {"sha512", pki::Hash::sha512}},
        pki::Hash::sha512);
    seal.renew_before = table.duration("renew_before", hours(1), hours(24 * 3650), hours(24 * 180));
    seal.every = table.duration("every", seconds(1), hours(24), minutes(1));
    return seal;
}

}  // namespace

Result<Settings> load_settings(const std::string& path) {
    auto document = config::Document::load(path);
    if (!document) return std::move(document).error();
    auto root = document->root();
    Settings settings;
    settings.file = std::filesystem::absolute(path).lexically_normal().string();
    settings.digest = to_hex(pki::digest(pki::Hash::sha256, as_view(document->content())));
    settings.hsms = hsm::read_all_settings(root.table("hsm"));
    read_archive(root.table("archive"), settings);
    read_witnesses(root, settings);
    for (auto& [name, table] : root.named_tables("tsu", 1)) {
        settings.tsus.push_back({name, table.string("key"), table.path("certificate"), table.path("chain"),
                                 table.boolean("include_chain", false),
                                 table.paths("crls", std::vector<std::string>{}),
                                 table.maybe_string("hsm").value_or("")});
        check_hsm(settings, table, settings.tsus.back().hsm);
        for (std::size_t i = 0; i + 1 < settings.tsus.size(); ++i)
            if (settings.tsus[i].key == settings.tsus.back().key)
                table.problem("key", "[tsu." + settings.tsus[i].name +
                                         "] has this key already; each TSU has its own (TSA-2)");
    }
    auto http = root.table("http");
    settings.http.listen = http.endpoint("listen", {"127.0.0.1", 3161});
    settings.http.deadline = http.duration("deadline", milliseconds(100), minutes(5), seconds(10));
    settings.http.per_address = static_cast<unsigned>(http.integer("per_address", 1, 100000, 512));
    if (!http.boolean("beyond_loopback", false) && !net::is_loopback(settings.http.listen.host))
        http.problem("listen", "plain HTTP to other machines needs beyond_loopback = true");
    Listeners listeners;
    listeners.add(http, settings.http.listen);
    if (auto table = root.maybe_table("https")) {
        settings.https = read_tls(*table);
        listeners.add(*table, settings.https->listen);
    }
    if (auto table = root.maybe_table("audit")) {
        settings.audit = AuditSettings{read_tls(*table), table->path("ca"), table->string("peer")};
        listeners.add(*table, settings.audit->tls.listen);
    }
    if (auto table = root.maybe_table("taa")) settings.taa = read_taa(*table);
    if (settings.audit.has_value() != settings.taa.has_value())
        root.problem(settings.taa ? "audit" : "taa",
                     "[audit] and [taa] go together: one listens, one says whom to believe");
    auto clock = root.table("clock");
    settings.leap_seconds = clock.path("leap_seconds", tac::clock::usual_leap_file);
    tac::clock::CorrectionRules correction;
    correction.largest = clock.duration("max_correction", milliseconds(1), hours(1), correction.largest);
    correction.rate_ppm = clock.integer("slew_ppm", 1, 5000, 500);
    if (clock.boolean("follow_tac", false)) {
        settings.follow_tac = correction;
        if (!settings.taa) clock.problem("follow_tac", "there is no [taa] to follow; allowed: false");
    }
    if (auto table = root.maybe_table("repository")) {
        settings.publication = table->maybe_path("publication").value_or("");
        settings.policy_document = table->maybe_path("policy").value_or("");
    }
    if (auto table = root.maybe_table("seal")) {
        settings.seal = read_seal(*table);
        if (!settings.checkpoints)
            table->problem("tsa", "there is nothing to stamp; allowed: with [archive] key only");
    }
    if (auto table = root.maybe_table("reference")) settings.reference = tac::clock::read_reference(*table);
    if (auto table = root.maybe_table("revocation")) settings.revocation = read_revocation(*table);
    settings.policies = read_policies(root, settings);
    if (auto table = root.maybe_table("admin")) {
        settings.admin = table->endpoint("listen");
        listeners.add(*table, *settings.admin);
        if (!table->boolean("beyond_loopback", false) && !net::is_loopback(settings.admin->host))
            table->problem("listen", "plain HTTP to other machines needs beyond_loopback = true");
    }
    settings.control = root.table("control").path("socket", "run/tsad.sock");
    if (auto table = root.maybe_table("hook")) settings.hook = read_hook(*table);
    settings.programs = read_programs(root.table("programs"));
    settings.algorithm_ends = read_algorithm_ends(root.table("collation").table("ends"));
    settings.log_level = root.table("log").choice<std::string>(
        "level", {{"debug", "debug"}, {"info", "info"}, {"warn", "warn"}, {"error", "error"}}, "info");
    if (auto done = document->finish(); !done) return std::move(done).error();
    return settings;
}

}  // namespace kokuin::tsa
