#include "ca/config.h"

#include "base/config.h"
#include "hsm/keytool.h"

namespace kokuin::ca {
namespace {

using std::chrono::hours;

constexpr nanoseconds day = hours(24);
constexpr nanoseconds longest_validity = day * 365 * 50;

std::vector<std::string> read_urls(config::Table& table, std::string_view key) {
    auto urls = table.strings(key, std::vector<std::string>{});
    for (const auto& url : urls)
        if (url.rfind("http://", 0) != 0 || url.size() < 8 ||
            url.find_first_not_of(
                "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~:/?[]@!$&'()"
                "*+,;=%") != std::string::npos)
            table.problem(key, "'" + url +
                                   "' can't be fetched by everybody (RFC 5280 4.2.1.13); allowed: http://…, "
                                   "URI characters only");
    return urls;
}

nanoseconds read_validity(config::Table& table, std::string_view key, nanoseconds fallback) {
    const auto validity = table.duration(key, day, longest_validity, fallback);
    if (validity % day != nanoseconds(0)) table.problem(key, "not in whole days; allowed: whole days");
    return validity;
}

CaSettings read_ca(config::Table table, Profile profile, nanoseconds next_update) {
    CaSettings ca;
    ca.key = table.string("key", name(profile));
    ca.subject = table.string("subject");
    if (auto done = hsm::keytool::check_subject(ca.subject); !ca.subject.empty() && !done)
        table.problem("subject", done.error().text);
    ca.validity = read_validity(table, "validity", usual_validity(profile));
    ca.crls = read_urls(table, "crls");
    ca.ca_issuers = read_urls(table, "ca_issuers");
    ca.next_update = table.duration("next_update", hours(1), day * 400, next_update);
    if (ca.next_update % seconds(1) != nanoseconds(0))
        table.problem("next_update", "not in whole seconds; allowed: whole seconds");
    return ca;
}

Result<Settings> read(config::Document& document) {
    Settings settings;
    auto root = document.root();
    settings.digest = to_hex(pki::digest(pki::Hash::sha256, as_view(document.content())));
    settings.archive = root.table("archive").path("dir");
    settings.hsm = hsm::read_settings(root.table("hsm"));
    if (!settings.hsm.unattended.empty())
        root.table("hsm").problem(
            "unattended",
            "there is no server that could open shares when it starts; allowed: [], and "
            "--share with --passphrase-file on the command line");
    auto ca = root.table("ca");
    settings.policy = ca.oid("policy");
    settings.cps = ca.maybe_string("cps").value_or("");
    settings.signature = ca.choice<pki::Hash>(
        "signature",
        {{"sha256", pki::Hash::sha256}, {"sha384", pki::Hash::sha384}, {"sha512", pki::Hash::sha512}},
        settings.signature);
    settings.ocsp = read_urls(ca, "ocsp");
    settings.root = read_ca(root.table("root"), Profile::root, day * 180);
    auto issuing = root.table("issuing");
    settings.issuing = read_ca(issuing, Profile::issuing, day * 7);
    if (settings.root.key == settings.issuing.key)
        issuing.problem("key", "is the root's too; allowed: a key of its own");
    if (settings.root.subject == settings.issuing.subject)
        issuing.problem("subject", "is the root's too; allowed: a name of its own");
    auto validity = root.table("validity");
    for (const auto profile : issued_profiles) {
        std::string key(name(profile));
        for (auto& c : key)
            if (c == '-') c = '_';
        settings.validity[profile] = read_validity(validity, key, usual_validity(profile));
    }
    if (auto done = document.finish(); !done) return std::move(done).error();
    return settings;
}

}  // namespace

Result<Settings> load_settings(const std::string& path) {
    auto document = config::Document::load(path);
    if (!document) return std::move(document).error();
    return read(*document);
}

Result<Settings> parse_settings(std::string_view text, const std::string& file) {
    auto document = config::Document::parse(text, file);
    if (!document) return std::move(document).error();
    return read(*document);
}

}  // namespace kokuin::ca
