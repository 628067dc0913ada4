#include <thread>

#include "base/net/client.h"
#include "base/net/server.h"
#include "tests/net/fixture.h"

using namespace kokuin;
using namespace kokuin::net;
using namespace kokuin::net::test;

namespace {

ServerOptions tls_options(bool client_certificate) {
    auto out = options();
    out.tls =
        ServerTls{pki() / "server.pem", pki() / "server.key", client_certificate ? pki() / "root.pem" : ""};
    return out;
}

ClientOptions client_options(const Server& server, const std::string& certificate = "") {
    ClientOptions out;
    out.host = "127.0.0.1";
    out.port = server.port();
    out.tls = ClientTls{pki() / "root.pem", "127.0.0.1", "", ""};
    if (!certificate.empty()) {
        out.tls->certificate = pki() / (certificate + ".pem");
        out.tls->key = pki() / (certificate + ".key");
    }
    return out;
}

Client client(const ClientOptions& with) {
    auto made = Client::make(with);
    if (!made) FAIL(made.error().text);
    return std::move(*made);
}

}  // namespace

TEST_CASE("tls: curl and our client, by address and by name") {
    auto server = started(tls_options(false));
    const auto port = std::to_string(server->port());
    const auto curl = "curl -sS --cacert " + (pki() / "root.pem") + ' ';
    CHECK(must_run(curl + "https://localhost:" + port + "/hello") == "hello\n");
    CHECK(must_run(curl + "https://127.0.0.1:" + port + "/peer") == "address=127.0.0.1 encrypted=1\n");
    CHECK(must_run(curl + "--tls-max 1.2 https://127.0.0.1:" + port + "/hello") == "hello\n");
    CHECK(must_run(curl + "--data-binary @/bin/true -o /dev/null -w '%{http_code}' https://127.0.0.1:" +
                   port + "/echo") == "413");
    CHECK(run("curl -sS https://localhost:" + port + "/hello").status == 60);

    auto by_name = client_options(*server);
    by_name.tls->expected_name = "localhost";
    for (const auto& with : {client_options(*server), by_name}) {
        const auto answer = client(with).request(get("/hello"), 20s);
        REQUIRE(answer.ok());
        CHECK(as_text(answer->body) == "hello\n");
    }
}

TEST_CASE("tls: old versions and weak suites are refused") {
    auto server = started(tls_options(false));
    const auto connect =
        "openssl s_client -connect 127.0.0.1:" + std::to_string(server->port()) + " < /dev/null ";
    CHECK(run(connect + "-tls1_1 -cipher DEFAULT@SECLEVEL=0").status != 0);
    CHECK(run(connect + "-tls1_2 -cipher ECDHE-ECDSA-AES256-SHA").status != 0);
    CHECK(run(connect + "-tls1_2 -cipher ECDHE-ECDSA-CHACHA20-POLY1305").status != 0);
    CHECK(run(connect + "-tls1_3 -ciphersuites TLS_CHACHA20_POLY1305_SHA256").status != 0);
    CHECK(run(connect + "-tls1_2").status == 0);
    CHECK(run(connect + "-tls1_3").status == 0);
    wait_until([&] { return server->counters().handshake_failed == 4; });
}

TEST_CASE("tls: a client certificate is demanded, checked and shown") {
    auto server = started(tls_options(true));
    const auto fingerprint = must_run("openssl x509 -in " + (pki() / "client.pem") +
                                      " -outform DER | openssl dgst -sha256 -r | cut -d' ' -f1");
    const auto right = client(client_options(*server, "client"));
    const auto answer = right.request(get("/peer"), 20s);
    REQUIRE(answer.ok());
    CHECK(as_text(answer->body) ==
          "address=127.0.0.1 encrypted=1 cn=tsu-1 dns=tsu-1.example sha256=" + fingerprint);
    for (const auto* version : {"--tlsv1.3", "--tls-max 1.2"}) {
        INFO(version);
        const auto curl = "curl -sS " + std::string(version) + " --cacert " + (pki() / "root.pem") +
                          " https://localhost:" + std::to_string(server->port()) + "/peer ";
        CHECK(must_run(curl + "--cert " + (pki() / "client.pem") + " --key " + (pki() / "client.key")) ==
              as_text(answer->body));
        CHECK(run(curl).status != 0);
        CHECK(
            run(curl + "--cert " + (pki() / "stranger.pem") + " --key " + (pki() / "stranger.key")).status !=
            0);
    }
    const auto none = client(client_options(*server)).request(get("/peer"), 20s);
    REQUIRE_FALSE(none.ok());
    CHECK(none.error().text.find("the server refused us (it may demand a client certificate)") !=
          std::string::npos);
    const auto stranger = client(client_options(*server, "stranger")).request(get("/peer"), 20s);
    REQUIRE_FALSE(stranger.ok());
    CHECK(stranger.error().text.find("the server refused our certificate") != std::string::npos);
    CHECK(server->counters().requests == 3);
}

TEST_CASE("tls: the client refuses servers that are not the right one") {
    auto server = started(tls_options(false));
    auto with = client_options(*server);
    with.tls->expected_name = "taa.example";
    const auto named = client(with).request(get("/hello"), 20s);
    REQUIRE_FALSE(named.ok());
    CHECK(named.error().text ==
          "https://127.0.0.1:" + std::to_string(server->port()) +
              ": TLS: the server's certificate is for localhost, 127.0.0.1, not for taa.example");
    with.tls->expected_name = "127.0.0.2";
    CHECK(client(with).request(get("/hello"), 20s).error().text.find("not for 127.0.0.2") !=
          std::string::npos);
    // The subject's CN is no name.
    with.tls->expected_name = "server";
    CHECK_FALSE(client(with).request(get("/hello"), 20s).ok());
    with = client_options(*server);
    with.tls->ca = pki() / "other-root.pem";
    const auto untrusted = client(with).request(get("/hello"), 20s);
    REQUIRE_FALSE(untrusted.ok());
    CHECK(untrusted.error().text.find("the server's certificate is not trusted") != std::string::npos);
    CHECK(server->counters().requests == 0);

    auto plain = started(options());
    with = client_options(*plain);
    CHECK(client(with).request(get("/hello"), 20s).error().text.find("TLS: wrong version number") !=
          std::string::npos);
}

TEST_CASE("tls: files that can't be used are named") {
    Folder folder;
    must_run("echo nothing > " + (folder / "junk.pem") + "; openssl pkey -in " + (pki() / "server.key") +
             " -aes128 -passout pass:x -out " + (folder / "locked.key"));
    const auto start = [](const ServerTls& tls) {
        auto with = options();
        with.tls = tls;
        const auto done = Server(with, make_router()).start();
        return done ? std::string("started") : done.error().text;
    };
    const auto certificate = pki() / "server.pem";
    const auto key = pki() / "server.key";
    CHECK(start({certificate, key, ""}) == "started");
    CHECK(start({folder / "none.pem", key, ""}) ==
          "listener test: " + (folder / "none.pem") +
              ": the TLS certificate can't be read: No such file or directory");
    CHECK(start({certificate, folder / "none.key", ""}) ==
          "listener test: " + (folder / "none.key") +
              ": the TLS key can't be read: No such file or directory");
    CHECK(start({folder / "junk.pem", key, ""}).find("junk.pem: no usable PEM certificate in it") !=
          std::string::npos);
    CHECK(start({certificate, folder / "junk.pem", ""}).find("no usable PEM private key in it") !=
          std::string::npos);
    CHECK(start({certificate, folder / "locked.key", ""}).find("must not be encrypted") != std::string::npos);
    CHECK(start({certificate, pki() / "client.key", ""}) ==
          "listener test: " + (pki() / "client.key") + ": this key does not belong to the certificate in " +
              certificate);
    CHECK(start({certificate, key, folder / "junk.pem"}).find("no usable PEM certificate of a CA") !=
          std::string::npos);
    ClientOptions with;
    with.host = "127.0.0.1";
    with.port = 1;
    with.tls = ClientTls{folder / "none.pem", "x", "", ""};
    CHECK(Client::make(with).error().text.find("CA file can't be read") != std::string::npos);
}

TEST_CASE("tls: many requests on one connection, and idle ones in between") {
    auto server = started(tls_options(true));
    auto connection = client(client_options(*server, "client")).connect(20s);
    REQUIRE(connection.ok());
    CHECK(connection->peer()->common_name == "server");
    for (int i = 0; i < 300; ++i) {
        Call call;
        call.method = "POST";
        call.path = "/echo";
        call.body = Bytes(static_cast<std::size_t>(i * 20), static_cast<std::uint8_t>(i));
        const auto answer = connection->request(call, 20s);
        REQUIRE(answer.ok());
        REQUIRE(answer->body == call.body);
        if (i % 100 == 50)
            wait_until([&] { return server->counters().active == 0; });  // it idles in epoll now
    }
    CHECK(server->counters().accepted == 1);
}

TEST_CASE("tls: a handshake that doesn't end is cut; garbage, too") {
    auto with = tls_options(false);
    with.handshake_deadline = 200ms;
    auto server = started(with);
    Raw slow(server->port());
    slow.send(std::string("\x16\x03\x01\x02\x00\x01", 6));
    static_cast<void>(slow.read_until());
    Raw garbage(server->port());
    garbage.send("GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
    static_cast<void>(garbage.read_until());
    wait_until([&] { return server->counters().handshake_failed == 2; });
    const auto answer = client(client_options(*server)).request(get("/hello"), 20s);
    CHECK(answer.ok());
}

TEST_CASE("tls: stop closes idle connections and ends") {
    auto server = started(tls_options(false));
    auto connection = client(client_options(*server)).connect(20s);
    REQUIRE(connection.ok());
    REQUIRE(connection->request(get("/hello"), 20s).ok());
    server->stop();
    const auto answer = connection->request(get("/hello"), 20s);
    CHECK_FALSE(answer.ok());
    CHECK_FALSE(connection->open());
}
