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
