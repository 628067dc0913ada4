#include "base/config.h"

#include <catch2/catch.hpp>
#include <chrono>

using namespace kokuin;
using namespace std::chrono_literals;
using config::Document;

namespace {

Document parse(std::string_view text) {
    auto document = Document::parse(text, "/etc/kokuin/t.toml");
    if (!document) FAIL(document.error().text);
    return std::move(*document);
}

std::string only_problem(Document& document) {
    const auto problems = document.problems();
    REQUIRE(problems.size() == 1);
    return problems.front();
}

enum class Embed { none, attribute };
const std::initializer_list<std::pair<std::string_view, Embed>> embeds = {
    {"none", Embed::none}, {"signer-attribute", Embed::attribute}};

}  // namespace

TEST_CASE("config: every type is read") {
    auto document = parse(R"(
name = "main"
port = 3161
plain = true
idle = "1h30m"
archive = "archive/x/../y"
absolute = "/var/lib/kokuin"
policy = "1.3.6.1.4.1.1291.1.1.1.1"
listen = "127.0.0.1:3161"
six = "[::1]:3162"
hashes = ["sha256", "sha512"]
accepted = ["1.2.3", "1.2.4"]
files = ["a.pem", "/b.pem"]
embed = "signer-attribute"
[http]
deadline = "500ms"
[[tsu]]
name = "one"
[[tsu]]
name = "two"
[policy_of.g]
oid = "1.2.2"
[policy_of.a2]
oid = "1.2.1"
)");
    auto root = document.root();
    CHECK(root.string("name") == "main");
    CHECK(root.integer("port", 1, 65535) == 3161);
    CHECK(root.boolean("plain"));
    CHECK(root.duration("idle", 1s, 2h) == 90min);
    CHECK(root.path("archive") == "/etc/kokuin/archive/y");
    CHECK(root.path("absolute") == "/var/lib/kokuin");
    CHECK(root.oid("policy") == "1.3.6.1.4.1.1291.1.1.1.1");
    CHECK(root.endpoint("listen") == config::Endpoint{"127.0.0.1", 3161});
    CHECK(root.endpoint("six") == config::Endpoint{"::1", 3162});
    CHECK(to_text(root.endpoint("six")) == "[::1]:3162");
    CHECK(root.strings("hashes") == std::vector<std::string>{"sha256", "sha512"});
    CHECK(root.oids("accepted") == std::vector<std::string>{"1.2.3", "1.2.4"});
    CHECK(root.paths("files") == std::vector<std::string>{"/etc/kokuin/a.pem", "/b.pem"});
    CHECK(root.choice<Embed>("embed", embeds) == Embed::attribute);
    CHECK(root.table("http").duration("deadline", 1ms, 1s, 7ms) == 500ms);
    auto tsus = root.tables("tsu", 1);
    REQUIRE(tsus.size() == 2);
    CHECK(tsus[0].string("name") == "one");
    CHECK(tsus[1].string("name") == "two");
    CHECK(tsus[1].name() == "tsu[2]");
    auto policies = root.named_tables("policy_of", 1);
    REQUIRE(policies.size() == 2);
    CHECK(policies[0].first == "g");  // the order of the file, not of the alphabet
    CHECK(policies[1].first == "a2");
    CHECK(policies[0].second.oid("oid") == "1.2.2");
    CHECK(policies[1].second.oid("oid") == "1.2.1");
    CHECK(document.finish().ok());
    CHECK(document.folder() == "/etc/kokuin");
}

TEST_CASE("config: what is absent has its fallback, also in tables that are absent") {
    auto document = parse("");
    auto root = document.root();
    CHECK(root.string("a", "x") == "x");
    CHECK_FALSE(root.maybe_string("b"));
    CHECK(root.integer("c", 0, 9, 5) == 5);
    CHECK(root.boolean("d", true));
    CHECK(root.duration("e", 0s, 1s, 1ms) == 1ms);
    CHECK(root.path("f", "run/x.sock") == "/etc/kokuin/run/x.sock");
    CHECK_FALSE(root.maybe_path("g"));
    CHECK(root.strings("h", {"x"}) == std::vector<std::string>{"x"});
    CHECK(root.choice<Embed>("i", embeds, Embed::none) == Embed::none);
    CHECK_FALSE(root.maybe_table("j"));
    auto absent = root.table("http").table("tls");
    CHECK_FALSE(absent.present());
    CHECK(absent.integer("k", 0, 9, 3) == 3);
    CHECK(root.tables("l").empty());
    CHECK(root.named_tables("m").empty());
    CHECK(document.finish().ok());
    absent.string("key");
    CHECK(only_problem(document) == "/etc/kokuin/t.toml: [http.tls] key: missing; allowed: a string");
}

TEST_CASE("config: an unknown key names its line, the likely one and what is allowed") {
    auto document = parse("[http]\nlisten = \"127.0.0.1:1\"\nidle_timeuot = \"1s\"\n");
    auto http = document.root().table("http");
    http.endpoint("listen");
    http.duration("idle_timeout", 1ms, 1h, 1s);
    http.integer("threads", 1, 5, 2);
    CHECK(only_problem(document) ==
          "/etc/kokuin/t.toml:3: [http] idle_timeuot: unknown key; allowed: did you mean idle_timeout? "
          "idle_timeout, "
          "listen, threads");
    const auto done = document.finish();
    REQUIRE_FALSE(done.ok());
    CHECK(done.error().kind == Error::Kind::usage);
}

TEST_CASE("config: unknown tables, and unknown keys of tables in lists and with free names") {
    auto document = parse("[htpp]\nx = 1\n[[tsu]]\nnmae = \"x\"\n[policy.A2]\n[policy.g]\noit = \"1.2\"\n");
    auto root = document.root();
    root.table("http");
    root.tables("tsu").at(0).string("name", "");
    for (auto& [name, table] : root.named_tables("policy")) table.oid("oid", "1.2");
    const auto problems = document.problems();
    REQUIRE(problems.size() == 4);
    CHECK(problems[0] ==
          "/etc/kokuin/t.toml:1: htpp: unknown table; allowed: did you mean http? http, policy, tsu");
    CHECK(problems[1] ==
          "/etc/kokuin/t.toml:4: [tsu[1]] nmae: unknown key; allowed: did you mean name? name");
    CHECK(problems[2] ==
          "/etc/kokuin/t.toml:5: [policy] A2: can't be a name; allowed: 1 to 64 of a to z, 0 to 9, '-', '_'");
    CHECK(problems[3] == "/etc/kokuin/t.toml:7: [policy.g] oit: unknown key; allowed: did you mean oid? oid");
}

TEST_CASE("config: bad values say what is wrong and what is allowed") {
    const auto check = [](std::string_view line, auto&& read, std::string_view expected) {
        auto document = parse(line);
        auto root = document.root();
        read(root);
        CHECK(only_problem(document) == "/etc/kokuin/t.toml:1: " + std::string(expected));
    };
    using config::Table;
    check(
        "k = 1", [](Table& t) { t.string("k"); }, "k: is an integer; allowed: a string");
    check(
        "k = \"\"", [](Table& t) { t.string("k"); }, "k: is empty; allowed: a string");
    check(
        "k = \"a\\u0000b\"", [](Table& t) { t.string("k"); }, "k: has a NUL in it; allowed: a string");
    check(
        "k = 9", [](Table& t) { t.integer("k", 0, 8, 1); },
        "k: 9 is out of range; allowed: an integer from 0 to 8");
    check(
        "k = 1.5", [](Table& t) { t.integer("k", 0, 8); },
        "k: is a number with a point; allowed: an integer from 0 to 8");
    check(
        "k = \"yes\"", [](Table& t) { t.boolean("k", true); }, "k: is a string; allowed: true, false");
    check(
        "k = \"5\"", [](Table& t) { t.duration("k", 1s, 25h); },
        "k: \"5\" is not a duration; allowed: a duration such as \"500ms\", \"90s\", \"1h30m\", \"25h\" from "
        "1s to "
        "25h");
    check(
        "k = \"26h\"", [](Table& t) { t.duration("k", 1s, 25h); },
        "k: \"26h\" is out of range; allowed: a duration such as \"500ms\", \"90s\", \"1h30m\", \"25h\" from "
        "1s to "
        "25h");
    check(
        "k = \"1.02.3\"", [](Table& t) { t.oid("k"); },
        "k: \"1.02.3\" is not an object identifier; allowed: a dotted object identifier such as "
        "\"1.3.6.1.4.1.1291.1.1.1.1\"");
    check(
        "k = \"localhost\"", [](Table& t) { t.endpoint("k"); },
        "k: \"localhost\" is not an address; allowed: \"HOST:PORT\" with a port from 1 to 65535, an IPv6 "
        "address in "
        "brackets");
    check(
        "k = \"sha256\"", [](Table& t) { t.strings("k"); }, "k: is a string; allowed: a list of strings");
    check(
        "k = [\"a\", \"a\"]", [](Table& t) { t.strings("k"); },
        "k: has \"a\" twice; allowed: a list of strings");
    check(
        "k = []", [](Table& t) { t.strings("k"); },
        "k: has too few members; allowed: a list of strings, at least 1");
    check(
        "k = [1]", [](Table& t) { t.oids("k", {}); },
        "k: has an integer in it; allowed: a list of dotted object identifiers");
    check(
        "k = \"signer-atribute\"", [](Table& t) { t.choice<Embed>("k", embeds, Embed::none); },
        "k: \"signer-atribute\" is not known; allowed: did you mean signer-attribute? none, "
        "signer-attribute");
    check(
        "k = [\"some\"]", [](Table& t) { t.choices<Embed>("k", embeds, {}); },
        "k: has \"some\" in it; allowed: a list of none, signer-attribute");
    check(
        "k = 3", [](Table& t) { t.table("k"); }, "k: is an integer; allowed: a table: [k]");
    check(
        "k = [3]", [](Table& t) { t.tables("k"); }, "k: is a list of something else; allowed: tables: [[k]]");
    check(
        "k = \"x\"", [](Table& t) { t.problem("k", t.string("k") + " contradicts y"); },
        "k: x contradicts y");
}

TEST_CASE("config: what is missing is told at its table") {
    auto document = parse("a = 1\n[http]\nb = 1\n");
    auto root = document.root();
    root.integer("a", 0, 1);
    auto http = root.table("http");
    http.integer("b", 0, 1);
    http.endpoint("listen");
    root.named_tables("policy", 1);
    const auto problems = document.problems();
    REQUIRE(problems.size() == 2);
    CHECK(problems[0] == "/etc/kokuin/t.toml: policy: missing; allowed: tables: [policy.NAME], at least 1");
    CHECK(problems[1].starts_with("/etc/kokuin/t.toml:2: [http] listen: missing; allowed: \"HOST:PORT\""));
}

TEST_CASE("config: text that is no TOML is told with its line") {
    const auto document = Document::parse("a = 1\nb = = 2\n", "x.toml");
    REQUIRE_FALSE(document.ok());
    CHECK(document.error().text.starts_with("x.toml:2: not TOML: "));
    CHECK(document.error().text.find('\n') == std::string::npos);
    CHECK_FALSE(Document::parse("a = 1\na = 2\n", "x.toml").ok());
    CHECK_FALSE(Document::load("/nonexistent/x.toml").ok());
}

TEST_CASE("config: durations") {
    CHECK(*config::parse_duration("25h") == 25h);
    CHECK(*config::parse_duration("1d2h3m4s5ms6us7ns") == 26h + 3min + 4s + 5ms + 6us + 7ns);
    CHECK(*config::parse_duration("0s") == 0s);
    for (const auto* bad : {"", "h", "1", "1x", "1m1h", "1m1m", "-1s", "+1s", "1 s", "1.5s",
                            "99999999999999999999s", "999999999d", "200000d"}) {
        INFO(bad);
        CHECK_FALSE(config::parse_duration(bad).ok());
    }
    for (const nanoseconds duration :
         std::initializer_list<nanoseconds>{0s, 25h, 90min, 500ms, 24h, 1ns, 61s}) {
        CHECK(*config::parse_duration(config::to_text(duration)) == duration);
    }
    CHECK(config::to_text(nanoseconds(25h)) == "25h");
    CHECK(config::to_text(nanoseconds(48h)) == "2d");
}

TEST_CASE("config: addresses") {
    for (const auto* bad : {"", ":1", "x", "x:", "x:0", "x:65536", "x:1x", "::1:1", "[::1]", "[x]:1",
                            "[::1:5", "a b:1", "http://x:1"}) {
        INFO(bad);
        CHECK_FALSE(config::parse_endpoint(bad).ok());
    }
}
