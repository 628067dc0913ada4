// What is made here is judged by openssl: it reads it, verifies it, and shows the bits that matter.
#include "pki/issue.h"

#include <botan/x509cert.h>

#include "base/der.h"
#include "pki/path.h"
#include "pki/request.h"
#include "pki/revocation.h"
#include "tests/pki/workshop.h"
#include "tests/support/text.h"

using namespace kokuin;
using namespace kokuin::pki;
using namespace std::chrono_literals;
using testing::has;

namespace {

/// A CA of openssl whose key signs what is made here.
struct IssuingCa {
    workshop::Folder folder;
    WallTime now;

    IssuingCa() {
        folder.root("ca");
        folder.must(
            "openssl req -new -newkey rsa:2048 -nodes -keyout tsu.key -out tsu.csr -subj "
            "'/C=JP/O=Example/CN=TSU 1'");
        now = std::chrono::floor<seconds>(SystemWallClock().now());  // not before the CA
    }
    [[nodiscard]] SignFunction sign() const {
        return [this](Hash hash, View message) -> Result<Bytes> { return folder.sign("ca", hash, message); };
    }
    [[nodiscard]] Result<CertificationRequest> request(const std::string& file) const {
        return CertificationRequest::read(as_view(folder.read(file)));
    }
    [[nodiscard]] CertificatePlan plan() const {
        const auto ca = folder.certificate("ca");
        const auto csr = request("tsu.csr");
        REQUIRE(csr);
        return {Bytes{0x80, 1, 2, 3, 4, 5, 6, 7, 8},
                ca.subject_der(),
                csr->subject_der(),
                csr->spki(),
                now,
                now + 24h,
                {basic_constraints_of_end_entity(), key_usage(digital_signature | non_repudiation),
                 extended_key_usage({"1.3.6.1.5.5.7.3.8"}, true), subject_key_identifier(csr->spki()),
                 authority_key_identifier(ca.spki())}};
    }
};

const IssuingCa& issuing_ca() {
    static const IssuingCa made;
    return made;
}

}  // namespace

TEST_CASE("a certificate made here is what openssl would have made, and its extended key usage is critical") {
    auto plan = issuing_ca().plan();
    plan.extensions.push_back(certificate_policies("1.2.392.999.1", "http://ca.example/cps.html"));
    plan.extensions.push_back(
        crl_distribution_points({"http://ca.example/a.crl", "http://ca.example/b.crl"}));
    plan.extensions.push_back(
        authority_information_access({"http://ca.example/ocsp"}, {"http://ca.example/ca.crt"}));
    const auto made = make_certificate(plan, Hash::sha512, issuing_ca().sign());
    REQUIRE(made);
    CHECK(made->is_time_stamping_only());
    CHECK(made->not_before() == plan.not_before);
    CHECK(made->not_after() == plan.not_after);
    CHECK(validate_path(*made, {}, {issuing_ca().folder.certificate("ca")}, issuing_ca().now));
    issuing_ca().folder.write("made.pem", as_view(made->pem()));
    CHECK(has(issuing_ca().folder.must(
                  "openssl verify -x509_strict -purpose timestampsign -CAfile ca.pem made.pem"),
              "made.pem: OK"));
    const auto text = issuing_ca().folder.must("openssl x509 -in made.pem -noout -text");
    INFO(text);
    CHECK(has(text, "X509v3 Extended Key Usage: critical\n                Time Stamping"));
    CHECK(has(text, "X509v3 Key Usage: critical\n                Digital Signature, Non Repudiation\n"));
    CHECK(has(text, "X509v3 Basic Constraints: critical\n                CA:FALSE"));
    CHECK(has(text, "Policy: 1.2.392.999.1\n                  CPS: http://ca.example/cps.html"));
    CHECK(has(text, "URI:http://ca.example/a.crl"));
    CHECK(has(text, "URI:http://ca.example/b.crl"));
    CHECK(has(text, "OCSP - URI:http://ca.example/ocsp"));
    CHECK(has(text, "CA Issuers - URI:http://ca.example/ca.crt"));
    CHECK(has(text, "80:01:02:03:04:05:06:07:08"));
    // The identifiers are those that openssl computes.
    issuing_ca().folder.issue("judge", "ca", "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid");
    const auto theirs = issuing_ca().folder.certificate("judge");
    const auto ours = make_certificate(
        [&] {
            auto same = issuing_ca().plan();
            same.spki = theirs.spki();
            same.extensions = {subject_key_identifier(theirs.spki()),
                               authority_key_identifier(issuing_ca().folder.certificate("ca").spki())};
            return same;
        }(),
        Hash::sha256, issuing_ca().sign());
    REQUIRE(ours);
    CHECK(ours->botan().subject_key_id() == theirs.botan().subject_key_id());
    CHECK(ours->botan().authority_key_id() == theirs.botan().authority_key_id());
}

TEST_CASE("key usages are named bit lists as DER wants them") {
    CHECK(to_hex(key_usage(digital_signature).value) == "03020780");
    CHECK(to_hex(key_usage(digital_signature | non_repudiation).value) == "030206c0");
    CHECK(to_hex(key_usage(key_cert_sign | crl_sign).value) == "03020106");
    CHECK(to_hex(key_usage(digital_signature | key_cert_sign | crl_sign).value) == "03020186");
    CHECK(to_hex(basic_constraints_of_ca(std::nullopt).value) == "30030101ff");
    CHECK(to_hex(basic_constraints_of_ca(0).value) == "30060101ff020100");
    CHECK(to_hex(basic_constraints_of_end_entity().value) == "3000");
}

TEST_CASE("dates change their type where RFC 5280 says so") {
    auto plan = issuing_ca().plan();
    plan.not_before = *from_rfc3339("2049-12-31T23:59:59Z");
    plan.not_after = *from_rfc3339("2050-01-01T00:00:00Z");
    const auto made = make_certificate(plan, Hash::sha256, issuing_ca().sign());
    REQUIRE(made);
    CHECK(has(to_hex(made->der()), to_hex(as_view("\x17\x0d"
                                                  "491231235959Z\x18\x0f"
                                                  "20500101000000Z"))));
    CHECK(made->not_after() == plan.not_after);
}

TEST_CASE("what would be no certificate isn't made") {
    for (const auto& serial : {Bytes{}, Bytes{0}, Bytes(21, 0x11), Bytes(20, 0x80)}) {
        auto plan = issuing_ca().plan();
        plan.serial = serial;
        CHECK_FALSE(make_certificate(plan, Hash::sha256, issuing_ca().sign()));
    }
    auto plan = issuing_ca().plan();
    plan.serial = Bytes(20, 0x7f);
    CHECK(make_certificate(plan, Hash::sha256, issuing_ca().sign()));
    plan.not_after = plan.not_before - 1s;
    CHECK_FALSE(make_certificate(plan, Hash::sha256, issuing_ca().sign()));
    const auto failed = make_certificate(issuing_ca().plan(), Hash::sha256, [](Hash, View) -> Result<Bytes> {
        return Error::environment("away");
    });
    REQUIRE_FALSE(failed);
    CHECK(failed.error().text == "away");
}

TEST_CASE("a CRL made here is obeyed by openssl and by us") {
    const auto ca = issuing_ca().folder.certificate("ca");
    issuing_ca().folder.issue("bad", "ca", workshop::tsu_extensions);
    issuing_ca().folder.issue("fine", "ca", workshop::tsu_extensions);
    const auto bad = issuing_ca().folder.certificate("bad");
    CrlPlan plan{ca.subject_der(), ca.spki(), issuing_ca().now, issuing_ca().now + 168h, 300, {}};
    const auto empty = make_crl(plan, Hash::sha256, issuing_ca().sign());
    REQUIRE(empty);
    issuing_ca().folder.write("empty.pem", as_view(to_pem(*empty, "X509 CRL")));
    issuing_ca().folder.must("openssl verify -crl_check -CAfile ca.pem -CRLfile empty.pem bad.pem");
    plan.entries.push_back({bad.serial(), issuing_ca().now - 1h, Reason::key_compromise});
    plan.entries.push_back({Bytes{5}, issuing_ca().now - 2h, Reason::unspecified});
    const auto made = make_crl(plan, Hash::sha512, issuing_ca().sign());
    REQUIRE(made);
    issuing_ca().folder.write("made.pem", as_view(to_pem(*made, "X509 CRL")));
    const auto text = issuing_ca().folder.must("openssl crl -in made.pem -noout -text -CAfile ca.pem");
    INFO(text);
    CHECK(has(text, "verify OK"));
    CHECK(has(text, "X509v3 CRL Number: \n                300"));
    CHECK(has(text, "Key Compromise"));
    CHECK_FALSE(has(text, "Unspecified"));
    CHECK(has(text, "X509v3 Authority Key Identifier"));
    issuing_ca().folder.must("openssl verify -crl_check -CAfile ca.pem -CRLfile made.pem fine.pem");
    const auto judged =
        workshop::run("cd " + issuing_ca().folder.at("") +
                      " && openssl verify -crl_check -CAfile ca.pem -CRLfile made.pem bad.pem");
    CHECK(judged.exit != 0);
    CHECK(has(judged.output, "certificate revoked"));
    const auto crl = Crl::from_der(*made);
    REQUIRE(crl);
    CHECK(crl->is_of(ca));
    CHECK(crl->next_update() == plan.next_update);
    REQUIRE(crl->revokes(bad, ca));
    CHECK(has(*crl->revokes(bad, ca), "key compromise"));
    CHECK_FALSE(crl->revokes(issuing_ca().folder.certificate("fine"), ca));
}

TEST_CASE("a request proves that its key is possessed") {
    const auto good = issuing_ca().request("tsu.csr");
    REQUIRE(good);
    CHECK(good->subject_text() == "CN=TSU 1,O=Example,C=JP");
    CHECK(good->algorithm() == "RSA");
    CHECK(good->bits() == 2048);
    CHECK(good->alternative_names().empty());
    // DER is taken too, and each octet of it counts.
    issuing_ca().folder.must("openssl req -in tsu.csr -outform DER -out tsu.der");
    const auto text = issuing_ca().folder.read("tsu.der");
    const Bytes der(text.begin(), text.end());
    REQUIRE(CertificationRequest::read(der));
    CHECK(CertificationRequest::read(der)->der() == good->der());
    for (std::size_t i = 0; i < der.size(); ++i) {
        auto damaged = der;
        damaged[i] ^= 0x04;
        INFO(i);
        const auto read = CertificationRequest::read(damaged);
        // (The parameters of an algorithm may be another "nothing"; who is named and which key stays.)
        if (read)
            CHECK((read->subject_der() == good->subject_der() && read->spki() == good->spki()));
        else
            CHECK((read.error().kind == Error::Kind::usage || has(read.error().text, "CA-7") ||
                   has(read.error().text, "SHA-256 or better")));
        if (i > 20 && i + 290 < der.size()) CHECK_FALSE(read);
    }
    CHECK_FALSE(CertificationRequest::read(as_view("")));
    CHECK_FALSE(CertificationRequest::read(as_view(issuing_ca().folder.read("ca.pem"))));
    CHECK_FALSE(CertificationRequest::read(
        as_view(issuing_ca().folder.read("tsu.csr") + issuing_ca().folder.read("tsu.csr"))));
}

TEST_CASE("other keys, and the names that a server asks for") {
    const auto& folder = issuing_ca().folder;
    folder.must(
        "openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ec.key -out ec.csr "
        "-subj /CN=ec -addext "
        "subjectAltName=DNS:tsa.example,IP:127.0.0.1,IP:2001:db8::1,URI:http://x.example/");
    const auto ec = issuing_ca().request("ec.csr");
    INFO((ec ? "" : ec.error().text));
    REQUIRE(ec);
    CHECK(ec->algorithm() == "ECDSA");
    CHECK(ec->bits() == 256);
    CHECK(ec->alternative_names_text() ==
          std::vector<std::string>{"DNS:tsa.example", "IP:127.0.0.1", "IP:2001:db8::1", "other"});
    folder.must("openssl req -new -newkey ed25519 -nodes -keyout ed.key -out ed.csr -subj /CN=ed");
    const auto ed = issuing_ca().request("ed.csr");
    INFO((ed ? "" : ed.error().text));
    REQUIRE(ed);
    CHECK(ed->algorithm() == "Ed25519");
    folder.must("openssl req -new -sha1 -newkey rsa:2048 -nodes -keyout old.key -out old.csr -subj /CN=old");
    const auto old = issuing_ca().request("old.csr");
    REQUIRE_FALSE(old);
    CHECK(old.error().kind == Error::Kind::no);
    CHECK(has(old.error().text, "SHA-256 or better"));
}
