#include "tests/tsp/support.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <sys/wait.h>

#include <catch2/catch.hpp>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>

#include "base/der.h"

namespace support {

using namespace kokuin;

const Pki& Pki::instance() {
    static const Pki pki;
    return pki;
}

Pki::Pki() {
    std::string pattern = (std::filesystem::temp_directory_path() / "kokuin-tsp-XXXXXX").string();
    REQUIRE(::mkdtemp(pattern.data()));
    folder_ = pattern;
    must(
        "openssl req -x509 -newkey rsa:2048 -nodes -keyout root.key -out root.pem -days 3650 "
        "-subj '/C=JP/O=Kokuin Test/CN=Root' -addext keyUsage=critical,keyCertSign,cRLSign");
    std::ofstream(folder_ + "/ca.ext")
        << "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n";
    must(
        "openssl req -new -newkey rsa:2048 -nodes -keyout ca.key -out ca.csr -subj '/C=JP/O=Kokuin "
        "Test/CN=CA' && "
        "openssl x509 -req -in ca.csr -CA root.pem -CAkey root.key -extfile ca.ext -days 3000 -out ca.pem");
    for (const std::string name : {"root", "ca"}) {
        certificates_.push_back(*pki::Certificate::from_pem(as_text(read(name + ".pem"))));
    }
    certificates_.push_back(issue("tsu",
                                  "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n"
                                  "extendedKeyUsage=critical,timeStamping"));
}

Pki::~Pki() {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
}

pki::Certificate Pki::issue(const std::string& name, const std::string& extensions) const {
    std::ofstream(folder_ + "/" + name + ".ext") << extensions << "\n";
    must("openssl req -new -newkey rsa:2048 -nodes -keyout " + name + ".key -out " + name +
         ".csr -subj '/C=JP/O=Kokuin Test/CN=" + name + "' && openssl x509 -req -in " + name +
         ".csr -CA ca.pem -CAkey ca.key -extfile " + name + ".ext -days 365 -out " + name + ".pem");
    return *pki::Certificate::from_pem(as_text(read(name + ".pem")));
}

Bytes Pki::sign(View message, const std::string& name) const {
    const std::unique_ptr<BIO, decltype(&BIO_free)> file(
        BIO_new_file((folder_ + "/" + name + ".key").c_str(), "r"), &BIO_free);
    const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(
        PEM_read_bio_PrivateKey(file.get(), nullptr, nullptr, nullptr), &EVP_PKEY_free);
    const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), &EVP_MD_CTX_free);
    Bytes signature(512);
    std::size_t size = signature.size();
    REQUIRE(EVP_DigestSignInit(context.get(), nullptr, EVP_sha512(), nullptr, key.get()) == 1);
    REQUIRE(EVP_DigestSign(context.get(), signature.data(), &size, message.data(), message.size()) == 1);
    signature.resize(size);
    return signature;
}

Run Pki::run(const std::string& command) const {
    Run result;
    FILE* pipe = ::popen(("cd " + folder_ + " && (" + command + ") 2>&1").c_str(), "r");
    REQUIRE(pipe);
    char buffer[4096];
    for (std::size_t n = 0; (n = std::fread(buffer, 1, sizeof buffer, pipe)) > 0;)
        result.output.append(buffer, n);
    const int status = ::pclose(pipe);
    result.exit = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    return result;
}

std::string Pki::must(const std::string& command) const {
    const Run result = run(command);
    INFO(command << "\n" << result.output);
    REQUIRE(result.exit == 0);
    return result.output;
}

void Pki::write(const std::string& name, View octets) const {
    std::ofstream(folder_ + "/" + name, std::ios::binary)
        .write(reinterpret_cast<const char*>(octets.data()), static_cast<std::streamsize>(octets.size()));
}

Bytes Pki::read(const std::string& name) const {
    std::ifstream in(folder_ + "/" + name, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
}

Bytes hex(const std::string& text) {
    std::string plain;
    for (const char c : text) {
        if (c != ' ' && c != '\n') plain += c;
    }
    const auto octets = from_hex(plain);
    REQUIRE(octets.has_value());
    return *octets;
}

Bytes attribute_certificate(std::int64_t serial) {
    const Pki& pki = Pki::instance();
    const auto names = [](const pki::Certificate& certificate) {
        return der::sequence({der::tlv(der::context(4, true), certificate.subject_der())});
    };
    const Bytes algorithm = der::algorithm(pki::rsa_signature_oid(pki::Hash::sha256), true);
    const Bytes from = der::generalized_time(pki.tsu().not_before(), 0);
    const Bytes to = der::generalized_time(pki.tsu().not_before() + std::chrono::hours{25}, 0);
    const Bytes name = names(pki.tsu());
    const Bytes holder =
        der::tlv(der::sequence_tag, Bytes(der::tlv(der::context(1, true), View(name).subspan(2))));
    const Bytes issuer = der::tlv(der::context(0, true), names(pki.ca()));
    const Bytes attributes =
        der::sequence({der::sequence({der::oid("1.2.3.4"), der::tlv(der::set_tag, der::integer(7))})});
    const Bytes info = der::sequence({der::integer(1), holder, issuer, algorithm, der::integer(serial),
                                      der::sequence({from, to}), attributes});
    return der::sequence({info, algorithm, der::bits(Bytes(256, 0x5a))});
}

tsp::TstInfo tst_info(Bytes imprint) {
    tsp::TstInfo info;
    info.policy = "1.3.6.1.4.1.1291.1.1.1.1";
    info.hash_oid = pki::oid(pki::Hash::sha256);
    info.algorithm = der::algorithm(info.hash_oid, true);
    info.imprint = std::move(imprint);
    info.serial = hex("00 9f 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e");
    info.serial.erase(info.serial.begin());
    // Inside the certificates' validity, whenever the test runs.
    info.gen_time = Pki::instance().tsu().not_before() + std::chrono::minutes{1} + milliseconds{340};
    info.accuracy = seconds{1};
    info.tsa = Pki::instance().tsu().subject_der();
    return info;
}

Bytes token(const tsp::TokenProfile& profile, const tsp::TstInfo& info) {
    const Bytes der = tsp::encode(info);
    const Bytes attributes = profile.signed_attributes(der);
    return profile.assemble(der, attributes, Pki::instance().sign(attributes));
}

}  // namespace support
