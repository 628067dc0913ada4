#include "taa/config.h"

#include <catch2/catch.hpp>

#include "base/file.h"

using namespace kokuin;
using namespace kokuin::taa;
using namespace std::chrono_literals;

namespace {

std::string sample() {
    auto file = read_file(std::string(KOKUIN_SOURCE_DIR) + "/conf/taad.toml");
    REQUIRE(file);
    return as_text(*file);
}

std::string with(std::string_view old_text, std::string_view new_text) {
    auto text = sample();
    const auto at = text.find(old_text);
    REQUIRE(at != std::string::npos);
    return text.replace(at, old_text.size(), new_text);
}

std::string error_of(const std::string& text) {
    const auto settings = parse_settings(text, "/etc/kokuin/taad.toml");
    REQUIRE_FALSE(settings);
    CHECK(settings.error().kind == Error::Kind::usage);
    INFO(settings.error().text);
    return settings.error().text;
}

}  // namespace

TEST_CASE("the sample configuration is complete, and its comments tell the defaults") {
    const auto settings = parse_settings(sample(), "/etc/kokuin/taad.toml");
    REQUIRE(settings);
    CHECK(settings->archive == "/etc/kokuin/taa-archive");
    CHECK(settings->archive_name == "kokuin");
    REQUIRE(settings->checkpoints);
    CHECK(settings->checkpoints->key == "archive");
    CHECK(settings->checkpoints->within == 5s);
    CHECK(settings->key == "taa");
    CHECK(settings->certificate == "/etc/kokuin/pki/taa.pem");
    CHECK(settings->channel.listen == config::Endpoint{"127.0.0.1", 3164});
    CHECK(settings->hsm.token == "kokuin-taa");
    REQUIRE(settings->tsus.size() == 1);
    CHECK(settings->tsus[0].name == "tsu-1");
    CHECK(settings->tsus[0].called == "tsu-1");
    CHECK(settings->tsus[0].peer == "tsu.audit.kokuin.example");

    // Every commented key, taken in, must change nothing.
    std::string all;
    std::size_t begin = 0;
    const auto text = sample();
    while (begin < text.size()) {
        const auto end = text.find('\n', begin);
        auto line = text.substr(begin, end - begin);
        begin = end + 1;
        const auto equals = line.find(" = ");
        if (line.rfind("# ", 0) == 0 && equals != std::string::npos &&
            line.substr(2, equals - 2).find_first_not_of("abcdefghijklmnopqrstuvwxyz_") == std::string::npos)
            line.erase(0, 2);
        all += line + "\n";
    }
    const auto same = parse_settings(all, "/etc/kokuin/taad.toml");
    INFO((same ? std::string() : same.error().text));
    REQUIRE(same);
    CHECK(same->pace.interval == settings->pace.interval);
    CHECK(same->pace.retry == settings->pace.retry);
    CHECK(same->pace.request_spacing == settings->pace.request_spacing);
    CHECK(same->samples == settings->samples);
    CHECK(same->measurements == settings->measurements);
    CHECK(same->deadline == settings->deadline);
    CHECK(same->signature == settings->signature);
    CHECK(same->hsm.sessions == settings->hsm.sessions);
    CHECK(same->tsus[0].rules.policy == settings->tsus[0].rules.policy);
    CHECK(same->tsus[0].rules.max_offset == settings->tsus[0].rules.max_offset);
    CHECK(same->tsus[0].rules.max_delay == settings->tsus[0].rules.max_delay);
    CHECK(same->tsus[0].rules.validity == settings->tsus[0].rules.validity);
    CHECK(same->log_level == settings->log_level);
    CHECK(same->tsus[0].tsa == settings->tsus[0].tsa);
    CHECK(same->reports == settings->reports);
    CHECK(same->reports == "/etc/kokuin/reports");
    CHECK(same->tsus[0].rules.validity == 25h);
}

TEST_CASE("a known policy brings its limit, an unknown one must state it") {
    const auto second = parse_settings(
        with(R"(# policy = "1.3.6.1.4.1.955.1.18.1.1")", R"(policy = "1.3.6.1.4.1.955.1.18.1.2")"),
        "taad.toml");
    REQUIRE(second);
    CHECK(second->tsus[0].rules.max_offset == 1s);
    CHECK(error_of(with(R"(# policy = "1.3.6.1.4.1.955.1.18.1.1")", R"(policy = "1.2.3.4")"))
              .find("max_offset") != std::string::npos);
}

TEST_CASE("what is wrong is told with its place") {
    CHECK(error_of(with("# interval = \"1h\"", "interval = \"25h\"")).find("[schedule] interval") !=
          std::string::npos);
    CHECK(error_of(with("# interval = \"1h\"", "intervall = \"1h\"")).find("intervall") != std::string::npos);
    CHECK(error_of(with("# validity = \"25h\"", "validity = \"30m\"")).find("validity") != std::string::npos);
    CHECK(error_of(with("# signature = \"sha512\"", "signature = \"sha1\"")).find("sha256") !=
          std::string::npos);
    CHECK(error_of(with("[tsu.tsu-1]", "[tsu.\"tsu 1\"]")).find("tsu 1") != std::string::npos);
    for (const auto* bad : {"tsa = \"\"", "tsa = \"two\\nlines\"", "tsa = \"end \""}) {
        INFO(bad);
        CHECK(error_of(with("# tsa = \"TSA\"", bad)).find("[tsu.tsu-1] tsa") != std::string::npos);
    }
    CHECK_FALSE(parse_settings("", "taad.toml"));
}

TEST_CASE("two TSUs of one peer need two names") {
    const std::string second =
        "\n[tsu.other]\naudit = \"127.0.0.1:1\"\npeer = \"tsu.audit.kokuin.example\"\ncertificate = "
        "\"x.pem\"\n";
    CHECK(parse_settings(with("[log]", second + "[log]"), "taad.toml"));
    CHECK(error_of(with("[log]", second + "name = \"tsu-1\"\n[log]")).find("[tsu.tsu-1]") !=
          std::string::npos);
}
