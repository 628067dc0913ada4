#include "tsa/stretches.h"

#include <catch2/catch.hpp>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "base/file.h"
#include "pki/certificate.h"
#include "store/parts.h"
#include "tsa/refusals.h"

using namespace kokuin;

namespace {

/// A certificate as a TSU has it, made by openssl.
pki::Certificate make_certificate() {
    std::string folder = "/tmp/kokuin-test-XXXXXX";
    REQUIRE(mkdtemp(folder.data()));
    const auto command = "openssl req -x509 -newkey rsa:2048 -nodes -keyout " + folder + "/k.pem -out " +
                         folder +
                         "/c.pem -days 30 -subj '/C=JP/O=Kokuin Test/CN=TSU of the test' "
                         "-addext extendedKeyUsage=critical,timeStamping 2>/dev/null";
    REQUIRE(std::system(command.c_str()) == 0);
    auto certificates = pki::load_certificates(folder + "/c.pem");
    REQUIRE(certificates);
    std::filesystem::remove_all(folder);
    return certificates->front();
}

}  // namespace

TEST_CASE("constant stretches make records small, and the token is rebuilt byte for byte") {
    const auto certificate = make_certificate();
    for (const bool cert_req : {true, false}) {
        const auto profile = tsp::TokenProfile::create(
            {certificate, {}, tsp::EssForm::both, tsp::EmbedTac::none, {}}, cert_req);
        REQUIRE(profile);
        tsp::TstInfo info;
        info.policy = "1.3.6.1.4.1.1291.1.1.1.1";
        info.hash_oid = std::string(pki::oid(pki::Hash::sha256));
        info.imprint = random_octets(32);
        info.serial = Bytes{0x01, 0x9a, 0x00, 0x7f};
        info.accuracy = microseconds(1'000'000);
        info.tsa = certificate.subject_der();
        const auto blobs = tsa::constant_stretches(*profile, info);
        REQUIRE_FALSE(blobs.empty());
        tsa::Heads heads;

        for (const auto* time :
             {"2026-11-23T12:00:00Z", "2031-01-02T03:04:05.12Z", "2031-01-02T03:04:05.129Z"}) {
            info.gen_time = *from_rfc3339(time);
            info.nonce = random_octets(8);
            if (std::string(time).find(".12Z") != std::string::npos) info.nonce.reset();
            if (std::string(time).find(".129Z") != std::string::npos) info.nonce = random_octets(20);
            const auto der = tsp::encode(info);
            const auto token = profile->assemble(der, profile->signed_attributes(der), random_octets(256));
            auto known = blobs;
            known.push_back(heads.of(token, info.imprint).value());
            const auto digest = tsa::digest_in(token, der);
            REQUIRE(digest);
            const auto parts = store::split(token, known, info.imprint, info.serial, digest);
            std::size_t own = 0;
            for (const auto& part : parts)
                if (const auto* literal = std::get_if<store::Literal>(&part)) own += literal->octets.size();
            // The signature, and what follows the serial number: time, accuracy, nonce.
            CHECK(own < 256 + 70);
            CHECK(std::count(parts.begin(), parts.end(), store::Part(*digest)) == 1);
            const auto rebuilt = store::join(
                parts,
                [&](const store::BlobId& id) -> std::optional<Bytes> {
                    for (const auto& blob : known)
                        if (blob.id() == id) return Bytes(blob.content().begin(), blob.content().end());
                    return std::nullopt;
                },
                info.imprint, info.serial);
            REQUIRE(rebuilt);
            CHECK(*rebuilt == token);
        }
    }
}

TEST_CASE("what stands in front of an imprint is a blob, and the same one again") {
    tsa::Heads heads;
    const Bytes imprint = random_octets(32);
    const auto token = [&](std::uint8_t kind, std::size_t length) {
        Bytes octets(length, kind);
        append(octets, imprint);
        append(octets, random_octets(100));
        return octets;
    };
    const auto first = heads.of(token(1, 100), imprint);
    REQUIRE(first);
    CHECK(equal(first->content(), Bytes(100, 1)));
    CHECK(heads.of(token(1, 100), imprint)->id() == first->id());
    CHECK(heads.of(token(2, 100), imprint)->id() != first->id());
    CHECK_FALSE(heads.of(token(1, 20), imprint));  // a reference would cost more
    CHECK_FALSE(heads.of(token(1, 100), random_octets(32)));
    for (std::uint8_t kind = 3; kind < 100; ++kind) (void)heads.of(token(kind, 100), imprint);
    CHECK_FALSE(heads.of(token(101, 100), imprint));  // no end of them
    CHECK(heads.of(token(1, 100), imprint)->id() == first->id());
}

TEST_CASE("refusals are counted, and taken once") {
    tsa::Refusals refusals;
    CHECK_FALSE(refusals.take());
    refusals.count(tsp::FailInfo::bad_alg, "request");
    refusals.count(tsp::FailInfo::bad_alg, "request");
    refusals.count(tsp::FailInfo::time_not_available, "no-tac");
    const auto event = refusals.take();
    REQUIRE(event);
    CHECK(event->text == "3 requests refused");
    CHECK(std::get<std::int64_t>(event->fields.at("badAlg/request")) == 2);
    CHECK_FALSE(refusals.take());
    CHECK(refusals.totals().at("timeNotAvailable/no-tac") == 1);
}
