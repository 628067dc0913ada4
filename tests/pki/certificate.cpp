#include "pki/certificate.h"

#include "pki/public_key.h"
#include "tests/pki/workshop.h"

using namespace kokuin;
using workshop::Folder;

TEST_CASE("a certificate is kept as the octets it came in, and says what openssl says") {
    const Folder folder;
    folder.root("root");
    folder.issue("tsu", "root", workshop::tsu_extensions, "-days 365 -set_serial 0x00f1e2d3c4b5a697");
    const auto tsu = folder.certificate("tsu");
    folder.must("openssl x509 -in tsu.pem -outform DER -out tsu.der");
    const std::string der = folder.read("tsu.der");
    CHECK(as_text(tsu.der()) == der);
    CHECK(tsu.pem() == folder.read("tsu.pem"));
    CHECK(to_hex(tsu.serial()) == "00f1e2d3c4b5a697");
    CHECK(tsu.subject_text() + "\n" ==
          folder.must("openssl x509 -in tsu.pem -noout -subject -nameopt RFC2253")
              .substr(std::string("subject=").size()));
    CHECK(tsu.subject_text() == "CN=tsu,O=Kokuin Test,C=JP");
    CHECK(tsu.issuer_text() == "CN=root,O=Kokuin Test,C=JP");
    CHECK(tsu.issuer_der() == folder.certificate("root").subject_der());
    CHECK_FALSE(tsu.is_self_issued());
    CHECK(folder.certificate("root").is_self_issued());
    CHECK(to_hex(tsu.sha256()) + " *tsu.der\n" == folder.must("openssl dgst -sha256 -r tsu.der"));
    CHECK(tsu.digest(pki::Hash::sha256) == tsu.sha256());
    const std::string end = folder.must("openssl x509 -in tsu.pem -noout -enddate -dateopt iso_8601");
    std::string ours = to_rfc3339(tsu.not_after(), 0);
    ours[10] = ' ';
    CHECK(end == "notAfter=" + ours + "\n");
    CHECK(tsu.valid_at(tsu.not_before()));
    CHECK(tsu.valid_at(tsu.not_after() + nanoseconds{999'999'999}));
    CHECK_FALSE(tsu.valid_at(tsu.not_after() + seconds{1}));
    CHECK_FALSE(tsu.valid_at(tsu.not_before() - nanoseconds{1}));
    CHECK(tsu == *pki::Certificate::from_der(as_view(der)));
    CHECK(tsu != folder.certificate("root"));
}

// RFC 3161 2.3: "The corresponding certificate MUST contain only one instance of the extended key usage field
// extension [with] id-kp-timeStamping. This extension MUST be critical."
TEST_CASE("time-stamping only means: exactly that purpose, and critical") {
    const Folder folder;
    folder.root("root");
    const auto made = [&](const std::string& name, const std::string& eku) {
        folder.issue(name, "root", "keyUsage=critical,digitalSignature\n" + eku);
        return folder.certificate(name).is_time_stamping_only();
    };
    CHECK(made("right", "extendedKeyUsage=critical,timeStamping"));
    CHECK_FALSE(made("uncritical", "extendedKeyUsage=timeStamping"));
    CHECK_FALSE(made("two", "extendedKeyUsage=critical,timeStamping,codeSigning"));
    CHECK_FALSE(made("twice", "extendedKeyUsage=critical,timeStamping,timeStamping"));
    CHECK_FALSE(made("other", "extendedKeyUsage=critical,codeSigning"));
    CHECK_FALSE(made("none", "subjectKeyIdentifier=hash"));
}

TEST_CASE("names in any script are written as RFC 4514 has them, validity without end fits") {
    const Folder folder;
    folder.must(
        "openssl req -x509 -newkey rsa:2048 -nodes -keyout k -out odd.pem -utf8 -days 200000 "
        "-subj '/C=JP/O=刻印, \"試験\"\\+x/CN=時刻 #1'");
    const auto odd = folder.certificate("odd");
    CHECK(odd.subject_text() == "CN=時刻 #1,O=刻印\\, \\\"試験\\\"\\+x,C=JP");
    CHECK(to_rfc3339(odd.not_after(), 0).substr(0, 4) == "2262");
    CHECK(pki::name_text(as_view("rubbish")) == "(unreadable name)");
}

TEST_CASE("PEM files: order, text between, and clear errors") {
    const Folder folder;
    folder.root("a");
    folder.root("b");
    folder.must(
        "(echo intro; cat a.pem; echo between; cat b.pem; echo end) > both.pem; sed 's/$/\\r/' a.pem > "
        "dos.pem");
    const auto both = pki::load_certificates(folder.at("both.pem"));
    REQUIRE(both.ok());
    REQUIRE(both->size() == 2);
    CHECK((*both)[0] == folder.certificate("a"));
    CHECK((*both)[1] == folder.certificate("b"));
    CHECK(pki::load_certificates(folder.at("dos.pem")).ok());
    CHECK_FALSE(pki::Certificate::from_pem(folder.read("both.pem")).ok());

    const auto missing = pki::load_certificates(folder.at("missing.pem"));
    REQUIRE_FALSE(missing.ok());
    CHECK(missing.error().text.find("missing.pem") != std::string::npos);
    // What isn't there was named wrongly; what can't be read (a loop of links: even root can't) is the
    // machine's affair.
    CHECK(missing.error().kind == Error::Kind::usage);
    CHECK(pki::load_certificates(folder.at("a.pem/missing.pem")).error().kind == Error::Kind::usage);
    folder.must("ln -s loop.pem loop.pem");
    CHECK(pki::load_certificates(folder.at("loop.pem")).error().kind == Error::Kind::environment);
    const auto empty = pki::parse_certificates("nothing here", "x.pem");
    REQUIRE_FALSE(empty.ok());
    CHECK(empty.error().text == "x.pem: no certificate in it (PEM is expected)");
    const std::string a = folder.read("a.pem");
    const auto cut = pki::parse_certificates(a + a.substr(0, a.size() / 2), "x.pem");
    REQUIRE_FALSE(cut.ok());
    CHECK(cut.error().text == "x.pem: certificate 2: its END line is missing");
    CHECK_FALSE(
        pki::parse_certificates("-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----", "x").ok());
}

TEST_CASE("hostile certificates end in a value") {
    const Folder folder;
    folder.root("root");
    const auto root = folder.certificate("root");
    const Bytes der(root.der().begin(), root.der().end());
    for (std::size_t length = 0; length < der.size(); ++length) {
        CHECK_FALSE(pki::Certificate::from_der(View(der).first(length)).ok());
    }
    Bytes longer = der;
    longer.push_back(0);
    CHECK_FALSE(pki::Certificate::from_der(longer).ok());
    for (std::size_t i = 0; i < der.size(); ++i) {
        for (const unsigned flip : {0x01U, 0x80U, 0x1fU, 0xffU}) {
            Bytes changed = der;
            changed[i] = static_cast<std::uint8_t>(changed[i] ^ flip);
            const auto result = pki::Certificate::from_der(changed);
            if (!result) continue;
            CHECK_FALSE(*result == root);
            static_cast<void>(pki::PublicKey::from_certificate(*result).ok());
        }
    }
}
