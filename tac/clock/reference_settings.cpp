#include "tac/clock/reference_settings.h"

#include <algorithm>
#include <charconv>

namespace kokuin::tac::clock {
namespace {

// chronyd reads one server a line and words between spaces: what could be anything else is refused.
bool is_host(std::string_view text) {
    return !text.empty() && text.size() <= 253 && text.front() != '-' &&
           std::all_of(text.begin(), text.end(), [](char c) {
               return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                      c == '.' || c == '-' || c == ':' || c == '_';
           });
}

std::optional<chrony::Server> server_of(const std::string& text, bool nts) {
    chrony::Server server;
    server.nts = nts;
    server.host = text;
    const bool bracket = text.starts_with('[');
    const auto colon = text.rfind(':');
    // HOST:PORT, [IPv6]:PORT; an IPv6 address alone has more than one colon.
    if (bracket || (colon != std::string::npos && text.find(':') == colon)) {
        const auto end = bracket ? text.find(']') : colon;
        if (end == std::string::npos) return std::nullopt;
        server.host = text.substr(bracket ? 1 : 0, end - (bracket ? 1 : 0));
        const auto rest = std::string_view(text).substr(bracket ? end + 1 : end);
        if (!rest.empty()) {
            const auto digits = rest.substr(1);
            const auto [last, fault] =
                std::from_chars(digits.data(), digits.data() + digits.size(), server.port);
            if (rest.front() != ':' || fault != std::errc() || last != digits.data() + digits.size() ||
                server.port == 0)
                return std::nullopt;
        }
    }
    if (!is_host(server.host)) return std::nullopt;
    return server;
}

// A word in chronyd's configuration.
void must_be_plain(config::Table& table, const char* key, const std::string& path) {
    if (path.find_first_of(" \t\r\n\"#!%") != std::string::npos)
        table.problem(key, "chronyd can't read a path with spaces or one of \"#!%; allowed: another path");
}

}  // namespace

ReferenceSettings read_reference(config::Table& table) {
    ReferenceSettings settings;
    auto& daemon = settings.daemon;
    daemon.chronyd = table.string("chronyd", daemon.chronyd);
    daemon.chronyc = table.string("chronyc", daemon.chronyc);
    if (auto socket = table.maybe_path("socket")) {
        daemon.socket = std::move(*socket);
        for (const auto* key : {"servers", "nts_servers", "nts_ca", "dir"})
            if (table.has(key))
                table.problem(key,
                              "belongs to a chronyd of our own, and socket names somebody else's; "
                              "allowed: one of both");
    }
    for (const bool nts : {false, true}) {
        const char* key = nts ? "nts_servers" : "servers";
        for (const auto& text : table.strings(key, std::vector<std::string>{})) {
            if (auto server = server_of(text, nts))
                daemon.servers.push_back(std::move(*server));
            else
                table.problem(key,
                              "'" + text + "' is no time server; allowed: HOST, HOST:PORT or [IPv6]:PORT");
        }
    }
    daemon.nts_ca = table.maybe_path("nts_ca").value_or("");
    daemon.dir = table.path("dir", "run/reference");
    if (daemon.socket.empty()) {
        if (!daemon.nts_ca.empty()) must_be_plain(table, "nts_ca", daemon.nts_ca);
        must_be_plain(table, "dir", daemon.dir);
        if (daemon.servers.size() < 3)
            table.problem("servers", "names " + std::to_string(daemon.servers.size()) +
                                         " with nts_servers; allowed: three or more together (of two nobody "
                                         "knows which one lies), or socket = the command socket of a "
                                         "`chronyd -x` that others run");
    }
    auto& rules = settings.rules;
    rules.max_age = table.duration("max_age", seconds(20), std::chrono::hours(1), rules.max_age);
    rules.min_sources = static_cast<std::size_t>(table.integer("min_sources", 1, 16, 2));
    if (daemon.socket.empty() && rules.min_sources > daemon.servers.size() && daemon.servers.size() >= 3)
        table.problem("min_sources",
                      "more than there are servers; allowed: 1 to " + std::to_string(daemon.servers.size()));
    daemon.min_sources = rules.min_sources;
    daemon.silence = rules.max_age;
    settings.required = table.boolean("required", true);
    return settings;
}

}  // namespace kokuin::tac::clock
