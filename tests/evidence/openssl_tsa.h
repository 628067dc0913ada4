// A TSA of another organisation: openssl ts, with a root and a certificate of its own.
#pragma once

#include <catch2/catch.hpp>
#include <fstream>

#include "base/file.h"
#include "evidence/check.h"
#include "pki/hash.h"
#include "tests/support/folder.h"
#include "tests/support/run.h"
#include "tsa/protocol/request.h"
#include "tsa/protocol/response.h"
#include "tsa/protocol/token.h"

namespace kokuin::testing {

class OpensslTsa {
  public:
    /// `key`: what `openssl req -newkey` is told to make.
    explicit OpensslTsa(const std::vector<std::string>& key = {"rsa:2048"}) {
        write(
            "tsa.cnf",
            "[tsa]\ndefault_tsa=it\n[it]\ndir=" + folder_.path +
                "\nserial=$dir/serial\ncrypto_device=builtin\nsigner_cert=$dir/tsa.pem\ncerts=$dir/root.pem\n"
                "signer_key=$dir/tsa.key\nsigner_digest=sha512\ndefault_policy=1.3.6.1.4.1.99999.1\n"
                "digests=sha256,sha384,sha512\naccuracy=secs:1\ness_cert_id_alg=sha256\n");
        write("ext.cnf",
              "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n"
              "extendedKeyUsage=critical,timeStamping\n");
        run_well({"openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", at("root.key"),
                  "-out", at("root.pem"), "-subj", "/O=Other/CN=Other Root", "-days", "4000"});
        std::vector<std::string> request{"openssl",     "req",         "-nodes",
                                         "-keyout",     at("tsa.key"), "-out",
                                         at("tsa.csr"), "-subj",       "/O=Other/CN=Other TSA",
                                         "-newkey"};
        request.insert(request.end(), key.begin(), key.end());
        run_well(request);
        run_well({"openssl", "x509", "-req", "-in", at("tsa.csr"), "-CA", at("root.pem"), "-CAkey",
                  at("root.key"), "-CAcreateserial", "-days", "365", "-extfile", at("ext.cnf"), "-out",
                  at("tsa.pem")});
        auto root = pki::load_certificates(at("root.pem"));
        REQUIRE(root);
        believed.anchors = std::move(*root);
    }

    /// From now on another key of this TSA signs, with RSA-PSS, which `openssl ts` can't: `openssl cms` does,
    /// over the same TSTInfo. `options`: of that. `key`: what `openssl genpkey` is told to make.
    void sign_with_pss(const std::vector<std::string>& key, const std::vector<std::string>& options) {
        std::vector<std::string> make{"openssl", "genpkey", "-out", at("pss.key")};
        make.insert(make.end(), key.begin(), key.end());
        run_well(make);
        run_well({"openssl", "req", "-new", "-key", at("pss.key"), "-out", at("pss.csr"), "-subj",
                  "/O=Other/CN=Other TSA"});
        run_well({"openssl", "x509", "-req", "-in", at("pss.csr"), "-CA", at("root.pem"), "-CAkey",
                  at("root.key"), "-CAcreateserial", "-days", "365", "-extfile", at("ext.cnf"), "-out",
                  at("pss.pem")});
        pss_ = options;
    }

    /// A time-stamp over this imprint, made now.
    Bytes stamp(pki::Hash hash, const Bytes& imprint) {
        tsp::Request request;
        request.hash_oid = std::string(pki::oid(hash));
        request.imprint = imprint;
        request.cert_req = true;
        REQUIRE(write_file(at("request"), tsp::encode(request)));
        run_well({"openssl", "ts", "-reply", "-config", at("tsa.cnf"), "-queryfile", at("request"), "-out",
                  at("response")});
        const auto octets = read_file(at("response"));
        REQUIRE(octets);
        const auto response = tsp::parse_response(*octets);
        REQUIRE(response);
        REQUIRE(response->granted());
        return pss_.empty() ? *response->token : signed_with_pss(*response->token);
    }

    evidence::Believed believed;

  private:
    Bytes signed_with_pss(const Bytes& token) {
        const auto read = tsp::parse_token(token);
        REQUIRE(read);
        REQUIRE(write_file(at("info"), read->tst_info_der));
        std::vector<std::string> sign{"openssl",
                                      "cms",
                                      "-sign",
                                      "-binary",
                                      "-nodetach",
                                      "-nosmimecap",
                                      "-cades",
                                      "-econtent_type",
                                      "1.2.840.113549.1.9.16.1.4",
                                      "-outform",
                                      "DER",
                                      "-in",
                                      at("info"),
                                      "-signer",
                                      at("pss.pem"),
                                      "-inkey",
                                      at("pss.key"),
                                      "-out",
                                      at("token")};
        sign.insert(sign.end(), pss_.begin(), pss_.end());
        run_well(sign);
        const auto octets = read_file(at("token"));
        REQUIRE(octets);
        return *octets;
    }
    [[nodiscard]] std::string at(const std::string& name) const { return folder_.path + "/" + name; }
    void write(const std::string& name, const std::string& text) { std::ofstream(at(name)) << text; }
    static void run_well(const std::vector<std::string>& command) {
        const auto ran = run(command);
        INFO(ran.output);
        REQUIRE(ran.status == 0);
    }
    const Folder folder_;
    std::vector<std::string> pss_;
};

}  // namespace kokuin::testing
