#include "tsa/revocation_settings.h"

#include "base/net/http.h"

namespace kokuin::tsa {
namespace {

using std::chrono::hours;
using std::chrono::minutes;

std::string url(config::Table& table, std::string_view key) {
    const auto text = table.maybe_string(key);
    if (!text) return "";
    const auto parsed = net::parse_url(*text);
    // What is fetched is signed by its CA; TLS would add nothing but anchors to look after.
    if (!parsed || parsed->https)
        table.problem(key, "isn't a place that is fetched from; allowed: http://HOST[:PORT][/PATH]");
    return *text;
}

}  // namespace

RevocationSettings read_revocation(config::Table& table) {
    RevocationSettings out;
    out.hard = table.choice<bool>("mode", {{"soft", false}, {"hard", true}}, false);
    out.grace = table.duration("grace", seconds(0), hours(24 * 31), hours(24));
    if (out.hard && table.has("grace"))
        table.problem("grace", "mode = \"hard\" has none; allowed: mode = \"soft\", or no grace");
    out.every = table.duration("every", seconds(1), hours(24), hours(1));
    out.timeout = table.duration("timeout", milliseconds(100), minutes(1), seconds(5));
    out.cache = table.path("cache", "revocation");
    for (auto& [name, source] : table.named_tables("issuer", 0)) {
        out.sources.push_back({name, source.path("certificate"), url(source, "ocsp"), url(source, "crl")});
        if (out.sources.back().ocsp.empty() && out.sources.back().crl.empty())
            source.problem("crl", "is missing, and ocsp too; allowed: at least one of them");
    }
    return out;
}

}  // namespace kokuin::tsa
