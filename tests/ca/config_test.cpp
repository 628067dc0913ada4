#include "ca/config.h"

#include <catch2/catch.hpp>

#include "base/file.h"
#include "tests/support/text.h"

using namespace kokuin;
using namespace kokuin::ca;
using namespace std::chrono_literals;
using testing::has;

namespace {

std::string sample() {
    auto file = read_file(std::string(KOKUIN_SOURCE) + "/conf/tsca.toml");
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
    const auto settings = parse_settings(text, "/etc/kokuin/tsca.toml");
    REQUIRE_FALSE(settings);
    CHECK(settings.error().kind == Error::Kind::usage);
    return settings.error().text;
}

void same(const CaSettings& a, const CaSettings& b) {
    CHECK(a.key == b.key);
    CHECK(a.subject == b.subject);
    CHECK(a.validity == b.validity);
    CHECK(a.crls == b.crls);
    CHECK(a.ca_issuers == b.ca_issuers);
    CHECK(a.next_update == b.next_update);
}

}  // namespace

TEST_CASE("the sample configuration is complete, and its comments tell the defaults") {
    const auto settings = parse_settings(sample(), "/etc/kokuin/tsca.toml");
    INFO((settings ? std::string() : settings.error().text));
    REQUIRE(settings);
    CHECK(settings->archive == "/etc/kokuin/ca-archive");
    CHECK(settings->hsm.token == "kokuin-ca");
    CHECK(settings->policy == "2.999.1");
    CHECK(settings->ocsp == std::vector<std::string>{"http://tsa.example/repository/ocsp"});
    CHECK(settings->root.key == "root");
    CHECK(settings->root.next_update == 24h * 180);
    CHECK(settings->issuing.validity == 24h * 5475);
    CHECK(settings->addresses(settings->issuing).crls ==
          std::vector<std::string>{"http://tsa.example/repository/issuing.crl"});

    // Every commented key, taken in, must change nothing.
    std::string all;
    std::size_t begin = 0;
    std::size_t taken = 0;
    const auto text = sample();
    while (begin < text.size()) {
        const auto end = text.find('\n', begin);
        auto line = text.substr(begin, end - begin);
        begin = end + 1;
        const auto equals = line.find(" = ");
        if (line.rfind("# ", 0) == 0 && equals != std::string::npos &&
            line.substr(2, equals - 2).find_first_not_of("abcdefghijklmnopqrstuvwxyz_") ==
                std::string::npos) {
            line.erase(0, 2);
            ++taken;
        }
        all += line + "\n";
    }
    CHECK(taken == 16);
    const auto again = parse_settings(all, "/etc/kokuin/tsca.toml");
    INFO((again ? std::string() : again.error().text));
    REQUIRE(again);
    CHECK(again->cps == settings->cps);
    CHECK(again->signature == settings->signature);
    CHECK(again->hsm.sessions == settings->hsm.sessions);
    same(again->root, settings->root);
    same(again->issuing, settings->issuing);
    CHECK(again->validity == settings->validity);
    CHECK(again->validity.at(Profile::tsu) == 24h * 3650);
    CHECK(again->digest != settings->digest);
}

TEST_CASE("what is wrong is told with its place") {
    CHECK(has(error_of(with("ocsp = [\"http://", "ocsp = [\"https://")), "[ca] ocsp"));
    CHECK(has(error_of(with("crls = [\"http://tsa.example/repository/root.crl\"]",
                            "crls = [\"http://tsa example/\"]")),
              "[root] crls"));
    CHECK(has(error_of(with("subject = \"C=JP,O=Example,CN=Example Root CA\"", "subject = \"Example\"")),
              "[root] subject"));
    CHECK(has(error_of(with("CN=Example Issuing CA", "CN=Example Root CA")), "[issuing] subject"));
    CHECK(has(error_of(with("# key = \"issuing\"", "key = \"root\"")), "[issuing] key"));
    CHECK(has(error_of(with("# tsu = \"3650d\"", "tsu = \"36h\"")), "whole days"));
    CHECK(has(error_of(with("# tsu = \"3650d\"", "tsus = \"3650d\"")), "tsus"));
    CHECK(has(error_of(with("# next_update = \"7d\"", "next_update = \"1m\"")), "[issuing] next_update"));
    CHECK(has(error_of(with("policy = \"2.999.1\"", "policy = \"2.999.x\"")), "[ca] policy"));
    CHECK(has(error_of(with("# signature = \"sha512\"", "signature = \"sha1\"")), "sha256"));
    CHECK(has(error_of(with("# sessions = 4", "unattended = [\"custody/a\"]")), "[hsm] unattended"));
    CHECK_FALSE(parse_settings("", "tsca.toml"));
}
