#include "pki/path.h"

#include <algorithm>

#include "tests/pki/workshop.h"

using namespace kokuin;
using workshop::Folder;

namespace {
bool says(const Error& error, const std::string& words) {
    return error.text.find(words) != std::string::npos;
}
}  // namespace

TEST_CASE("paths: found through intermediates in any order, and refused with the reason in words") {
    const Folder folder;
    folder.root("root");
    folder.root("stranger");
    folder.issue("ca", "root", workshop::ca_extensions, "-days 1000");
    folder.issue("tsu", "ca", workshop::tsu_extensions, "-days 365");
    const auto root = folder.certificate("root");
    const auto stranger = folder.certificate("stranger");
    const auto ca = folder.certificate("ca");
    const auto tsu = folder.certificate("tsu");
    const WallTime now = tsu.not_before() + std::chrono::hours{24};

    SECTION("the good path") {
        const auto path = pki::validate_path(tsu, {stranger, tsu, ca}, {stranger, root}, now);
        INFO((path.ok() ? "" : path.error().text));
        REQUIRE(path.ok());
        REQUIRE(path->size() == 3);
        CHECK((*path)[0] == tsu);
        CHECK((*path)[1] == ca);
        CHECK((*path)[2] == root);
        const auto alone = pki::validate_path(root, {}, {root}, now);
        INFO((alone.ok() ? "" : alone.error().text));
        REQUIRE(alone.ok());
        CHECK(alone->size() == 1);
    }
    SECTION("both ends of validity are inclusive") {
        CHECK(pki::validate_path(tsu, {ca}, {root}, tsu.not_after()).ok());
        CHECK(pki::validate_path(tsu, {ca}, {root}, tsu.not_after() + nanoseconds{999'999'999}).ok());
        CHECK(pki::validate_path(tsu, {ca}, {root}, std::max(tsu.not_before(), ca.not_before())).ok());
        const auto late = pki::validate_path(tsu, {ca}, {root}, tsu.not_after() + seconds{1});
        REQUIRE_FALSE(late.ok());
        CHECK(late.error().kind == Error::Kind::no);
        CHECK(says(late.error(), "CN=tsu"));
        CHECK(says(late.error(), "expired"));
        const auto early = pki::validate_path(tsu, {ca}, {root}, root.not_before() - seconds{1});
        REQUIRE_FALSE(early.ok());
        CHECK(says(early.error(), "not yet valid"));
    }
    SECTION("no anchor, another anchor, a missing intermediate") {
        const auto none = pki::validate_path(tsu, {ca}, {}, now);
        REQUIRE_FALSE(none.ok());
        CHECK(says(none.error(), "no trust anchor"));
        CHECK_FALSE(pki::validate_path(tsu, {ca}, {stranger}, now).ok());
        CHECK_FALSE(pki::validate_path(tsu, {ca, root}, {stranger}, now).ok());
        CHECK_FALSE(pki::validate_path(tsu, {}, {root}, now).ok());
    }
    SECTION("a leaf that is no CA can't issue") {
        folder.issue("below", "tsu", workshop::tsu_extensions, "-days 10");
        const auto refused = pki::validate_path(folder.certificate("below"), {tsu, ca}, {root}, now);
        REQUIRE_FALSE(refused.ok());
        CHECK(says(refused.error(), "not allowed to issue"));
    }
    SECTION("a changed signature") {
        Bytes der(tsu.der().begin(), tsu.der().end());
        der.back() ^= 1U;
        const auto forged = pki::Certificate::from_der(der);
        REQUIRE(forged.ok());
        const auto refused = pki::validate_path(*forged, {ca}, {root}, now);
        REQUIRE_FALSE(refused.ok());
        CHECK(says(refused.error(), "ignature"));
    }
    SECTION("an unknown critical extension") {
        folder.issue("odd", "ca", workshop::tsu_extensions + "\n1.2.3.4=critical,DER:0500", "-days 10");
        const auto refused = pki::validate_path(folder.certificate("odd"), {ca}, {root}, now);
        REQUIRE_FALSE(refused.ok());
        CHECK(says(refused.error(), "critical"));
    }
    SECTION("SHA-1 and short keys only when tolerated") {
        folder.issue("sha1", "ca", workshop::tsu_extensions, "-days 10 -sha1");
        folder.issue("short", "ca", workshop::tsu_extensions, "-days 10", "rsa:1024");
        for (const std::string weak : {"sha1", "short"}) {
            const auto certificate = folder.certificate(weak);
            const auto refused = pki::validate_path(certificate, {ca}, {root}, now);
            REQUIRE_FALSE(refused.ok());
            CHECK(says(refused.error(), "too weak"));
            pki::PathRules rules;
            rules.tolerate_weak = true;
            const auto taken = pki::validate_path(certificate, {ca}, {root}, now, rules);
            INFO((taken.ok() ? "" : taken.error().text));
            CHECK(taken.ok());
        }
    }
    SECTION("a path length that is exceeded") {
        folder.issue("tight", "root",
                     "basicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=critical,keyCertSign");
        folder.issue("below", "tight", workshop::ca_extensions);
        folder.issue("leaf", "below", workshop::tsu_extensions, "-days 10");
        const auto refused =
            pki::validate_path(folder.certificate("leaf"),
                               {folder.certificate("tight"), folder.certificate("below")}, {root}, now);
        REQUIRE_FALSE(refused.ok());
        CHECK(says(refused.error(), "too long"));
    }
}

// RFC 5280 4.1.2.5: 99991231235959Z is the end of what has no end.
TEST_CASE("paths: certificates without end") {
    const Folder folder;
    folder.must(
        "printf 'basicConstraints=critical,CA:TRUE\\nkeyUsage=critical,keyCertSign,cRLSign\\n' > ca.ext");
    // openssl x509 takes a number of days only; openssl ca takes the date.
    folder.must(
        "printf "
        "'[ca]\\ndefault_ca=x\\n[x]\\nnew_certs_dir=.\\ndatabase=index\\nserial=serial\\ndefault_md=sha256\\n"
        "policy=p\\nunique_subject=no\\n[p]\\ncommonName=supplied\\n' > ca.conf; : > index; echo 1001 > "
        "serial");
    const auto request = [&](const std::string& name, const std::string& key) {
        folder.must("openssl req -new -newkey " + key + " -nodes -keyout " + name + ".key -out " + name +
                    ".csr -subj /CN=" + name);
    };
    const auto endless = [&](const std::string& name, const std::string& issuer,
                             const std::string& extensions) {
        folder.must("openssl ca -batch -notext -config ca.conf -in " + name + ".csr -out " + name +
                    ".pem -extfile " + extensions + " -startdate 20200229000000Z -enddate 99991231235959Z " +
                    issuer);
        return folder.certificate(name);
    };
    folder.write("tsu.ext", as_view(workshop::tsu_extensions));
    for (const std::string key : {"rsa:2048", "ec -pkeyopt ec_paramgen_curve:P-256"}) {
        for (const std::string identifiers :
             {"", "subjectKeyIdentifier=hash\\n",
              "subjectKeyIdentifier=hash\\nauthorityKeyIdentifier=keyid\\n"}) {
            INFO(key << " " << identifiers);
            folder.must("printf '" + identifiers + "' | cat ca.ext - > root.ext");
            request("root", key);
            const auto root = endless("root", "-selfsign -keyfile root.key", "root.ext");
            CHECK(to_rfc3339(root.not_before(), 0) == "2020-02-29T00:00:00Z");
            CHECK(to_rfc3339(root.not_after(), 0).substr(0, 4) == "2262");
            folder.must("openssl x509 -in root.pem -outform DER -out root.der");
            CHECK(as_text(root.der()) == folder.read("root.der"));
            request("tsu", key);
            const auto tsu = endless("tsu", "-cert root.pem -keyfile root.key", "tsu.ext");
            const WallTime now = tsu.not_before() + std::chrono::hours{24};
            for (const WallTime at : {now, *from_rfc3339("2261-01-01")}) {
                const auto path = pki::validate_path(tsu, {}, {root}, at);
                INFO((path.ok() ? "" : path.error().text));
                REQUIRE(path.ok());
                REQUIRE(path->size() == 2);
                CHECK((*path)[0] == tsu);
                CHECK((*path)[1] == root);
            }
            CHECK_FALSE(pki::validate_path(tsu, {}, {root}, tsu.not_before() - seconds{1}).ok());
            // An ordinary one below it, and a root of the same name that did not sign.
            folder.issue("short", "root", workshop::tsu_extensions, "-days 365");
            const auto ordinary = folder.certificate("short");
            CHECK(pki::validate_path(ordinary, {}, {root}, ordinary.not_before()).ok());
            request("root", key);
            const auto other = endless("root", "-selfsign -keyfile root.key", "root.ext");
            CHECK_FALSE(pki::validate_path(tsu, {}, {other}, now).ok());
            // What is signed is the original: another year, or another octet, and the signature doesn't fit.
            for (const std::string changed : {"3096", "9998"}) {
                Bytes der(tsu.der().begin(), tsu.der().end());
                const std::string_view end = "99991231235959Z";
                const auto found = std::search(der.begin(), der.end(), end.begin(), end.end());
                REQUIRE(found != der.end());
                std::copy(changed.begin(), changed.end(), found);
                const auto forged = pki::Certificate::from_der(der);
                REQUIRE(forged.ok());
                CHECK_FALSE(pki::validate_path(*forged, {}, {root}, now).ok());
            }
        }
    }
}
