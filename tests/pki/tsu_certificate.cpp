// What a TSU's certificate must be, judged on certificates of the stock openssl.
#include "pki/tsu_certificate.h"

#include "tests/pki/workshop.h"

using namespace kokuin;

namespace {

using workshop::Folder;

const std::string tsu_extensions =
    "extendedKeyUsage=critical,timeStamping\nkeyUsage=critical,digitalSignature";

/// A root of 10 years, a CA under it of 5, and what is issued by that. Not copyable: it owns the folder.
struct House {
    Folder folder;
    House() {
        folder.must(
            "openssl req -x509 -newkey rsa:2048 -nodes -keyout root.key -out root.pem -days 3650 -subj "
            "/CN=root "
            "-addext basicConstraints=critical,CA:TRUE 2>/dev/null");
        issue("ca", "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign", 1825, "root");
    }
    void issue(const std::string& name, const std::string& extensions, int days, const std::string& by,
               const std::string& key = "rsa:2048") {
        folder.must("openssl req -new -newkey " + key + " -nodes -keyout " + name + ".key -out " + name +
                    ".csr -subj /CN=" + name + " 2>/dev/null && printf '" + extensions +
                    "\n' > ext && openssl x509 -req -in " + name + ".csr -CA " + by + ".pem -CAkey " + by +
                    ".key -days " + std::to_string(days) + " -extfile ext -out " + name + ".pem 2>/dev/null");
    }
    [[nodiscard]] pki::Certificate certificate(const std::string& name) const {
        auto read = pki::load_certificates(folder.at(name + ".pem"));
        REQUIRE(read);
        return read->front();
    }
    [[nodiscard]] std::string judge(const std::string& name) const {
        const auto path = pki::check_tsu_certificate(
            certificate(name), {}, {certificate("ca"), certificate("root")}, SystemWallClock().now());
        if (path) return path->size() == 3 ? "" : "a path of " + std::to_string(path->size());
        CHECK(path.error().kind == Error::Kind::no);
        return path.error().text;
    }
};

}  // namespace

TEST_CASE("A TSU's certificate is taken, and each fault is named") {
    House house;
    const auto says = [&](const std::string& extensions, const std::string& words, int days = 365,
                          const std::string& key = "rsa:2048") {
        house.issue("tsu", extensions, days, "ca", key);
        const auto said = house.judge("tsu");
        INFO(said);
        CHECK((words.empty() ? said.empty() : said.find(words) != std::string::npos));
    };
    says(tsu_extensions, "");
    says("extendedKeyUsage=critical,timeStamping", "");
    says("extendedKeyUsage=timeStamping", "alone and critical");
    says("extendedKeyUsage=critical,timeStamping,emailProtection", "alone and critical");
    says("keyUsage=critical,digitalSignature", "alone and critical");
    says("extendedKeyUsage=critical,timeStamping\nkeyUsage=critical,digitalSignature,keyEncipherment",
         "key usage");
    says("extendedKeyUsage=critical,timeStamping\nbasicConstraints=critical,CA:TRUE", "a CA's certificate");
    says(tsu_extensions, "isn't inside its issuer's (CA-5)", 3000);
    says(tsu_extensions, "RSA key of 1024 bits", 365, "rsa:1024");
    // Of somebody else.
    house.folder.must(
        "openssl req -x509 -newkey rsa:2048 -nodes -keyout x.key -out x.pem -days 30 -subj /CN=x -addext "
        "extendedKeyUsage=critical,timeStamping 2>/dev/null");
    CHECK_FALSE(house.judge("x").empty());
}
