// Tokens of the field, 2005 to 2024, each with the TAC somebody else's tool took out of it. They stand beside
// the checkout, not in it.
#include <catch2/catch.hpp>
#include <cstdio>
#include <filesystem>

#include "base/file.h"
#include "tests/tsp/support.h"
#include "tsa/protocol/verify.h"

using namespace kokuin;

TEST_CASE("real tokens with a TAC are read, and their signatures are right") {
    const char* given = std::getenv("KOKUIN_CORPUS");
    const std::filesystem::path folder = given ? given : KOKUIN_CORPUS;
    if (!std::filesystem::is_directory(folder)) {
        WARN("SKIPPED: no tokens in " << folder.string() << " (KOKUIN_CORPUS)");
        std::printf("SKIPPED: no tokens in %s (KOKUIN_CORPUS)\n", folder.c_str());
        return;
    }
    const std::vector<std::pair<std::string, std::string>> tokens{
        {"20050310105843-1563e21f", "certificates-v1"}, {"20091117225246-a2c51346", "certificates-v1"},
        {"20120618135610-58f9c4da", "certificates-v1"}, {"20141030104037-9eac22a6", "certificates-v2"},
        {"20181119095058-df8c84df", "certificates-v1"}, {"20191203095657-dbe3217d", "certificates-v1"},
        {"20210817020133-2b8e23f2", "certificates-v1"}, {"20240621071205-5d99e8c3", "signer-attribute"},
    };
    for (const auto& [name, placement] : tokens) {
        INFO(name);
        const auto der = read_file((folder / (name + ".tst.der")).string());
        const auto tac = read_file((folder / (name + ".ac0.der")).string());
        REQUIRE(der.ok());
        REQUIRE(tac.ok());
        const auto token = tsp::parse_token_or_response(*der);
        INFO((token.ok() ? "" : token.error().text));
        REQUIRE(token.ok());
        REQUIRE(token->tac());
        CHECK(token->tac()->placement == placement);
        CHECK(token->tac()->der == *tac);
        std::string digits;
        for (const char c : to_rfc3339(token->tst_info.gen_time, 0)) {
            if (c >= '0' && c <= '9') digits += c;
        }
        CHECK(digits == name.substr(0, 14));

        const auto verification = tsp::verify(*token, {});
        std::string text;
        for (const auto& checked : verification.checks) {
            text += std::string(tsp::name(checked.check)) + " " + std::string(tsp::name(checked.outcome)) +
                    ": " + checked.text + "\n";
        }
        INFO(text);
        using tsp::Check;
        for (const Check check : {Check::content_type, Check::message_digest, Check::signer,
                                  Check::certificate_binding, Check::signature, Check::certificate_time}) {
            INFO(tsp::name(check));
            const auto outcome = verification.of(check).outcome;
            CHECK((outcome == tsp::Outcome::passed || outcome == tsp::Outcome::flagged));
        }
    }
}
