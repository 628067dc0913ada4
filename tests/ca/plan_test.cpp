// Which certificates may be issued. What is issued is judged by openssl and by the check that a TSA makes.
#include "ca/plan.h"

#include <set>

#include "pki/ocsp_folder.h"
#include "pki/tsu_certificate.h"
#include "tests/ca/workshop.h"
#include "tests/support/text.h"

using namespace kokuin;
using namespace kokuin::ca;
using namespace std::chrono_literals;
using testing::has;

namespace {

std::string why(const Result<Plan>& plan) {
    REQUIRE_FALSE(plan);
    INFO(plan.error().text);
    return plan.error().text;
}

Order order(Profile profile, pki::CertificationRequest request) {
    Order made;
    made.profile = profile;
    made.request = std::move(request);
    return made;
}

std::string shown(const Office& office, const pki::Certificate& certificate) {
    office.folder.write("shown.pem", as_view(certificate.pem()));
    return office.folder.must("openssl x509 -in shown.pem -noout -text");
}

}  // namespace

TEST_CASE("each profile makes the certificate that those who use it want") {
    const Office office;
    const auto books = [&] { return office.open()->what_was(); };
    const auto root = books().root()->certificate;
    const auto issuing = books().issuing()->certificate;
    office.folder.write("chain.pem", as_view(issuing.pem() + root.pem()));
    office.folder.write("root.pem", as_view(root.pem()));
    const auto root_text = shown(office, root);
    CHECK(has(root_text, "X509v3 Basic Constraints: critical\n                CA:TRUE\n"));
    CHECK(has(root_text,
              "X509v3 Key Usage: critical\n                Digital Signature, Certificate Sign, CRL Sign\n"));
    CHECK_FALSE(has(root_text, "Distribution Points"));
    const auto issuing_text = shown(office, issuing);
    CHECK(has(issuing_text, "CA:TRUE, pathlen:0"));
    CHECK(has(issuing_text, "URI:http://tsa.example/repository/root.crl"));

    struct Case {
        Profile profile;
        const char* more;
        const char* extended;  // as openssl shows it; empty: none
        const char* purpose;   // openssl verify -purpose; empty: any
    };
    for (const auto& one :
         {Case{Profile::tsu, "-newkey rsa:2048",
               "X509v3 Extended Key Usage: critical\n                Time Stamping\n", "timestampsign"},
          Case{Profile::taa, "-newkey rsa:3072", "", ""}, Case{Profile::archive, "-newkey ed25519", "", ""},
          Case{Profile::tls_server,
               "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -addext subjectAltName=DNS:tsa.example",
               "X509v3 Extended Key Usage: \n                TLS Web Server Authentication\n", "sslserver"},
          Case{Profile::tls_client, "-newkey rsa:2048",
               "X509v3 Extended Key Usage: \n                TLS Web Client Authentication\n", "sslclient"},
          Case{Profile::channel, "-newkey rsa:2048 -addext subjectAltName=DNS:a.example,IP:127.0.0.1",
               "X509v3 Extended Key Usage: \n                TLS Web Server Authentication, TLS Web Client "
               "Authentication\n",
               "sslclient"},
          Case{Profile::ocsp, "-newkey rsa:2048",
               "X509v3 Extended Key Usage: \n                OCSP Signing\n", "ocsphelper"}}) {
        const std::string called(name(one.profile));
        INFO(called);
        const auto request = office.request(called, "/C=JP/O=Example/CN=" + called, one.more);
        const auto plan = office.plan(order(one.profile, request));
        INFO((plan ? "" : plan.error().text));
        REQUIRE(plan);
        const auto certificate = office.issue(*plan);
        CHECK(pki::validate_path(certificate, {issuing}, {root}, office.clock.at));
        CHECK(certificate.not_after() - certificate.not_before() ==
              office.settings.validity.at(one.profile) - 1s);
        const auto text = shown(office, certificate);
        INFO(text);
        CHECK(has(text, "CA:FALSE"));
        CHECK(has(text, "Policy: 2.999.1"));
        CHECK(has(text, "URI:http://tsa.example/repository/issuing.crl"));
        if (*one.extended)
            CHECK(has(text, one.extended));
        else
            CHECK_FALSE(has(text, "Extended Key Usage"));
        const bool signs_records =
            one.profile == Profile::tsu || one.profile == Profile::taa || one.profile == Profile::archive;
        CHECK(has(text, "Non Repudiation") == signs_records);
        CHECK(has(text, "OCSP No Check") == (one.profile == Profile::ocsp));
        CHECK(has(text, "OCSP - URI") == (one.profile != Profile::ocsp));
        const std::string purpose = *one.purpose ? std::string("-purpose ") + one.purpose : "";
        office.folder.must("openssl verify -x509_strict " + purpose +
                           " -CAfile root.pem -untrusted chain.pem shown.pem");
        CHECK(pki::check_tsu_certificate(certificate, {}, {issuing, root}, office.clock.at).ok() ==
              (one.profile == Profile::tsu));
    }
    const auto text = shown(office, books().issued.back().certificate);
    CHECK_FALSE(has(text, "Alternative"));
}

TEST_CASE("keys and names that a profile doesn't take are refused") {
    const Office office;
    const auto rsa = office.request("rsa", "/CN=x");
    const auto small = office.request("small", "/CN=x", "-newkey rsa:1024");
    const auto ec = office.request("ec", "/CN=x", "-newkey ec -pkeyopt ec_paramgen_curve:P-384");
    const auto ed = office.request("ed", "/CN=x", "-newkey ed25519");
    const auto named =
        office.request("named", "/CN=x", "-newkey rsa:2048 -addext subjectAltName=DNS:a.example");
    const auto odd = office.request(
        "odd", "/CN=x", "-newkey rsa:2048 -addext subjectAltName=DNS:a.example,email:a@a.example");
    for (const auto profile : issued_profiles) {
        INFO(name(profile));
        CHECK(has(why(office.plan(order(profile, small))), "1024 bits"));
        const bool takes_ec =
            profile != Profile::tsu && profile != Profile::taa && profile != Profile::archive;
        if (!takes_ec) CHECK(has(why(office.plan(order(profile, ec))), "kind ECDSA"));
        if (profile != Profile::archive) CHECK(has(why(office.plan(order(profile, ed))), "kind Ed25519"));
        const bool takes_names =
            profile == Profile::tls_server || profile == Profile::tls_client || profile == Profile::channel;
        CHECK(office.plan(order(profile, named)).ok() == takes_names);
        CHECK_FALSE(office.plan(order(profile, odd)));
        const bool wants_names = profile == Profile::tls_server || profile == Profile::channel;
        CHECK(office.plan(order(profile, rsa)).ok() == !wants_names);
    }
    office.folder.must("openssl req -new -nodes -newkey rsa:2048 -keyout n.key -out n.csr -subj /");
    const auto nobody = pki::CertificationRequest::read(as_view(office.folder.read("n.csr")));
    REQUIRE(nobody);
    CHECK(has(why(office.plan(order(Profile::tsu, *nobody))), "names no subject"));
}

TEST_CASE("what custodians can't see whole and as it is, they aren't asked for") {
    const Office office;
    std::string names = "DNS:a.example";
    for (int i = 0; i < 60; ++i) names += ",DNS:host-" + std::to_string(i) + ".example";
    const auto many = office.request("many", "/CN=many", "-newkey rsa:2048 -addext subjectAltName=" + names);
    CHECK(many.alternative_names_text().size() == 61);
    CHECK(has(why(office.plan(order(Profile::tls_server, many))), "can't be shown to custodians"));
    // DNS names that would be read as something else, and a mark that turns the direction of writing.
    for (const std::string bad : {"DNS:a example", "DNS:a..example", "DNS:.example", "DNS:*"}) {
        const auto odd =
            office.request("odd", "/CN=odd", "-newkey rsa:2048 -addext 'subjectAltName=" + bad + "'");
        INFO(bad);
        CHECK_FALSE(office.plan(order(Profile::tls_server, odd)));
    }
    const auto star =
        office.request("star", "/CN=star", "-newkey rsa:2048 -addext 'subjectAltName=DNS:*.a.example'");
    CHECK(office.plan(order(Profile::tls_server, star)));
    const auto turned = office.request("turned", "/CN=TSU \u202e1", "-newkey rsa:2048 -utf8");
    CHECK(has(why(office.plan(order(Profile::tsu, turned))), "can't be shown to custodians"));
}

TEST_CASE("a validity ends within its issuer's (CA-5), and the longest possible is told") {
    Office office;
    auto asked = order(Profile::tsu, office.request("tsu", "/CN=TSU 1"));
    asked.validity = 24h * 5475;
    REQUIRE(office.plan(asked));
    office.clock.at += 24h * 10 + 1s;
    const auto refused = why(office.plan(asked));
    CHECK(has(refused, "CA-5"));
    CHECK(has(refused, "--days 5464"));
    asked.validity = 24h * 5465;
    CHECK_FALSE(office.plan(asked));
    asked.validity = 24h * 5464;
    const auto longest = office.plan(asked);
    REQUIRE(longest);
    CHECK(longest->certificate.not_after <= office.open()->what_was().issuing()->certificate.not_after());
    office.clock.at += 24h * 5475;
    CHECK(has(why(office.plan(asked)), "isn't valid now"));
}

TEST_CASE("a subject is one TSU's for good, but its next key may bear it (TSA-18)") {
    Office office;
    const auto first = office.plan(order(Profile::tsu, office.request("one", "/O=Example/CN=TSU 1")));
    REQUIRE(first);
    const auto serial = serial_text(office.issue(*first).serial());
    const auto taken = why(office.plan(order(Profile::tsu, office.request("two", "/O=Example/CN=TSU 1"))));
    CHECK(has(taken, "--successor-of " + serial));
    CHECK(has(taken, "TSA-18"));
    // Written in other letters it is the same name (RFC 5280 7.1).
    const auto shouted = order(Profile::tsu, office.request("shout", "/O=EXAMPLE/CN=tsu  1"));
    CHECK(has(why(office.plan(shouted)), "TSA-18"));
    // Whatever it is to be used for.
    CHECK_FALSE(office.plan(order(Profile::taa, office.request("taa", "/O=Example/CN=TSU 1"))));
    auto successor =
        order(Profile::tsu, *pki::CertificationRequest::read(as_view(office.folder.read("two.csr"))));
    successor.successor_of = serial;
    const auto next = office.plan(successor);
    REQUIRE(next);
    CHECK(next->successor_of == serial);
    // Of itself, of another profile, of another name, of nothing.
    CHECK(has(why(office.plan(order(
                  Profile::tsu, *pki::CertificationRequest::read(as_view(office.folder.read("one.csr")))))),
              "KEY-4"));
    auto written = shouted;
    written.successor_of = serial;
    CHECK(has(why(office.plan(written)), "written in the same way"));
    successor.profile = Profile::taa;
    CHECK(has(why(office.plan(successor)), "has the same"));
    successor.profile = Profile::tsu;
    successor.request = office.request("other", "/O=Example/CN=TSU 2");
    CHECK(has(why(office.plan(successor)), "same subject"));
    successor.successor_of = "00";
    CHECK(has(why(office.plan(successor)), "nothing of the serial"));
    // One that is revoked, or over, has left its name.
    office.revoke(serial, pki::Reason::key_compromise);
    CHECK(office.plan(
        order(Profile::tsu, *pki::CertificationRequest::read(as_view(office.folder.read("two.csr"))))));
    // The CA's own name is nobody's, and its keys neither.
    CHECK(has(why(office.plan(
                  order(Profile::tls_client, office.request("ca", "/C=JP/O=Example/CN=Example Issuing CA")))),
              "this CA itself"));
    CHECK(has(why(office.plan(order(Profile::tsu, *pki::CertificationRequest::read(
                                                      as_view(office.folder.read("issuing.csr")))))),
              "certified before"));
    // Servers may have two certificates for a while.
    const auto server = [&](const char* key) {
        return office.plan(order(Profile::tls_server,
                                 office.request(key, "/CN=tsa.example",
                                                "-newkey rsa:2048 -addext subjectAltName=DNS:tsa.example")));
    };
    office.issue(*server("s1"));
    CHECK(server("s2"));
}

TEST_CASE("there is one root and one issuing CA, and a revoked one issues nothing") {
    Office office;
    for (const auto profile : {Profile::root, Profile::issuing}) {
        Order again;
        again.profile = profile;
        CHECK(has(why(office.plan(again)), "already"));
    }
    CHECK(has(why(make_plan(office.settings, Register(), order(Profile::tsu, office.request("t", "/CN=t")),
                            View(), office.clock.at)),
              "tsca issuing init"));
    const auto serial = office.open()->what_was().issuing()->serial;
    office.revoke(serial, pki::Reason::ca_compromise);
    CHECK(has(why(office.plan(order(Profile::tsu, office.request("u", "/CN=u")))), "revoked (CACompromise)"));
}

TEST_CASE("serial numbers are random, of one length, and each can be asked for by GET") {
    const Office office;
    const auto what_was = office.open()->what_was();
    std::set<Bytes> seen;
    for (int i = 0; i < 2000; ++i) {
        const auto serial = draw_serial(what_was, &what_was.issuing()->certificate);
        CHECK(serial.size() == 16);
        CHECK((serial[0] & 0xc0U) == 0x40U);
        CHECK(seen.insert(serial).second);
        for (const auto hash : {pki::Hash::sha1, pki::Hash::sha256}) {
            const auto& issuer = what_was.issuing()->certificate;
            const auto path =
                pki::ocsp_get_path({std::string(pki::oid(hash)), pki::digest(hash, issuer.subject_der()),
                                    pki::key_hash(issuer, hash), serial});
            REQUIRE(path);
            CHECK(path->back() != '/');
            CHECK(path->find("//") == std::string::npos);
        }
    }
    CHECK(serial_text_of("0x00AB:cd") == "abcd");
    CHECK(serial_text_of("f") == "0f");
    CHECK(serial_text_of("").empty());
    CHECK(serial_text_of("xyz").empty());
}
