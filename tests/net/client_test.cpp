#include "base/net/client.h"

#include <poll.h>
#include <sys/socket.h>

#include <thread>

#include "tests/net/fixture.h"

using namespace kokuin;
using namespace kokuin::net;
using namespace kokuin::net::test;

namespace {

Client client(std::uint16_t port, std::size_t max_response = 1U << 20U) {
    ClientOptions with;
    with.host = "127.0.0.1";
    with.port = port;
    with.max_response = max_response;
    auto made = Client::make(with);
    if (!made) FAIL(made.error().text);
    return std::move(*made);
}

// A server that answers one connection with these octets, whatever it is asked, and then closes (or doesn't).
class Liar {
  public:
    explicit Liar(std::string answer, bool close = true) {
        auto listener = listen_tcp("127.0.0.1", 0);
        if (!listener) FAIL(listener.error().text);
        listener_ = std::move(*listener);
        port_ = bound_port(listener_.get());
        thread_ = std::thread([this, answer = std::move(answer), close] {
            if (wait_for(listener_.get(), POLLIN, deadline_in(20s)) != Waited::ready) return;
            Fd fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
            char buffer[4096];
            static_cast<void>(!::recv(fd.get(), buffer, sizeof buffer, 0));
            std::string_view rest = answer;
            while (!rest.empty()) {
                const auto n = ::send(fd.get(), rest.data(), rest.size(), MSG_NOSIGNAL);
                if (n < 0) return;
                rest.remove_prefix(static_cast<std::size_t>(n));
            }
            if (close) return;
            while (::recv(fd.get(), buffer, sizeof buffer, 0) > 0) {
            }
        });
    }
    ~Liar() { thread_.join(); }
    [[nodiscard]] std::uint16_t port() const { return port_; }

  private:
    Fd listener_;
    std::uint16_t port_ = 0;
    std::thread thread_;
};

std::string fault_of(const std::string& answer, std::size_t max_response = 1U << 20U) {
    Liar liar(answer);
    const auto got = client(liar.port(), max_response).request(get("/"), 20s);
    return got ? "ok: " + as_text(got->body) : got.error().text;
}

}  // namespace

TEST_CASE("client: requests of all kinds, on one connection and on many") {
    auto server = started(options());
    const auto there = client(server->port());
    auto connection = there.connect(20s);
    REQUIRE(connection.ok());
    Call post;
    post.method = "POST";
    post.path = "/echo";
    post.content_type = "application/timestamp-query";
    post.body = Bytes{0, 1, 2, 255, '\r', '\n'};
    const auto answer = connection->request(post, 20s);
    REQUIRE(answer.ok());
    CHECK(answer->status == 200);
    CHECK(answer->content_type == "application/timestamp-query");
    CHECK(answer->body == post.body);
    CHECK(connection->request(get("/nothing"), 20s)->status == 404);
    CHECK(as_text(connection->request(get("/p/a%20b?q=1"), 20s)->body) == "a b\n");
    Call head = get("/hello");
    head.method = "HEAD";
    CHECK(connection->request(head, 20s)->body.empty());
    CHECK(as_text(connection->request(get("/hello"), 20s)->body) == "hello\n");
    post.body.assign(1U << 20U, 0);
    CHECK(connection->request(post, 20s)->status == 413);
    CHECK_FALSE(connection->open());
    CHECK_FALSE(connection->request(get("/hello"), 20s).ok());
    CHECK(server->counters().accepted == 1);
    CHECK(there.request(get("/hello"), 20s).ok());
    CHECK(there.request(get("/a b"), 20s).error().kind == Error::Kind::usage);
    CHECK(there.request(get("/a\r\nX: y"), 20s).error().kind == Error::Kind::usage);
}

TEST_CASE("client: Unix socket") {
    Folder folder;
    auto with = options();
    with.unix_path = folder / "s.sock";
    auto server = started(with);
    ClientOptions to;
    to.unix_path = with.unix_path;
    const auto there = Client::make(to);
    REQUIRE(there.ok());
    CHECK(there->where() == "unix:" + with.unix_path);
    CHECK(as_text(there->request(get("/hello"), 20s)->body) == "hello\n");
    server->stop();
    CHECK(there->request(get("/hello"), 20s).error().text ==
          with.unix_path + ": nobody listens there; is the server running?");
}

TEST_CASE("client: nobody there, nobody answers") {
    std::uint16_t port = 0;
    {
        auto listener = listen_tcp("127.0.0.1", 0);
        port = bound_port(listener->get());
        const auto silent = client(port).request(get("/"), 200ms);
        REQUIRE_FALSE(silent.ok());
        CHECK(silent.error().text.find("timed out after ") != std::string::npos);
        CHECK(silent.error().kind == Error::Kind::environment);
    }
    CHECK(client(port).request(get("/"), 20s).error().text ==
          "127.0.0.1:" + std::to_string(port) +
              ": connection refused; is the server running, and is this its port?");
    ClientOptions unknown;
    unknown.host = "no-such-host.invalid";
    unknown.port = 1;
    CHECK(Client::make(unknown)->request(get("/"), 20s).error().text.find("can't be resolved") !=
          std::string::npos);
}

TEST_CASE("client: answers that lie, break off or never end") {
    CHECK(fault_of("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab") == "ok: ab");
    CHECK(fault_of("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab") ==
          "ok: ab");
    CHECK(fault_of("HTTP/1.0 200 OK\r\n\r\nuntil closed") == "ok: until closed");
    CHECK(fault_of("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n") == "ok: ab");
    CHECK(fault_of("").find("without a whole answer") != std::string::npos);
    CHECK(fault_of("HTTP/1.1 200 OK\r\nContent-Le").find("without a whole answer") != std::string::npos);
    CHECK(fault_of("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab").find("without a whole answer") !=
          std::string::npos);
    CHECK(fault_of("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab")
              .find("without a whole answer") != std::string::npos);
    CHECK(fault_of("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nab")
              .find("its body is malformed") != std::string::npos);
    CHECK(fault_of("SSH-2.0-OpenSSH\r\n\r\n").find("can't be used") != std::string::npos);
    CHECK(fault_of("HTTP/1.1 200 " + std::string(200000, 'x') + "\r\n\r\n", 4096).find("too long") !=
          std::string::npos);
    CHECK(fault_of("HTTP/1.1 200 " + std::string(200000, 'x') + "\r\n\r\n").starts_with("ok: "));
    CHECK(fault_of("HTTP/1.1 200 OK\r\nContent-Length: 999999\r\n\r\n", 100).find("larger than 100 octets") !=
          std::string::npos);
    CHECK(fault_of("HTTP/1.0 200 OK\r\n\r\n" + std::string(101, 'x'), 100).find("larger than 100 octets") !=
          std::string::npos);
    CHECK(fault_of("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffff\r\n" + std::string(65535, 'x'),
                   100)
              .find("larger than 100 octets") != std::string::npos);
    CHECK(fault_of("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + std::string(100000, '0'), 100)
              .find("larger than 100 octets") != std::string::npos);
    Liar never("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab", false);
    CHECK(client(never.port()).request(get("/"), 300ms).error().text.find("timed out after ") !=
          std::string::npos);
}
