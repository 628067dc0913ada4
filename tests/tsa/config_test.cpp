#include "tsa/config.h"

#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>

#include "base/file.h"

using namespace kokuin;

namespace {

const std::string sample = std::string(KOKUIN_SOURCE) + "/conf/tsad.toml";

/// The sample with one piece of text replaced, read as a configuration.
Result<tsa::Settings> sample_with(const std::string& from, const std::string& to) {
    auto text = as_text(*read_file(sample));
    const auto at = text.find(from);
    REQUIRE(at != std::string::npos);
    text.replace(at, from.size(), to);
    std::string folder = "/tmp/kokuin-test-XXXXXX";
    REQUIRE(mkdtemp(folder.data()));
    const auto path = folder + "/tsad.toml";
    REQUIRE(write_file(path, as_view(text)));
    auto settings = tsa::load_settings(path);
    std::filesystem::remove_all(folder);
    return settings;
}

std::string refusal(const std::string& from, const std::string& to) {
    const auto settings = sample_with(from, to);
    REQUIRE_FALSE(settings);
    CHECK(settings.error().kind == Error::Kind::usage);
    return settings.error().text;
}

}  // namespace

TEST_CASE("the sample configuration is read") {
    const auto settings = tsa::load_settings(sample);
    if (!settings) FAIL(settings.error().text);
    REQUIRE(settings->policies.size() == 2);
    CHECK(settings->policies[0].name == "a2");
    CHECK(settings->policies[0].oid == "1.3.6.1.4.1.1291.1.1.1.1");
    CHECK(settings->policies[0].accuracy == seconds(1));
    CHECK(settings->policies[0].gentime_digits == 3);
    CHECK(settings->policies[0].require_tac);
    CHECK(settings->policies[1].oid == "1.3.6.1.4.1.1291.1.1.1.2");
    CHECK(settings->tsus.at(0).name == "tsu-1");
    CHECK(settings->http.listen.port == 3161);
    CHECK(settings->archive == std::filesystem::path(sample).parent_path().string() + "/archive");
    REQUIRE(settings->taa);
    CHECK(settings->taa->limits.at(0).max_offset == milliseconds(500));
    CHECK(settings->taa->limits.at(0).max_delay == milliseconds(100));
}

TEST_CASE("a module gets the parameters that are written, and none otherwise") {
    CHECK(sample_with("[hsm]\n", "[hsm]\n")->hsms.at(0).module_parameters.empty());
    const auto settings = sample_with("#   module_parameters = ", "module_parameters = ");
    REQUIRE(settings);
    CHECK(settings->hsms.at(0).module_parameters ==
          "tokens=<4=[configdir='sql:/var/lib/kokuin/nss' tokenDescription='kokuin-tsu']>");
    CHECK(refusal("#   module_parameters = ", "module_parameters = 4 # ").find("module_parameters") !=
          std::string::npos);
}

TEST_CASE("several HSMs, and which TSU has which") {
    const auto with = [](const std::string& more, const std::string& of_tsu = "hsm = \"second\"") {
        return sample_with("[tsu.tsu-1]\n",
                           "[hsm.second]\nmodule = \"/usr/lib/other.so\"\ntoken = \"other\"\n" + more +
                               "\n[tsu.tsu-2]\nkey = \"k\"\ncertificate = \"c\"\nchain = \"d\"\n" + of_tsu +
                               "\n[tsu.tsu-1]\n");
    };
    const auto settings = with("sessions = 9");
    REQUIRE(settings);
    REQUIRE(settings->hsms.size() == 2);
    CHECK(settings->hsms[0].name.empty());
    CHECK(settings->hsms[0].token == "kokuin-tsu");
    CHECK(settings->hsms[1].name == "second");
    CHECK(settings->hsms[1].token == "other");
    CHECK(settings->hsms[1].sessions == 9);
    REQUIRE(settings->tsus.size() == 2);
    CHECK(settings->tsus[0].hsm == "second");
    CHECK(settings->tsus[1].hsm.empty());

    const auto refused = [&with](const std::string& more, const std::string& of_tsu = "") {
        const auto read = with(more, of_tsu);
        REQUIRE_FALSE(read);
        CHECK(read.error().kind == Error::Kind::usage);
        return read.error().text;
    };
    CHECK(refused("", "hsm = \"third\"").find("there is no [hsm.third]") != std::string::npos);
    CHECK(refused("pin = 1").find("[hsm.second] pin: unknown key") != std::string::npos);
    const std::string same = "/usr/lib/softhsm/libsofthsm2.so\"\ntoken = \"";
    CHECK(refused("[hsm.third]\nmodule = \"" + same + "kokuin-tsu\"")
              .find("[hsm.third] token: [hsm] has a token of this label already") != std::string::npos);
    CHECK(refused("[hsm.third]\nmodule = \"" + same + "x\"\nmodule_parameters = \"a\"")
              .find("a module is started once") != std::string::npos);
    CHECK(refused("environment = [\"A=1\"]\n[hsm.third]\nmodule = \"" + same + "x\"\nenvironment = [\"A=2\"]")
              .find("'A' has another value in [hsm.second]") != std::string::npos);
    CHECK(refused("[hsm.hsm]\nmodule = \"" + same + "x\"").find("means [hsm] itself") != std::string::npos);
    CHECK(refused("[hsm.Third]\nmodule = \"" + same + "x\"").find("can't be a name") != std::string::npos);
}

TEST_CASE("the default policy comes first, whatever its place in the file") {
    auto settings = sample_with("default = true\n", "\n");
    REQUIRE_FALSE(settings);
    CHECK(settings.error().text.find("no policy is the default") != std::string::npos);
    settings = sample_with("default = true\n", "default = false\n");
    REQUIRE_FALSE(settings);
    settings = sample_with("[policy.g]\n", "[policy.g]\ndefault = true\n");
    REQUIRE_FALSE(settings);
    CHECK(settings.error().text.find("is the default already") != std::string::npos);
}

TEST_CASE("the Seiko policies have their limits, another one must say its own") {
    const std::string oid = "oid = \"1.3.6.1.4.1.955.1.18.1.1\"";
    auto settings = sample_with(oid, "oid = \"1.3.6.1.4.1.955.1.18.1.2\"");
    REQUIRE(settings);
    CHECK(settings->taa->limits.at(0).max_offset == seconds(1));
    CHECK(refusal(oid, "oid = \"1.2.3.4\"").find("max_offset") != std::string::npos);
    settings = sample_with(oid, "oid = \"1.2.3.4\"\nmax_offset = \"20ms\"");
    REQUIRE(settings);
    CHECK(settings->taa->limits.at(0).max_offset == milliseconds(20));
    CHECK(settings->taa->limits.at(0).max_delay == milliseconds(100));
}

TEST_CASE("what contradicts itself or opens too much is refused with what is allowed") {
    CHECK(
        refusal("listen = \"127.0.0.1:3161\"", "listen = \"0.0.0.0:3161\"").find("beyond_loopback = true") !=
        std::string::npos);
    CHECK(sample_with("listen = \"127.0.0.1:3161\"", "listen = \"0.0.0.0:3161\"\nbeyond_loopback = true"));
    CHECK(refusal("oid = \"1.3.6.1.4.1.1291.1.1.1.2\"", "oid = \"1.3.6.1.4.1.1291.1.1.1.1\"")
              .find("'a2' has this OID") != std::string::npos);
    CHECK(refusal("[policy.g]\n", "[policy.g]\nrequire_tac = false\n").find("require_tac") !=
          std::string::npos);
    CHECK(refusal("[policy.g]\n", "[policy.g]\nhashes = [\"sha1\"]\n").find("sha256") != std::string::npos);
    CHECK(refusal("[policy.g]\n", "[policy.g]\ngentime_digits = 10\n").find("gentime_digits") !=
          std::string::npos);
    CHECK(refusal("[policy.g]\n", "[policy.g]\ngentime_digits = 0\n").find("accuracy above 1s") !=
          std::string::npos);
    CHECK(sample_with("[policy.g]\n", "[policy.g]\ngentime_digits = 0\naccuracy = \"2s\"\n"));
    CHECK(refusal("[policy.g]\n", "[policy.g]\nacuracy = \"1s\"\n").find("accuracy") != std::string::npos);
    // Two limits for one policy: which holds?
    CHECK(refusal("[admin]", "[taa.policy.again]\noid = \"1.3.6.1.4.1.955.1.18.1.1\"\n[admin]")
              .find("[taa.policy.again] oid: [taa.policy.seiko-500ms] has this OID already") !=
          std::string::npos);
    CHECK(refusal("[admin]", "[admin]\nunknown = 1").find("tsad.toml:") != std::string::npos);
}

TEST_CASE("two listeners at one place are a mistake of the configuration") {
    const std::string https = "listen = \"127.0.0.1:3162\"";
    const auto text = refusal(https, "listen = \"127.0.0.1:3161\"");
    CHECK(text.find("[https] listen: [http] listens on 127.0.0.1:3161 already") != std::string::npos);
    CHECK(text.find("tsad.toml:") != std::string::npos);
    // The same place by another name, or every address.
    CHECK(refusal(https, "listen = \"localhost:3161\"").find("[http] listens") != std::string::npos);
    CHECK(refusal(https, "listen = \"0.0.0.0:3163\"").find("[audit] listen: [https] listens") !=
          std::string::npos);
    CHECK(refusal(https, "listen = \"[::]:3165\"").find("[admin] listen: [https] listens") !=
          std::string::npos);
    CHECK(sample_with(https, "listen = \"127.0.0.2:3161\""));
    CHECK(sample_with(https, "listen = \"[::1]:3161\""));
}

namespace {
/// The sample with a reference.
Result<tsa::Settings> with_reference(const std::string& keys, const std::string& policy = "") {
    return sample_with("[policy.g]\n", "[reference]\n" + keys + "\n[policy.g]\n" + policy);
}
std::string reference_refusal(const std::string& keys, const std::string& policy = "") {
    const auto settings = with_reference(keys, policy);
    REQUIRE_FALSE(settings);
    CHECK(settings.error().kind == Error::Kind::usage);
    return settings.error().text;
}
const std::string three =
    "servers = [\"a.example\", \"192.0.2.1:1123\"]\nnts_servers = [\"[2001:db8::1]:4461\"]\n";
}  // namespace

TEST_CASE("the reference: three servers, or somebody else's chronyd") {
    const auto settings = with_reference(three);
    if (!settings) FAIL(settings.error().text);
    REQUIRE(settings->reference);
    const auto& daemon = settings->reference->daemon;
    REQUIRE(daemon.servers.size() == 3);
    CHECK(daemon.servers[0].host == "a.example");
    CHECK(daemon.servers[0].port == 0);
    CHECK(daemon.servers[1].host == "192.0.2.1");
    CHECK(daemon.servers[1].port == 1123);
    CHECK_FALSE(daemon.servers[1].nts);
    CHECK(daemon.servers[2].host == "2001:db8::1");
    CHECK(daemon.servers[2].port == 4461);
    CHECK(daemon.servers[2].nts);
    CHECK(daemon.nts_ca.empty());
    CHECK(daemon.min_sources == 2);
    CHECK(settings->reference->rules.max_age == seconds(64));
    CHECK(settings->reference->rules.min_sources == 2);
    // Where there is a reference, every policy wants it.
    CHECK(settings->policies[0].require_reference);
    const auto lax = with_reference(three + "required = false\n");
    REQUIRE(lax);
    CHECK_FALSE(lax->policies[0].require_reference);
    const auto others = with_reference("socket = \"/run/x/chronyd.sock\"\nmax_age = \"30s\"");
    REQUIRE(others);
    CHECK(others->reference->daemon.socket == "/run/x/chronyd.sock");
    CHECK(others->reference->rules.max_age == seconds(30));
    CHECK_FALSE(sample_with("[policy.g]", "[policy.g]")->policies[0].require_reference);
}

TEST_CASE("the reference of the sample, once its lines are no comments any more") {
    const auto text = as_text(*read_file(sample));
    std::string keys;
    for (auto at = text.find("# [reference]\n") + 14; text[at] == '#';) {
        const auto end = text.find('\n', at);
        if (text.compare(at, 8, "# socket") != 0) keys += text.substr(at + 2, end - at - 1);
        at = end + 1;
    }
    const auto settings = with_reference(keys);
    if (!settings) FAIL(settings.error().text);
    const auto& shown = *settings->reference;
    const auto usual = *with_reference(three)->reference;
    CHECK(shown.daemon.servers.size() == 3);
    CHECK(shown.rules.max_age == usual.rules.max_age);
    CHECK(shown.rules.min_sources == usual.rules.min_sources);
    CHECK(shown.required == usual.required);
    CHECK(shown.daemon.chronyd == usual.daemon.chronyd);
    CHECK(std::filesystem::path(shown.daemon.dir).filename() == "reference");
}

TEST_CASE("a reference that can't be one is refused with what is allowed") {
    const auto has = [](const std::string& text, const std::string& part) {
        INFO(text);
        return text.find(part) != std::string::npos;
    };
    CHECK(has(reference_refusal("servers = [\"a\", \"b\"]"), "three or more"));
    CHECK(has(reference_refusal(""), "three or more"));
    CHECK(has(reference_refusal(three + "socket = \"/x\""), "belongs to a chronyd of our own"));
    // Nothing gets into chronyd's configuration but hosts and numbers.
    for (const auto* bad : {"a b", "a\\nallow", "a:0", "a:65536", "a:1x", "-x", "[::1", "[::1]x", "a#", ":1"})
        CHECK(has(reference_refusal("servers = [\"" + std::string(bad) + "\", \"b\", \"c\", \"d\"]"),
                  "is no time server; allowed: HOST"));
    CHECK(has(reference_refusal(three + "dir = \"my folder\""), "path with spaces"));
    CHECK(has(reference_refusal(three + "min_sources = 4"), "more than there are servers; allowed: 1 to 3"));
    CHECK(has(reference_refusal(three + "max_age = \"1s\""), "max_age"));
    CHECK(has(reference_refusal(three + "requires = true"), "requires"));
}

TEST_CASE("a second place for the archive, which may be waited for") {
    CHECK(sample_with("[hsm]\n", "[hsm]\n")->copy.empty());
    const auto settings = sample_with("#   copy = ", "copy = ");
    REQUIRE(settings);
    CHECK(settings->copy == "/mnt/second/archive");
    CHECK_FALSE(settings->copy_waits);
    CHECK(sample_with("#   copy = ", "copy_waits = true\ncopy = ")->copy_waits);
    CHECK_THAT(refusal("# copy_waits = false", "copy_waits = true"),
               Catch::Contains("with [archive] copy only"));
}

TEST_CASE("witnesses, by the keys that they show") {
    CHECK(sample_with("[hsm]\n", "[hsm]\n")->witnesses.empty());
    CHECK(sample_with("[hsm]\n", "[hsm]\n")->witness_every == std::chrono::minutes(1));
    // The sample's own, once its lines are no comments any more.
    auto text = as_text(*read_file(sample));
    const auto begin = text.find("#   [witness.w1]\n");
    REQUIRE(begin != std::string::npos);
    const std::string commented = text.substr(begin, text.find("\n\n", begin) + 1 - begin);
    std::string table = "\n";
    for (std::size_t at = 0; at < commented.size(); at = commented.find('\n', at) + 1)
        table += commented.substr(at + 4, commented.find('\n', at) + 1 - at - 4);
    const auto settings = sample_with(commented, table);
    if (!settings) FAIL(settings.error().text);
    REQUIRE(settings->witnesses.size() == 1);
    const auto& one = settings->witnesses[0];
    CHECK(one.name == "w1");
    CHECK(one.url.host == "192.0.2.7");
    CHECK(one.url.port == 3170);
    CHECK(one.url.path == "/");
    CHECK(one.key.name() == "witness.example/w1");

    const auto changed = [&](const std::string& from, const std::string& to) {
        std::string other = table;
        const auto at = other.find(from);
        REQUIRE(at != std::string::npos);
        return other.replace(at, from.size(), to);
    };
    CHECK(sample_with(commented, changed(":3170", ":3170/a/b"))->witnesses[0].url.path == "/a/b/");
    using Catch::Contains;
    CHECK_THAT(refusal(commented, changed("http:", "https:")), Contains("not the URL of a witness"));
    CHECK_THAT(refusal(commented, changed(":3170", ":3170/?a")), Contains("not the URL of a witness"));
    CHECK_THAT(refusal(commented, changed("w1+0", "w1+1")), Contains("no key of a log or witness"));
    CHECK_THAT(refusal(commented, table + changed(".w1]", ".w2]")), Contains("this name in its key already"));
    const std::string of_a_log =
        tlog::VerifierKey::make("log", tlog::VerifierKey::Type::ed25519, Bytes(32, 1))->text();
    CHECK_THAT(refusal(commented, "[witness.x]\nurl = \"http://a\"\nkey = \"" + of_a_log + "\"\n"),
               Contains("is a log's"));
    CHECK_THAT(refusal(commented, changed("key =", "keys =")), Contains("key"));
    auto keyless = refusal("key = \"archive\"",
                           "\n[witness.x]\nurl = \"http://a\"\nkey = \"" + one.key.text() + "\"\n#");
    CHECK_THAT(keyless, Contains("no checkpoints to cosign"));
}

TEST_CASE("a policy that nothing would prove is refused") {
    CHECK(with_reference(three, "require_tac = false\n"));
    CHECK(refusal("[policy.g]\n", "[policy.g]\nrequire_tac = false\n").find("needs a [reference]") !=
          std::string::npos);
    CHECK(reference_refusal(three, "require_tac = false\nembed_tac = \"signer-attribute\"\n")
              .find("embed_tac") != std::string::npos);
}

TEST_CASE("when algorithms are given up, and where imports lie") {
    const auto plain = sample_with("[hsm]\n", "[hsm]\n");
    CHECK(plain->algorithm_ends.empty());
    CHECK(plain->personal == std::filesystem::path(plain->file).parent_path().string() + "/personal");
    // The sample's own, once its lines are no comments any more.
    const std::string sample_ends =
        "#   [collation.ends]\n#   sha256 = \"2040-01-01\"\n#   rsa2048 = \"2031-01-01\"\n";
    const auto with = [&](const std::string& keys) {
        return sample_with(sample_ends, "[collation.ends]\n" + keys);
    };
    const auto settings = with("sha256 = \"2040-01-01\"\nrsa2048 = \"2031-01-01\"\n");
    if (!settings) FAIL(settings.error().text);
    CHECK(settings->algorithm_ends == tsa::AlgorithmEnds{{"sha256", *from_rfc3339("2040-01-01")},
                                                         {"rsa2048", *from_rfc3339("2031-01-01")}});
    CHECK(with("sha1 = \"2020-01-01\"\nsha384 = \"2050-01-01\"\nsha512 = \"2050-01-01T12:00:00Z\"\n"
               "rsa3072 = \"2050-01-01\"\nrsa4096 = \"2050-01-01\"\n")
              ->algorithm_ends.size() == 5);
    using Catch::Contains;
    CHECK_THAT(refusal(sample_ends, "[collation.ends]\nsha256 = \"2035\"\n"),
               Contains("no date; allowed: one like"));
    CHECK_THAT(refusal(sample_ends, "[collation.ends]\nmd5 = \"2035-01-01\"\n"), Contains("md5"));
    CHECK_THAT(refusal(sample_ends, "[collation]\nend = 1\n"), Contains("[collation] end"));
}

TEST_CASE("who time-stamps finished months") {
    CHECK_FALSE(sample_with("[hsm]\n", "[hsm]\n")->seal);
    using Catch::Contains;
    const auto with = [](const std::string& keys) { return "[seal]\n" + keys + "\n[admin]"; };
    const std::string least = "tsa = \"http://tsa.example/x\"\nanchors = \"a.pem\"\n";
    const auto settings = sample_with("[admin]", with(least));
    if (!settings) FAIL(settings.error().text);
    const auto& seal = *settings->seal;
    CHECK(seal.url.host == "tsa.example");
    CHECK(seal.url.path == "/x");
    CHECK(seal.hash == pki::Hash::sha512);
    CHECK(seal.renew_before == std::chrono::hours(24 * 180));
    CHECK(seal.every == std::chrono::minutes(1));
    CHECK(std::filesystem::path(seal.anchors).is_absolute());
    CHECK(sample_with("[admin]", with(least + "hash = \"sha256\""))->seal->hash == pki::Hash::sha256);
    CHECK_THAT(refusal("[admin]", with("tsa = \"http://tsa.example/\"")), Contains("anchors"));
    CHECK_THAT(refusal("[admin]", with(least + "hash = \"sha1\"")), Contains("sha256"));
    CHECK_THAT(refusal("[admin]", with(least + "policy = \"x\"")), Contains("is no OID"));
    CHECK_THAT(refusal("[admin]", with("tsa = \"https://tsa.example/\"\nanchors = \"a.pem\"")),
               Contains("https needs `ca`"));
}
