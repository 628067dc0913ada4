#include "taa/config.h"

#include <utility>

#include "base/text.h"

namespace kokuin::taa {
namespace {

using std::chrono::hours;

/// Whom an event concerns has at most 256 octets.
constexpr std::size_t longest_tsa = 200;

AuditRules read_rules(config::Table& table, const Pace& pace) {
    AuditRules rules;
    rules.policy = table.oid("policy", rules.policy);
    const auto policies = tac::builtin_policies();
    const auto known = policies.find(rules.policy);
    constexpr nanoseconds least = milliseconds(1);
    // Of a policy nobody knows the limit must be said, not guessed.
    rules.max_offset = known == policies.end()
                           ? table.duration("max_offset", least, seconds(10))
                           : table.duration("max_offset", least, seconds(10), known->second.max_offset);
    rules.max_delay = table.duration("max_delay", least, seconds(1), rules.max_delay);
    rules.validity = table.duration("validity", seconds(1), hours(24 * 7), rules.validity);
    if (rules.max_offset % microseconds(1) != nanoseconds(0))
        table.problem("max_offset", "finer than a microsecond; allowed: whole microseconds");
    if (rules.max_delay % microseconds(1) != nanoseconds(0))
        table.problem("max_delay", "finer than a microsecond; allowed: whole microseconds");
    if (rules.validity % seconds(1) != nanoseconds(0))
        table.problem("validity", "not in whole seconds; allowed: whole seconds");
    if (rules.validity <= pace.interval)
        table.problem("validity",
                      "a TAC would end before the next audit; allowed: more than the [schedule] interval, " +
                          config::to_text(pace.interval));
    return rules;
}

TsuSettings read_tsu(std::string name, config::Table& table, const Pace& pace) {
    TsuSettings tsu;
    tsu.name = std::move(name);
    tsu.called = table.string("name", tsu.name);
    tsu.tsa = table.string("tsa", tsu.tsa);
    if (tsu.tsa.empty() || one_line(tsu.tsa, longest_tsa) != tsu.tsa)
        table.problem("tsa", "can't stand in records and reports; allowed: one line of 1 to 200 octets");
    tsu.audit = table.endpoint("audit");
    tsu.peer = table.string("peer");
    for (const auto& [key, text] : {std::pair{"name", tsu.called}, std::pair{"peer", tsu.peer}})
        if (one_line(text, longest_tsa) != text)
            table.problem(key, "can't stand in records; allowed: one line of at most 200 octets");
    tsu.certificate = table.path("certificate");
    tsu.successors = table.maybe_path("successors").value_or("");
    tsu.rules = read_rules(table, pace);
    return tsu;
}

Result<Settings> read(config::Document& document) {
    Settings settings;
    auto root = document.root();
    settings.digest = to_hex(pki::digest(pki::Hash::sha256, as_view(document.content())));
    auto archive = root.table("archive");
    settings.archive = archive.path("dir");
    settings.archive_name = archive.string("name", "kokuin");
    const auto within = archive.duration("covered_within", seconds(1), hours(1), seconds(5));
    if (auto key = archive.maybe_string("key")) settings.checkpoints = {std::move(*key), within};
    settings.hsm = hsm::read_settings(root.table("hsm"));

    auto taa = root.table("taa");
    settings.key = taa.string("key");
    settings.certificate = taa.path("certificate");
    settings.signature = taa.choice<pki::Hash>(
        "signature", {{"sha256", pki::Hash::sha256}, {"sha512", pki::Hash::sha512}}, settings.signature);

    auto channel = root.table("channel");
    settings.channel.listen = channel.endpoint("listen");
    settings.channel.certificate = channel.path("certificate");
    settings.channel.key = channel.path("key");
    settings.channel.ca = channel.path("ca");

    auto clock = root.table("clock");
    settings.own_limit = std::chrono::floor<microseconds>(
        clock.duration("limit", milliseconds(1), milliseconds(30), settings.own_limit));
    settings.leap_seconds = clock.path("leap_seconds", settings.leap_seconds);
    const bool unwatched = clock.boolean("unwatched", false);
    if (auto table = root.maybe_table("reference")) {
        settings.reference = tac::clock::read_reference(*table);
        if (!settings.reference->required)
            table->problem("required", "a TAA issues nothing without its reference (TAA-4); allowed: true");
        if (unwatched) clock.problem("unwatched", "contradicts [reference]; allowed: one of both");
    } else if (!unwatched) {
        root.problem("reference",
                     "nothing watches this TAA's clock (TAA-4); allowed: [reference], or unwatched = true in "
                     "[clock], and its accuracy is then its operator's word");
    }

    auto schedule = root.table("schedule");
    auto& pace = settings.pace;
    pace.interval = schedule.duration("interval", seconds(1), hours(24), pace.interval);
    pace.retry = schedule.duration("retry", seconds(1), hours(24), pace.retry);
    pace.request_spacing =
        schedule.duration("request_spacing", nanoseconds(0), hours(1), pace.request_spacing);
    pace.start_spacing = schedule.duration("start_spacing", nanoseconds(0), seconds(10), milliseconds(50));
    settings.samples = static_cast<unsigned>(schedule.integer("samples", 1, 64, settings.samples));
    settings.measurements =
        static_cast<unsigned>(schedule.integer("measurements", 1, 16, settings.measurements));
    settings.deadline = schedule.duration("deadline", milliseconds(100), seconds(60), settings.deadline);

    settings.unreachable_after =
        schedule.duration("unreachable_after", seconds(1), hours(24), settings.unreachable_after);

    for (auto& [name, table] : root.named_tables("tsu", 1)) {
        const auto& tsu = settings.tsus.emplace_back(read_tsu(name, table, pace));
        for (const auto& other : settings.tsus)
            if (&other != &tsu && other.peer == tsu.peer && other.called == tsu.called)
                table.problem("peer",
                              "[tsu." + other.name + "] is the same TSU; allowed: each peer and name once");
    }

    if (pace.start_spacing * static_cast<std::int64_t>(settings.tsus.size()) > pace.interval)
        schedule.problem(
            "start_spacing",
            "so many TSUs have no turn within the interval; allowed: at most " +
                config::to_text(pace.interval / static_cast<std::int64_t>(settings.tsus.size())));

    settings.review_within =
        root.table("admission")
            .duration("review_within", hours(24), hours(24 * 3660), settings.review_within);
    settings.control = root.table("control").path("socket", "run/taad.sock");
    if (auto table = root.maybe_table("hook")) settings.hook = read_hook(*table);
    settings.reports = root.table("report").path("dir", "reports");

    settings.log_level = root.table("log").choice<std::string>(
        "level", {{"debug", "debug"}, {"info", "info"}, {"warn", "warn"}, {"error", "error"}},
        settings.log_level);

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

}  // namespace kokuin::taa
