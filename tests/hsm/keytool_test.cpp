// What operators do with keys, held against openssl.
#include "hsm/keytool.h"

#include <botan/pk_keys.h>

#include <filesystem>
#include <fstream>

#include "hsm/botan_key.h"
#include "pki/certificate.h"
#include "tests/hsm/opened.h"

using namespace kokuin;
using namespace kokuin::hsm;
using Catch::Matchers::Contains;
using kokuin::testing::Hsm;
using kokuin::testing::hsm_under_test;
using kokuin::testing::run;

namespace {

std::string write(const Hsm& hsm, const std::string& name, const std::string& text) {
    const std::string path = hsm.folder() + "/" + name;
    std::ofstream(path) << text;
    return path;
}

std::string read(const std::string& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
}

/// openssl with these words; its output. It must succeed.
std::string openssl(std::vector<std::string> words) {
    words.insert(words.begin(), "openssl");
    const auto ran = run(words);
    INFO(ran.output);
    REQUIRE(ran.status == 0);
    return ran.output;
}

/// A certificate for the key of a request, by a throw-away CA.
std::string certify(const Hsm& hsm, const std::string& csr, const std::string& days) {
    const std::string ca_key = hsm.folder() + "/ca.key";
    const std::string ca = hsm.folder() + "/ca.pem";
    if (!std::filesystem::exists(ca))
        openssl({"req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", ca_key, "-out", ca, "-subj",
                 "/CN=CA"});
    const std::string out = hsm.folder() + "/leaf.pem";
    openssl({"x509", "-req", "-in", csr, "-CA", ca, "-CAkey", ca_key, "-CAcreateserial", "-days", days,
             "-copy_extensions", "copyall", "-out", out});
    return read(out);
}

}  // namespace

TEST_CASE("a certificate request for a TSU is what openssl and RFC 3161 want") {
    const auto hsm = hsm_under_test();
    const auto token = opened(*hsm);
    must(keytool::generate(*token, "tsu-1"));
    const auto pem = must(keytool::csr(*token, "tsu-1", "C=JP,O=Example\\, K.K.,OU=刻印,CN=TSU 1",
                                       keytool::Purpose::timestamping));
    const auto path = write(*hsm, "tsu.csr", pem);
    CHECK_THAT(openssl({"req", "-in", path, "-noout", "-verify"}), Contains("verify OK"));
    const auto text = openssl({"req", "-in", path, "-noout", "-text", "-nameopt", "utf8,sep_comma_plus"});
    CHECK_THAT(text, Contains("sha256WithRSAEncryption"));
    const auto extension = [&text](const std::string& heading) {
        const auto line = text.find('\n', text.find(heading)) + 1;
        const auto start = text.find_first_not_of(' ', line);
        return text.substr(start, text.find('\n', start) - start);
    };
    CHECK(extension("X509v3 Extended Key Usage: critical") == "Time Stamping");
    CHECK(extension("X509v3 Key Usage: critical") == "Digital Signature");
    const auto subject = openssl({"req", "-in", path, "-noout", "-subject", "-nameopt", "RFC2253,-esc_msb"});
    CHECK_THAT(subject, Contains("CN=TSU 1,OU=刻印,O=Example\\, K.K.,C=JP"));
    // What the CA makes of it is a TSU certificate.
    const auto certificate = must(pki::Certificate::from_pem(certify(*hsm, path, "30")));
    CHECK(certificate.is_time_stamping_only());
    CHECK(certificate.spki() == must(token->find_key("tsu-1")).spki());
}

TEST_CASE("a plain request asks for nothing") {
    const auto hsm = hsm_under_test();
    const auto token = opened(*hsm);
    must(keytool::generate(*token, "taa"));
    const auto pem = must(keytool::csr(*token, "taa", "CN=TAA", keytool::Purpose::plain));
    const auto path = write(*hsm, "taa.csr", pem);
    CHECK_THAT(openssl({"req", "-in", path, "-noout", "-verify"}), Contains("verify OK"));
    CHECK_THAT(openssl({"req", "-in", path, "-noout", "-text"}), !Contains("Extended Key Usage"));
    for (const char* bad : {"", "CN", "CN=", "X=1", "C=JPN", "CN=a,,O=b", "CN=a\\"}) {
        INFO(bad);
        const auto refused = keytool::csr(*token, "taa", bad, keytool::Purpose::plain);
        REQUIRE_FALSE(refused);
        CHECK(refused.error().kind == Error::Kind::usage);
    }
    const auto nobody = keytool::csr(*token, "nobody", "CN=a", keytool::Purpose::plain);
    REQUIRE_FALSE(nobody);
    CHECK(nobody.error().kind == Error::Kind::no);
}

TEST_CASE("an Ed25519 key has no length to choose, and its request asks for nothing") {
    const auto hsm = hsm_under_test();
    if (!hsm->has_ed25519()) return;
    const auto token = opened(*hsm);
    const auto chosen = keytool::generate(*token, "archive", KeyAlgorithm::ed25519, 2048);
    REQUIRE_FALSE(chosen);
    CHECK(chosen.error().kind == Error::Kind::usage);
    const auto key = must(keytool::generate(*token, "archive", KeyAlgorithm::ed25519));
    CHECK_THROWS(botan_key(*token, key)->private_key_bits());
    // Not even where TSUs' keys are: none of them is one.
    const auto pem = must(keytool::csr(*token, "archive", "CN=Archive", keytool::Purpose::timestamping));
    const auto path = write(*hsm, "archive.csr", pem);
    CHECK_THAT(openssl({"req", "-in", path, "-noout", "-verify"}), Contains("verify OK"));
    CHECK_THAT(openssl({"req", "-in", path, "-noout", "-text"}),
               Contains("Signature Algorithm: ED25519") && !Contains("Extended Key Usage"));
    // Its certificate goes beside it.
    must(keytool::import(*token, "archive", certify(*hsm, path, "30")));
    const auto listed = must(keytool::list(*token));
    REQUIRE(listed.size() == 1);
    CHECK(listed[0].type == "Ed25519");
    CHECK(listed[0].bits == 255);
    REQUIRE(listed[0].certificates.size() == 1);
    CHECK(listed[0].certificates[0].subject == "CN=Archive");
}

TEST_CASE("a certificate goes beside its own key and no other") {
    const auto hsm = hsm_under_test();
    const auto token = opened(*hsm);
    must(keytool::generate(*token, "one"));
    must(keytool::generate(*token, "two"));
    const auto csr =
        write(*hsm, "one.csr", must(keytool::csr(*token, "one", "CN=one", keytool::Purpose::timestamping)));
    const auto pem = certify(*hsm, csr, "30");
    const auto refused = keytool::import(*token, "two", pem);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().kind == Error::Kind::no);
    CHECK(must(token->certificates()).empty());
    CHECK_FALSE(keytool::import(*token, "one", "no certificate"));
    CHECK_FALSE(keytool::import(*token, "nobody", pem));

    must(keytool::import(*token, "one", pem));
    must(keytool::import(*token, "one", pem));  // done already
    const auto stored = must(token->certificates());
    REQUIRE(stored.size() == 1);
    CHECK(stored[0].label == "one");
    CHECK(stored[0].id == must(token->find_key("one")).id());
    const auto certificate = must(pki::Certificate::from_pem(pem));
    CHECK(equal(stored[0].der, certificate.der()));
    // A renewed one stands beside the old one, the longest first.
    must(keytool::import(*token, "one", certify(*hsm, csr, "90")));
    const auto keys = must(keytool::list(*token));
    REQUIRE(keys.size() == 2);
    CHECK(keys[0].label == "one");
    CHECK(keys[0].type == "RSA");
    CHECK(keys[0].bits == 2048);
    CHECK(keys[0].sensitive);
    CHECK_FALSE(keys[0].extractable);
    CHECK(keys[0].local == hsm->attributes_complete());
    REQUIRE(keys[0].certificates.size() == 2);
    CHECK(keys[0].certificates[0].subject == "CN=one");
    CHECK(keys[0].certificates[0].issuer == "CN=CA");
    CHECK(keys[0].certificates[0].not_after > keys[0].certificates[1].not_after);
    CHECK(keys[1].certificates.empty());
    // Another program sees it the same way.
    const auto seen = run({"pkcs11-tool", "--module", hsm->module_for_others(), "--token-label", hsm->label(),
                           "--login", "--pin", Hsm::pin, "--list-objects"});
    CHECK_THAT(seen.output, Contains("Certificate Object") && Contains("subject:    DN: CN=one"));
    CHECK_THAT(seen.output,
               Contains(hsm->attributes_complete() ? "sensitive, always sensitive, never extractable, local"
                                                   : "sensitive, always sensitive, never extractable"));
}

TEST_CASE("the key as Botan's gives its private half to nobody") {
    const auto hsm = hsm_under_test();
    const auto token = opened(*hsm);
    const auto key = must(token->generate_rsa("tsu-1"));
    const auto botan = botan_key(*token, key);
    CHECK(botan->algo_name() == "RSA");
    CHECK(botan->key_length() == 2048);
    CHECK(botan->subject_public_key() == key.spki());
    CHECK_THROWS(botan->private_key_bits());
}
