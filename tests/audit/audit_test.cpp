// tsaudit as an auditor uses it: a real archive with real tokens (their signatures are made up: showing isn't
// verifying).
#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "audit/command_line.h"
#include "audit/present.h"
#include "base/file.h"
#include "store/archive.h"
#include "tac/tac.h"
#include "tests/pki/workshop.h"
#include "tsa/protocol/response.h"
#include "tsa/protocol/token.h"

using namespace kokuin;
using Json = nlohmann::json;

namespace {

constexpr std::int64_t noon = 1795435200'000000;  // 2026-11-23T12:00:00Z
constexpr std::int64_t hour = 3600'000000;

struct Answer {
    int code = -1;
    std::string out;
    std::string err;
    /// One JSON object a line.
    [[nodiscard]] std::vector<Json> objects() const {
        std::vector<Json> all;
        std::istringstream lines(out);
        for (std::string line; std::getline(lines, line);) all.push_back(Json::parse(line));
        return all;
    }
};

Answer tsaudit(const std::vector<std::string>& arguments) {
    std::ostringstream out;
    std::ostringstream err;
    Answer answer;
    answer.code = audit::run(arguments, out, err);
    answer.out = out.str();
    answer.err = err.str();
    // Errors are one line.
    CHECK(std::count(answer.err.begin(), answer.err.end(), '\n') == (answer.err.empty() ? 0 : 1));
    CHECK((answer.code == 0) == answer.err.empty());
    return answer;
}

/// An archive of four tokens and two events, made once.
class Town {
  public:
    static const Town& instance() {
        static const Town town;
        return town;
    }
    workshop::Folder folder;
    std::string archive;
    std::vector<Bytes> tokens;
    std::vector<std::string> serials;
    Bytes tac;
    std::map<std::string, Bytes> by_placement;

  private:
    Town() : archive(folder.at("archive")) {
        folder.root("root");
        folder.issue("tsu", "root", workshop::tsu_extensions);
        const pki::Certificate tsu = folder.certificate("tsu");
        make_tac(tsu);
        const store::Blob certificate_blob(Bytes(tsu.der().begin(), tsu.der().end()));
        const store::Blob tac_blob{Bytes(tac)};

        REQUIRE(store::Archive::create(archive, from_unix_us(noon)));
        auto opened = store::Archive::open(archive);
        REQUIRE(opened);
        const std::pair<std::string, tsp::EmbedTac> forms[] = {
            {"none", tsp::EmbedTac::none},
            {"signer-attribute", tsp::EmbedTac::signer_attribute},
            {"certificates-v1", tsp::EmbedTac::certificates_v1},
            {"certificates-v2", tsp::EmbedTac::certificates_v2}};
        std::int64_t time = noon;
        for (const auto& [name, form] : forms) {
            tsp::TokenOptions options{tsu};
            options.embed_tac = form;
            options.tac = tac;
            const auto profile = tsp::TokenProfile::create(options, true);
            REQUIRE(profile);
            tsp::TstInfo info;
            info.policy =
                form == tsp::EmbedTac::none ? "1.3.6.1.4.1.1291.1.1.1.2" : "1.3.6.1.4.1.1291.1.1.1.1";
            info.hash_oid = pki::oid(pki::Hash::sha256);
            info.imprint = pki::digest(pki::Hash::sha256, as_view(name));
            info.serial = Bytes{0x0a, 0xbc};
            append(info.serial, Bytes(16, static_cast<std::uint8_t>(form)));
            info.gen_time = from_unix_us(time);
            const Bytes tst_info = tsp::encode(info);
            const Bytes attributes = profile->signed_attributes(tst_info);
            const Bytes token =
                profile->assemble(tst_info, attributes, folder.sign("tsu", pki::Hash::sha512, attributes));
            tokens.push_back(token);
            serials.push_back(to_hex(info.serial));
            by_placement[name] = token;

            store::Issuance issuance;
            issuance.serial = info.serial;
            issuance.gen_time_us = time;
            issuance.policy = info.policy;
            issuance.imprint_algorithm = info.hash_oid;
            issuance.imprint = info.imprint;
            issuance.tsu = "tsu1";
            if (form != tsp::EmbedTac::none)
                issuance.tac = store::TacReference{tac_blob.id(), Bytes{0, 0x1f, 0x42}};
            issuance.clock_bound_us = 31234;
            issuance.certificate = certificate_blob.id();
            issuance.token = store::split(token, {certificate_blob, tac_blob}, info.imprint, info.serial);
            REQUIRE((*opened)->append(from_unix_us(time), issuance, {certificate_blob, tac_blob}));
            time += hour;
        }
        store::Event event;
        event.kind = "tac.accepted";
        event.subject = "tsu1";
        event.text = "offset -0.000040 s";
        event.fields = {{"serial", Bytes{0x1f, 0x42}},
                        {"offset_us", std::int64_t{-40}},
                        {"verdict", std::string("good")}};
        event.blobs = {tac_blob.id()};
        REQUIRE((*opened)->append(from_unix_us(noon), event, {tac_blob}));
        event = {};
        event.kind = "gate.opened";
        event.subject = "tsu1";
        REQUIRE((*opened)->append(from_unix_us(noon + 40 * 24 * hour), event));
    }

    void make_tac(const pki::Certificate& tsu) {
        kokuin::tac::Tac made;
        made.holder_name = tsu.subject_der();
        made.digest_algorithm = kokuin::tac::plain(pki::Hash::sha256);
        made.holder_digest = tsu.sha256();
        made.issuer_name = tsu.issuer_der();
        made.signature_algorithm = kokuin::tac::rsa_with(pki::Hash::sha256);
        made.serial = {0x1f, 0x42};
        kokuin::tac::set_validity(made, from_unix_us(noon), std::chrono::hours(25));
        made.offset = microseconds(-40);
        made.delay = milliseconds(4);
        made.policies = {"1.3.6.1.4.1.955.1.18.1.1"};
        made.max_offset = milliseconds(500);
        made.max_delay = milliseconds(100);
        made.authority_key = kokuin::tac::AuthorityKey{Bytes(20, 7), tsu.issuer_der(), {0x11}};
        made.no_rev_avail = true;
        const auto info = kokuin::tac::encode_info(made);
        REQUIRE(info);
        tac = kokuin::tac::assemble(*info, made.signature_algorithm, Bytes(256, 0x33));
    }
};

Answer find(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"--archive", Town::instance().archive, "find"});
    return tsaudit(arguments);
}

}  // namespace

TEST_CASE("find lists tokens with the documented keys") {
    const Town& town = Town::instance();
    const auto all = find({"--json"});
    REQUIRE(all.code == 0);
    const auto objects = all.objects();
    REQUIRE(objects.size() == 4);
    const Json& first = objects[1];
    CHECK(first["serial"] == town.serials[1]);
    CHECK(first["gen_time"] == "2026-11-23T13:00:00.000Z");
    CHECK(first["policy"] == "1.3.6.1.4.1.1291.1.1.1.1");
    CHECK(first["imprint"] == to_hex(pki::digest(pki::Hash::sha256, as_view("signer-attribute"))));
    CHECK(first["imprint_algorithm"] == "sha256");
    CHECK(first["tsu"] == "tsu1");
    CHECK(first["tac"] == "1f42");
    CHECK(first["clock_bound_us"] == 31234);
    CHECK(first["segment"] == "2026-11");
    CHECK(objects[0]["tac"].is_null());
}

TEST_CASE("find narrows by serial, imprint, time and policy") {
    const Town& town = Town::instance();
    const auto serials = [](const Answer& answer) {
        std::vector<std::string> found;
        for (const Json& one : answer.objects()) found.push_back(one["serial"]);
        return found;
    };
    using Serials = std::vector<std::string>;
    CHECK(serials(find({"--json", "--serial", town.serials[2]})) == Serials{town.serials[2]});
    CHECK(serials(find({"--json", "--serial", "000" + town.serials[2]})) == Serials{town.serials[2]});
    CHECK(serials(find({"--json", "--serial", town.serials[2].substr(1)})) == Serials{town.serials[2]});
    CHECK(serials(find({"--json", "--imprint", to_hex(pki::digest(pki::Hash::sha256, as_view("none")))})) ==
          Serials{town.serials[0]});
    CHECK(serials(find({"--json", "--from", "2026-11-23T13:00:00Z", "--to", "2026-11-23T15:00:00Z"})) ==
          Serials{town.serials[1], town.serials[2]});
    CHECK(serials(find({"--json", "--from", "2026-11-23", "--to", "2026-11-24"})).size() == 4);
    CHECK(serials(find({"--json", "--policy", "1.3.6.1.4.1.1291.1.1.1.2"})) == Serials{town.serials[0]});
    CHECK(serials(find({"--json", "--to", "2026-11-23T12:00:00Z"})).empty());
    // Options of the program may also follow the verb.
    CHECK(tsaudit({"find", "--archive", town.archive}).code == 0);
    const auto plain = find({"--serial", town.serials[0]});
    CHECK_THAT(plain.out, Catch::StartsWith(town.serials[0] + "  2026-11-23T12:00:00.000Z"));
}

TEST_CASE("exit codes: 1 nothing found, 2 wrong usage, 3 the environment") {
    const Town& town = Town::instance();
    CHECK(find({"--serial", "1234"}).code == 1);
    CHECK(find({"--to", "2020-01-01"}).code == 1);
    CHECK(tsaudit({"--archive", town.archive, "show", "1234"}).code == 1);
    CHECK(find({"--serial", "xyz"}).code == 2);
    CHECK(find({"--serial", ""}).code == 2);
    CHECK(find({"--imprint", "abc"}).code == 2);
    CHECK(find({"--from", "yesterday"}).code == 2);
    CHECK(find({"--policy", "a2"}).code == 2);
    CHECK(find({"--limit", "-1"}).code == 2);
    CHECK(find({"--bogus"}).code == 2);
    CHECK(tsaudit({}).code == 2);
    CHECK(tsaudit({"tac"}).code == 2);
    CHECK(tsaudit({"find"}).code == 2);
    CHECK(tsaudit({"--archive", town.folder.at("no"), "find"}).code == 2);
    CHECK(tsaudit({"tac", "show", town.folder.at("no")}).code == 3);
    CHECK(tsaudit({"tac", "show", town.folder.at("tsu.pem")}).code == 2);
    CHECK(tsaudit({"--archive", town.archive, "find", "--after", "9223372036854775807"}).code == 1);
    CHECK(tsaudit({"--archive", town.archive, "verify", "--threads", "100000"}).code == 2);
    CHECK(tsaudit({"--help"}).code == 0);
    CHECK(tsaudit({"find", "--help"}).code == 0);
}

TEST_CASE("show gives the token back byte for byte, and its TAC and certificate") {
    const Town& town = Town::instance();
    for (std::size_t i = 0; i < town.tokens.size(); ++i) {
        const std::string file = town.folder.at("shown.der");
        const auto answer =
            tsaudit({"--archive", town.archive, "show", "0" + town.serials[i], "--json", "--token", file});
        REQUIRE(answer.code == 0);
        CHECK(*read_file(file) == town.tokens[i]);
        const Json shown = answer.objects().at(0);
        CHECK(shown["serial"] == town.serials[i]);
        CHECK(shown["token_octets"] == town.tokens[i].size());
        CHECK(shown["token_sha256"] == to_hex(pki::digest(pki::Hash::sha256, town.tokens[i])));
        CHECK(shown["certificate_subject"] == town.folder.certificate("tsu").subject_text());
    }
    const std::string tac = town.folder.at("shown-tac.der");
    const std::string certificate = town.folder.at("shown-certificate.der");
    REQUIRE(tsaudit({"--archive", town.archive, "show", town.serials[3], "--tac", tac, "--certificate",
                     certificate})
                .code == 0);
    CHECK(*read_file(tac) == town.tac);
    CHECK(equal(*read_file(certificate), town.folder.certificate("tsu").der()));
    CHECK(tsaudit({"--archive", town.archive, "show", town.serials[0], "--tac", tac}).code == 1);
    const auto plain = tsaudit({"--archive", town.archive, "show", town.serials[3]});
    CHECK_THAT(plain.out, Catch::Contains("could not have been more than 31.234 ms from UTC"));
    CHECK_THAT(plain.out, Catch::Contains("offset -0.040 ms"));
}

TEST_CASE("events are listed by kind, subject and time") {
    const Town& town = Town::instance();
    const auto all = tsaudit({"--archive", town.archive, "events", "--json"}).objects();
    REQUIRE(all.size() == 2);
    CHECK(all[0]["kind"] == "tac.accepted");
    CHECK(all[0]["fields"] == Json({{"serial", "1f42"}, {"offset_us", -40}, {"verdict", "good"}}));
    CHECK(all[0]["blobs"].size() == 1);
    CHECK(all[1]["segment"] == "2027-01");
    CHECK(
        tsaudit({"--archive", town.archive, "events", "--kind", "gate.opened", "--json"}).objects().size() ==
        1);
    CHECK(tsaudit({"--archive", town.archive, "events", "--to", "2026-12-01", "--json"}).objects().size() ==
          1);
    CHECK(tsaudit({"--archive", town.archive, "events", "--subject", "tsu9"}).code == 1);
    CHECK_THAT(tsaudit({"--archive", town.archive, "events"}).out, Catch::Contains("offset_us = -40"));
}

TEST_CASE("show gives no token that isn't the one that was issued") {
    const Town& town = Town::instance();
    const std::string copy = town.folder.at("altered");
    std::filesystem::create_directory(copy);
    for (const auto& entry : std::filesystem::directory_iterator(town.archive))
        if (entry.path().extension() == ".sqlite")
            std::filesystem::copy(entry.path(), copy + "/" + entry.path().filename().string());
    std::string content = town.folder.read("altered/2026-11.sqlite");
    // An octet of the signature, in the middle of the file: the record is still one, and so is the token.
    const Bytes& token = town.tokens[0];
    const std::string needle(token.end() - 100, token.end() - 60);
    const auto at = content.find(needle);
    REQUIRE(at != std::string::npos);
    content[at] = static_cast<char>(content[at] ^ 1);
    town.folder.write("altered/2026-11.sqlite", as_view(content));
    const auto file = town.folder.at("altered.der");
    const auto answer = tsaudit({"--archive", copy, "show", town.serials[0], "--token", file});
    CHECK(answer.code == 3);
    CHECK(answer.err.find("record 0") != std::string::npos);
    CHECK(answer.err.find("the signature is wrong") != std::string::npos);
    CHECK(answer.err.find("restore a copy") != std::string::npos);
    CHECK_FALSE(std::filesystem::exists(file));
    CHECK(tsaudit({"--archive", copy, "show", town.serials[1]}).code == 0);
}

TEST_CASE("tac show reads a TAC, a token and a response") {
    const Town& town = Town::instance();
    const auto show = [&](const Bytes& octets) {
        town.folder.write("file.der", octets);
        return tsaudit({"tac", "show", town.folder.at("file.der"), "--json"});
    };
    const auto check = [&](const Answer& answer, const std::string& placement) {
        REQUIRE(answer.code == 0);
        const Json shown = answer.objects().at(0);
        CHECK(shown["placement"] == placement);
        CHECK(shown["serial"] == "1f42");
        CHECK(shown["holder"] == town.folder.certificate("tsu").subject_text());
        CHECK(shown["issuer"] == town.folder.certificate("tsu").issuer_text());
        CHECK(shown["not_before"] == "2026-11-23T12:00:00Z");
        CHECK(shown["not_after"] == "2026-11-24T13:00:00Z");
        CHECK(from_rfc3339(shown["ntp_time"].get<std::string>()) == from_unix_us(noon));
        CHECK(from_rfc3339(shown["expiration"].get<std::string>()) == from_unix_us(noon + 25 * hour));
        CHECK(shown["offset_us"] == -40);
        CHECK(shown["delay_us"] == 4000);
        CHECK(shown["policies"] == Json({"1.3.6.1.4.1.955.1.18.1.1"}));
        CHECK(shown["max_offset_us"] == 500000);
        CHECK(shown["max_delay_us"] == 100000);
    };
    check(show(town.tac), "file");
    for (const char* placement : {"signer-attribute", "certificates-v1", "certificates-v2"}) {
        check(show(town.by_placement.at(placement)), placement);
        check(show(tsp::granted(town.by_placement.at(placement))), placement);
    }
    const auto without = show(town.by_placement.at("none"));
    CHECK(without.code == 1);
    CHECK_THAT(without.err, Catch::Contains("carries no TAC"));
    town.folder.write("file.der", town.tac);
    CHECK_THAT(tsaudit({"tac", "show", town.folder.at("file.der")}).out, Catch::Contains("1f42"));
    // Whatever is cut off is refused, not shown.
    for (std::size_t length = 0; length < town.tac.size(); length += 7)
        CHECK(show(Bytes(town.tac.begin(), town.tac.begin() + static_cast<std::ptrdiff_t>(length))).code ==
              2);
}

TEST_CASE("tac show copes with the real ones") {
    const char* shared = std::getenv("KOKUIN_SHARED");  // NOLINT(concurrency-mt-unsafe)
    const std::filesystem::path corpus =
        std::filesystem::path(shared ? shared : KOKUIN_SOURCE_DIR "/../shared") / "corpus" / "tac";
    std::error_code missing;
    std::size_t shown = 0;
    for (const auto& entry : std::filesystem::directory_iterator(corpus, missing)) {
        if (entry.path().extension() != ".der") continue;
        INFO(entry.path().string());
        const auto answer = tsaudit({"tac", "show", entry.path().string(), "--json"});
        CHECK(answer.code == 0);
        const bool token = entry.path().stem().extension() == ".tst";
        CHECK((answer.objects().at(0)["placement"] == "file") == !token);
        ++shown;
    }
    if (shown == 0) WARN("SKIPPED: no real TACs in " << corpus << " (KOKUIN_SHARED)");
}

TEST_CASE("durations are pleasant to read") {
    CHECK(audit::duration_text(0) == "0.000 ms");
    CHECK(audit::duration_text(31234) == "31.234 ms");
    CHECK(audit::duration_text(-40) == "-0.040 ms");
    CHECK(audit::duration_text(1'500'000) == "1.500000 s");
    CHECK(audit::hash_name("2.16.840.1.101.3.4.2.3") == "sha512");
    CHECK(audit::hash_name("1.2.3") == "1.2.3");
    CHECK(audit::time_text(noon + 123456) == "2026-11-23T12:00:00.123456Z");
}
