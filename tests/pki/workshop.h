// Certificates made by the stock openssl command line, in a folder that goes away with the object.
#pragma once

#include <botan/auto_rng.h>
#include <botan/data_src.h>
#include <botan/pkcs8.h>
#include <botan/pubkey.h>
#include <stdlib.h>
#include <sys/wait.h>

#include <catch2/catch.hpp>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>

#include "pki/certificate.h"
#include "pki/hash.h"

namespace workshop {

struct Run {
    int exit = -1;
    std::string output;  ///< stdout and stderr
};

inline Run run(const std::string& command) {
    Run result;
    FILE* pipe = ::popen((command + " 2>&1").c_str(), "r");
    REQUIRE(pipe);
    char buffer[4096];
    for (std::size_t n = 0; (n = std::fread(buffer, 1, sizeof buffer, pipe)) > 0;)
        result.output.append(buffer, n);
    const int status = ::pclose(pipe);
    result.exit = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    return result;
}

class Folder {
  public:
    Folder() {
        std::string pattern = (std::filesystem::temp_directory_path() / "kokuin-pki-XXXXXX").string();
        REQUIRE(::mkdtemp(pattern.data()));
        path_ = pattern;
    }
    ~Folder() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;

    [[nodiscard]] std::string at(const std::string& name) const { return path_ + "/" + name; }
    /// Runs a command in this folder; it must succeed.
    std::string must(const std::string& command) const {
        const Run result = run("cd " + path_ + " && " + command);
        INFO(command << "\n" << result.output);
        REQUIRE(result.exit == 0);
        return result.output;
    }
    void write(const std::string& name, kokuin::View octets) const {
        std::ofstream(at(name), std::ios::binary)
            .write(reinterpret_cast<const char*>(octets.data()), static_cast<std::streamsize>(octets.size()));
    }
    [[nodiscard]] std::string read(const std::string& name) const {
        std::ifstream in(at(name), std::ios::binary);
        return {std::istreambuf_iterator<char>(in), {}};
    }
    [[nodiscard]] kokuin::pki::Certificate certificate(const std::string& name) const {
        auto result = kokuin::pki::Certificate::from_pem(read(name + ".pem"));
        INFO(name << ": " << (result.ok() ? "" : result.error().text));
        REQUIRE(result.ok());
        return *result;
    }

    /// NAME.pem and NAME.key: self-signed CA.
    void root(const std::string& name, const std::string& more = "") const {
        must("openssl req -x509 -newkey rsa:2048 -nodes -keyout " + name + ".key -out " + name +
             ".pem -subj '/C=JP/O=Kokuin Test/CN=" + name +
             "' -days 3650 -addext basicConstraints=critical,CA:TRUE -addext "
             "keyUsage=critical,keyCertSign,cRLSign " +
             more);
    }
    /// NAME.pem and NAME.key, signed by ISSUER; `extensions` as in an openssl extension file, one a line.
    void issue(const std::string& name, const std::string& issuer, const std::string& extensions,
               const std::string& more = "-days 365", const std::string& key = "rsa:2048") const {
        std::ofstream(at(name + ".ext")) << extensions << "\n";
        must("openssl req -new -newkey " + key + " -nodes -keyout " + name + ".key -out " + name +
             ".csr -subj '/C=JP/O=Kokuin Test/CN=" + name + "'");
        must("openssl x509 -req -in " + name + ".csr -CA " + issuer + ".pem -CAkey " + issuer +
             ".key -extfile " + name + ".ext -out " + name + ".pem " + more);
    }

    /// NAME.crl: what ISSUER has revoked so far, with `revoke` added (names of certificates; empty: nobody).
    void crl(const std::string& name, const std::string& issuer, const std::string& revoke = "",
             const std::string& reason = "keyCompromise", const std::string& more = "-crldays 30") const {
        if (!std::filesystem::exists(at(issuer + ".index"))) {
            std::ofstream(at(issuer + ".index")) << "";
            std::ofstream(at(issuer + ".crlnumber")) << "01\n";
            std::ofstream(at(issuer + ".cnf"))
                << "[ca]\ndefault_ca=own\n[own]\ndatabase=" << issuer << ".index\ncrlnumber=" << issuer
                << ".crlnumber\ndefault_md=sha256\nunique_subject=no\n";
        }
        const std::string ca =
            "openssl ca -config " + issuer + ".cnf -cert " + issuer + ".pem -keyfile " + issuer + ".key ";
        if (!revoke.empty()) must(ca + "-revoke " + revoke + ".pem -crl_reason " + reason);
        must(ca + "-gencrl " + more + " -out " + name + ".crl");
    }

    /// RSA PKCS#1 v1.5 by NAME.key.
    [[nodiscard]] kokuin::Bytes sign(const std::string& name, kokuin::pki::Hash hash,
                                     kokuin::View message) const {
        using kokuin::pki::Hash;
        static Botan::AutoSeeded_RNG rng;
        Botan::DataSource_Stream source(at(name + ".key"));
        const auto key = Botan::PKCS8::load_key(source);
        const char* padding = hash == Hash::sha1     ? "EMSA3(SHA-1)"
                              : hash == Hash::sha256 ? "EMSA3(SHA-256)"
                                                     : "EMSA3(SHA-512)";
        Botan::PK_Signer signer(*key, rng, padding);
        const auto signature = signer.sign_message(message.data(), message.size(), rng);
        return {signature.begin(), signature.end()};
    }

  private:
    std::string path_;
};

inline const std::string ca_extensions =
    "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign";
inline const std::string tsu_extensions =
    "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=critical,"
    "timeStamping";

}  // namespace workshop
