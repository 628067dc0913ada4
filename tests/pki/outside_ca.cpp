// The way with somebody else's CA (CA-6): Debian's `openssl ca` certifies a TSU's request, revokes it and
// makes CRLs, `openssl ocsp` answers from its index; everything is judged by what a TSA judges with.
#include <fstream>

#include "pki/ocsp.h"
#include "pki/request.h"
#include "pki/revocation.h"
#include "pki/tsu_certificate.h"
#include "tests/pki/workshop.h"

using namespace kokuin;
using namespace kokuin::pki;
using namespace std::chrono_literals;

namespace {

/// A CA as `openssl ca` keeps it: an index, a serial number, a folder of what it has issued.
struct OutsideCa {
    workshop::Folder folder;
    std::string ca = "openssl ca -batch -config ca.cnf ";

    OutsideCa() {
        folder.root("root");
        folder.must("mkdir issued && touch index && echo 1000 > serial && echo 01 > crlnumber");
        std::ofstream(folder.at("ca.cnf")) << R"([ca]
default_ca = own
[own]
new_certs_dir = issued
database = index
serial = serial
crlnumber = crlnumber
certificate = root.pem
private_key = root.key
default_md = sha256
default_days = 365
default_crl_days = 7
policy = any
unique_subject = no
[any]
countryName = optional
organizationName = optional
commonName = supplied
[tsu]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = critical,timeStamping
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[responder]
keyUsage = critical,digitalSignature
extendedKeyUsage = OCSPSigning
noCheck = ignored
)";
    }
    Certificate certify(const std::string& name, const std::string& extensions) const {
        folder.must("openssl req -new -newkey rsa:2048 -nodes -keyout " + name + ".key -out " + name +
                    ".csr -subj '/C=JP/O=Example/CN=" + name + "'");
        REQUIRE(CertificationRequest::read(as_view(folder.read(name + ".csr"))));
        folder.must(ca + "-notext -extensions " + extensions + " -in " + name + ".csr -out " + name + ".pem");
        return folder.certificate(name);
    }
    [[nodiscard]] Bytes answer(const std::string& name, const std::string& signer) const {
        folder.must("openssl ocsp -issuer root.pem -cert " + name + ".pem -no_nonce -reqout q.der");
        folder.must("openssl ocsp -index index -CA root.pem -rsigner " + signer + ".pem -rkey " + signer +
                    ".key -ndays 1 -reqin q.der -respout r.der");
        const auto text = folder.read("r.der");
        return {text.begin(), text.end()};
    }
    [[nodiscard]] Result<OcspVerdict> check(View response, const std::string& name) const {
        const auto read = OcspResponse::decode(response);
        if (!read) return read.error();
        return read->check(folder.certificate(name), folder.certificate("root"), SystemWallClock().now());
    }
};

}  // namespace

TEST_CASE("a TSU certified, and then revoked, by openssl's CA") {
    const OutsideCa outside;
    const auto& folder = outside.folder;
    const auto root = folder.certificate("root");
    const auto tsu = outside.certify("tsu", "tsu");
    outside.certify("responder", "responder");
    const auto now = SystemWallClock().now();
    CHECK(check_tsu_certificate(tsu, {}, {root}, now));

    const auto list = [&] {
        folder.must(outside.ca + "-gencrl -out crl.pem");
        auto crls = load_crls(folder.at("crl.pem"));
        REQUIRE(crls);
        return *crls;
    };
    CHECK_FALSE(find_revoked({tsu, root}, list()));
    CHECK_FALSE(find_uncovered({tsu, root}, list()));
    for (const std::string signer : {"root", "responder"}) {
        const auto good = outside.check(outside.answer("tsu", signer), "tsu");
        INFO((good ? "" : good.error().text));
        REQUIRE(good);
        CHECK(good->response.state == SingleResponse::State::good);
        CHECK(good->delegate.has_value() == (signer == "responder"));
        CHECK_FALSE(good->delegate_unchecked);
    }

    folder.must(outside.ca + "-revoke tsu.pem -crl_reason cessationOfOperation");
    CHECK(find_revoked({tsu, root}, list()).value_or("").find("cessation of operation") != std::string::npos);
    for (const std::string signer : {"root", "responder"}) {
        const auto response = outside.answer("tsu", signer);
        const auto bad = outside.check(response, "tsu");
        REQUIRE(bad);
        CHECK(bad->response.state == SingleResponse::State::revoked);
        CHECK(bad->response.reason == Reason::cessation_of_operation);
        // Nobody on the way can make it say anything else.
        for (std::size_t i = 0; i < response.size(); ++i) {
            auto damaged = response;
            damaged[i] ^= 0x10;
            const auto verdict = outside.check(damaged, "tsu");
            if (!verdict) continue;
            INFO(signer << ", octet " << i);
            // openssl puts the issuer's certificate into a response that the issuer itself signs; nobody
            // needs it there.
            CHECK(signer == "root");
            CHECK(verdict->response.state == SingleResponse::State::revoked);
        }
    }
}
