#include "pki/revocation.h"

#include <catch2/catch.hpp>

#include <fstream>
#include <iterator>

#include "tests/pki/workshop.h"

using namespace kokuin;
using namespace kokuin::pki;

namespace {

struct Authority : workshop::Folder {
    Authority() {
        root("root");
        issue("leaf", "root", workshop::tsu_extensions);
        issue("other", "root", workshop::tsu_extensions);
        crl("nobody", "root");
    }
    [[nodiscard]] std::vector<Certificate> path(const std::string& name = "leaf") const {
        return {certificate(name), certificate("root")};
    }
    [[nodiscard]] Crls lists(const std::string& name) const {
        auto read = load_crls(at(name));
        INFO((read ? "" : read.error().text));
        REQUIRE(read);
        return *read;
    }
};

}  // namespace

TEST_CASE("a CRL revokes what it names, with time and reason") {
    const Authority ca;
    CHECK_FALSE(find_revoked(ca.path(), ca.lists("nobody.crl")));
    ca.crl("one", "root", "leaf");
    const auto why = find_revoked(ca.path(), ca.lists("one.crl"));
    REQUIRE(why);
    CHECK(why->find("CN=leaf,O=Kokuin Test,C=JP is revoked since 20") == 0);
    CHECK(why->find("(key compromise)") != std::string::npos);
    CHECK_FALSE(find_revoked(ca.path("other"), ca.lists("one.crl")));
    CHECK_FALSE(find_revoked({ca.certificate("root")}, ca.lists("one.crl")));
    CHECK(ca.lists("one.crl")[0].issuer_text() == "CN=root,O=Kokuin Test,C=JP");
    CHECK(ca.lists("one.crl")[0].next_update());
}

TEST_CASE("a CRL that somebody else signed says nothing") {
    const Authority ca;
    // Another root of the same name, with a list of its own that names the same serial number.
    const Authority stranger;
    stranger.must("cp " + ca.at("leaf.pem") + " stolen.pem");
    stranger.crl("forged", "root", "stolen");
    CHECK_FALSE(find_revoked(ca.path(), stranger.lists("forged.crl")));
    // Its own certificate, that may sign no CRLs.
    ca.must("openssl req -new -key root.key -subj '/C=JP/O=Kokuin Test/CN=root' -out plain.csr");
    std::ofstream(ca.at("plain.ext")) << "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign\n";
    ca.must("openssl x509 -req -in plain.csr -signkey root.key -extfile plain.ext -days 30 -out plain.pem");
    ca.crl("one", "root", "leaf");
    CHECK(ca.lists("one.crl")[0].revokes(ca.certificate("leaf"), ca.certificate("root")));
    CHECK_FALSE(ca.lists("one.crl")[0].revokes(ca.certificate("leaf"), ca.certificate("plain")));
}

TEST_CASE("a list of a time that no clock knows is none, whoever signed it") {
    const Authority ca;
    ca.must("openssl crl -in nobody.crl -outform DER -out nobody.der");
    std::ifstream file(ca.at("nobody.der"), std::ios::binary);
    const std::string der((std::istreambuf_iterator<char>(file)), {});
    REQUIRE(Crl::from_der(as_view(der)));
    // UTCTime of thisUpdate and nextUpdate: years 50 to 69 are 1950 to 1969.
    std::size_t times = 0;
    for (std::size_t i = 0; i + 15 <= der.size() && times < 2; ++i) {
        if (der[i] != 0x17 || der[i + 1] != 13 || der[i + 14] != 'Z') continue;
        ++times;
        auto old = der;
        old.replace(i + 2, 2, "60");
        const auto read = Crl::from_der(as_view(old));
        REQUIRE_FALSE(read);
        CHECK(read.error().text.find("no CRL") == 0);
    }
    CHECK(times == 2);
}

TEST_CASE("a certificate whose issuer has no list is named") {
    const Authority ca;
    CHECK_FALSE(find_uncovered(ca.path(), ca.lists("nobody.crl")));
    CHECK(find_uncovered(ca.path(), {}) == "CN=leaf,O=Kokuin Test,C=JP");
    const Authority stranger;
    CHECK(find_uncovered(ca.path(), stranger.lists("nobody.crl")));
    CHECK_FALSE(find_uncovered({ca.certificate("root")}, {}));
}

TEST_CASE("CRL files: DER, PEM, several, and what is none") {
    const Authority ca;
    ca.crl("one", "root", "leaf");
    ca.must("openssl crl -in one.crl -outform DER -out one.der && cat nobody.crl one.crl > both.crl");
    CHECK(ca.lists("one.der").size() == 1);
    CHECK(ca.lists("both.crl").size() == 2);
    // What stands before a list may be of any length.
    ca.must("(cat nobody.crl; yes '# a line of text' | head -n 5000; cat one.crl) > far.crl");
    CHECK(ca.lists("far.crl").size() == 2);
    CHECK(find_revoked(ca.path(), ca.lists("both.crl")));
    const auto missing = load_crls(ca.at("missing"));
    REQUIRE_FALSE(missing);
    CHECK(missing.error().kind == Error::Kind::usage);
    ca.must("head -c 200 one.crl > half.crl; head -c 100 one.der > half.der; : > empty");
    for (const char* name : {"half.crl", "half.der", "empty", "leaf.pem", "leaf.key"}) {
        INFO(name);
        const auto wrong = load_crls(ca.at(name));
        REQUIRE_FALSE(wrong);
        CHECK(wrong.error().kind == Error::Kind::environment);
        CHECK(wrong.error().text.find(ca.at(name)) == 0);
        CHECK(wrong.error().text.find('\n') == std::string::npos);
    }
}

TEST_CASE("CRL files are read again when they change, and lose nothing when they can't be") {
    const Authority ca;
    ca.must("cp nobody.crl list.crl");
    auto files = CrlFiles::open({ca.at("list.crl")});
    REQUIRE(files);
    const auto first = (*files)->current();
    CHECK((*files)->current() == first);
    const auto now = SystemWallClock().now();
    CHECK((*files)->troubles(now).empty());
    CHECK((*files)->troubles(now + std::chrono::hours(24 * 31)).size() == 1);  // its next update is overdue

    ca.must("sleep 1.1");  // the time of a list is in whole seconds
    ca.crl("one", "root", "leaf");
    ca.must("cp one.crl new && mv new list.crl");
    const auto second = (*files)->current();
    CHECK(second != first);
    CHECK(find_revoked(ca.path(), *second));

    // An old one is none.
    ca.must("cp nobody.crl new && mv new list.crl");
    CHECK((*files)->current() == second);
    CHECK((*files)->troubles(now).at(0).find("is older than the one of") != std::string::npos);
    ca.must("cp one.crl new && mv new list.crl");
    CHECK((*files)->troubles(now).empty());
    const auto third = (*files)->current();

    ca.must("mv list.crl away");
    CHECK((*files)->current() == third);
    CHECK((*files)->troubles(now).size() == 1);
    ca.must("echo nonsense > list.crl");
    CHECK((*files)->current() == third);
    CHECK((*files)->troubles(now).at(0).find("what it said before still counts") != std::string::npos);
    ca.must("mv away list.crl");
    CHECK((*files)->troubles(now).empty());
    CHECK(find_revoked(ca.path(), *(*files)->current()));
    CHECK_FALSE(CrlFiles::open({ca.at("missing")}));
}
