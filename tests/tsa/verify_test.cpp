// `tsactl verify` of tokens that carry a TAC: what the TAC says is judged, and a token is good only if all
// is.
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <sstream>

#include "base/der.h"
#include "tests/tac/town.h"
#include "tsa/control/commands.h"
#include "tsa/protocol/token.h"
#include "tsa/protocol/tst_info.h"

using namespace kokuin;
using nlohmann::json;
using std::chrono::hours;
using town::Audit;

namespace {

struct VerifyDesk {
    const workshop::Folder& folder = town::folder();
    tsa::control::VerifyOptions options;
    tsp::EmbedTac embed = tsp::EmbedTac::signer_attribute;

    VerifyDesk() {
        folder.write("document", as_view("a document\n"));
        folder.must("cat taa.pem middle.pem > taa-chain.pem");
        options.file = folder.at("document");
        options.token = folder.at("token");
        options.anchors = folder.at("root.pem");
        options.taa_certificates = folder.at("taa-chain.pem");
    }
    /// Stamps the document at `gen_time` with the TAC in it, and verifies; what the line about the TAC says.
    std::string tac_line(const Audit& audit, WallTime gen_time) {
        tsp::TokenOptions made{town::certificate("tsu")};
        made.embed_tac = embed;
        made.tac = audit.der();
        const auto profile = tsp::TokenProfile::create(made, true);
        REQUIRE(profile);
        tsp::TstInfo info;
        info.policy = "1.3.6.1.4.1.1291.1.1.1.1";
        info.hash_oid = std::string(pki::oid(pki::Hash::sha256));
        info.algorithm = der::algorithm(info.hash_oid, true);
        info.imprint = pki::digest(pki::Hash::sha256, as_view("a document\n"));
        info.serial = {0x01, 0x02};
        info.gen_time = gen_time;
        info.gentime_digits = 3;
        info.accuracy = seconds(1);
        info.tsa = made.signer.subject_der();
        const auto encoded = tsp::encode(info);
        const auto attributes = profile->signed_attributes(encoded);
        folder.write("token", profile->assemble(encoded, attributes,
                                                town::sign("tsu", pki::Hash::sha512, attributes)));
        std::ostringstream out;
        const auto code = tsa::control::verify(options, true, out);
        INFO((code ? "" : code.error().text));
        REQUIRE(code);
        const auto answer = json::parse(out.str());
        std::string line;
        for (const auto& check : answer["checks"]) {
            if (check["check"] == "tac") {
                line = check["outcome"].get<std::string>() + " " + check["text"].get<std::string>();
            } else {
                INFO(check.dump());
                CHECK(check["outcome"] != "failed");
            }
        }
        const bool good = line.rfind("passed", 0) == 0;
        CHECK(answer["ok"] == good);
        CHECK(*code == (good ? 0 : 1));
        return line;
    }
};

bool begins(const std::string& line, const std::string& with) {
    INFO(line);
    return line.rfind(with, 0) == 0;
}

}  // namespace

TEST_CASE("a good TAC passes, wherever it stands in the token") {
    VerifyDesk desk;
    const Audit audit;
    for (const auto embed :
         {tsp::EmbedTac::signer_attribute, tsp::EmbedTac::certificates_v1, tsp::EmbedTac::certificates_v2}) {
        desk.embed = embed;
        CHECK(
            begins(desk.tac_line(audit, audit.tac.ntp_time + hours(3)), "passed the TAC covers this token"));
    }
}

TEST_CASE("a TAC that doesn't cover its token makes the token no good, and the reason has a name") {
    VerifyDesk desk;
    Audit audit;
    WallTime gen_time = audit.tac.ntp_time + hours(3);
    std::string reason;
    SECTION("offset") {
        audit.tac.max_offset = seconds(2);
        audit.measured(microseconds(500'001));
        reason = "offset";
    }
    SECTION("delay") {
        audit.tac.delay = microseconds(100'001);
        reason = "delay";
    }
    SECTION("holder's name") {
        audit.tac.holder_name = town::certificate("other-tsu").subject_der();
        reason = "holder-name";
    }
    SECTION("holder's certificate") {
        audit.tac.holder_digest = town::certificate("other-tsu").digest(pki::Hash::sha256);
        reason = "holder-digest";
    }
    SECTION("ended before genTime") {
        gen_time = audit.tac.expiration + milliseconds(1);
        reason = "window";
    }
    SECTION("made after genTime") {
        gen_time = audit.tac.ntp_time - milliseconds(501);
        reason = "window";
    }
    SECTION("an order to stop") {
        audit.measured(microseconds(0), nanoseconds(0));
        gen_time = audit.tac.ntp_time;
        reason = "window";
    }
    SECTION("somebody else's signature") {
        audit.signer = "foreign-taa";
        reason = "signature";
    }
    SECTION("a TAA that nobody named") {
        desk.options.taa_certificates = desk.folder.at("channel.pem");
        reason = "chain";
    }
    SECTION("a TAA under another root") {
        desk.options.taa_anchors = desk.folder.at("foreign.pem");
        reason = "chain";
    }
    SECTION("a certificate between is no root, although it stands in their file") {
        desk.options.taa_anchors = desk.folder.at("middle.pem");
        reason = "chain";
    }
    const auto line = desk.tac_line(audit, gen_time);
    CHECK(begins(line, "failed " + reason + ": "));
    CHECK((line.find("--taa-certificates") != std::string::npos) == (reason == "chain"));
}
