#include "base/net/server.h"

#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <random>
#include <thread>

#include "tests/net/fixture.h"

using namespace kokuin;
using namespace kokuin::net;
using namespace kokuin::net::test;

namespace {

std::string url(const Server& server, const std::string& path) {
    return "http://127.0.0.1:" + std::to_string(server.port()) + path;
}

// A handler that waits until it is let go, and tells when it was entered.
struct Gate {
    std::mutex mutex;
    std::condition_variable changed;
    bool open = false;
    int inside = 0;
    Response pass() {
        std::unique_lock<std::mutex> lock(mutex);
        ++inside;
        changed.notify_all();
        changed.wait(lock, [this] { return open; });
        return Response::text(200, "passed");
    }
    void wait_for_visitors(int count) {
        std::unique_lock<std::mutex> lock(mutex);
        REQUIRE(changed.wait_for(lock, 20s, [&] { return inside >= count; }));
    }
    void release() {
        const std::lock_guard<std::mutex> lock(mutex);
        open = true;
        changed.notify_all();
    }
};

}  // namespace

TEST_CASE("server: curl gets answers, over HTTP/1.1 and 1.0, with and without keep-alive") {
    auto server = started(options());
    CHECK(must_run("curl -sS " + url(*server, "/hello")) == "hello\n");
    CHECK(must_run("curl -sS --http1.0 " + url(*server, "/hello")) == "hello\n");
    CHECK(must_run("curl -sS -H 'Connection: close' " + url(*server, "/hello")) == "hello\n");
    CHECK(must_run("curl -sS --data-binary abc -H 'Content-Type: a/b' " + url(*server, "/echo")) == "abc");
    CHECK(must_run("printf abc | curl -sS -T - -H 'Transfer-Encoding: chunked' -X POST " +
                   url(*server, "/echo")) == "abc");
    CHECK(must_run("curl -sS -X POST " + url(*server, "/echo")).empty());
    CHECK(must_run("curl -sS -T - " + url(*server, "/put") + " < /dev/null").empty());
    CHECK(must_run("curl -sS " + url(*server, "/p/a%20b")) == "a b\n");
    CHECK(must_run("curl -sS " + url(*server, "/p/fixed")) == "literal\n");
    CHECK(must_run("curl -sS " + url(*server, "/tree/a/b")) == "a/b\n");
    const auto head = must_run("curl -sS -I " + url(*server, "/hello"));
    CHECK(head.starts_with("HTTP/1.1 200 OK\r\n"));
    CHECK(head.find("Content-Length: 6\r\n") != std::string::npos);
    // One connection for three requests, with and without bodies.
    const auto reused = must_run("curl -sS -w '%{num_connects}\\n' " + url(*server, "/hello") + " " +
                                 url(*server, "/hello") + " " + url(*server, "/nothing"));
    CHECK(reused.find("hello\n1\nhello\n0\nThere is nothing here.\n0\n") != std::string::npos);
    // ab, osslsigncode: HTTP/1.0 with keep-alive
    Raw old(server->port());
    for (int i = 0; i < 3; ++i) {
        old.send("GET /hello HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n");
        const auto answer = old.read_answer();
        CHECK(answer.starts_with("HTTP/1.1 200 OK\r\n"));
        CHECK(answer.find("Connection: keep-alive\r\n") != std::string::npos);
    }
}

TEST_CASE("server: what it refuses itself") {
    auto server = started(options());
    const auto status = [&](const std::string& arguments, const std::string& path) {
        return must_run("curl -sS -o /dev/null -w '%{http_code}' " + arguments + ' ' + url(*server, path));
    };
    CHECK(status("", "/nothing") == "404");
    CHECK(status("-X POST", "/hello") == "405");
    CHECK(status("-X BREW", "/hello") == "405");
    CHECK(status("-X OPTIONS", "/hello") == "405");
    CHECK(status("--data x -H 'Content-Type: text/plain'", "/typed") == "415");
    CHECK(status("--data x -H 'Content-Type: APPLICATION/timestamp-query; charset=x'", "/typed") == "200");
    CHECK(status("--data x -H 'Content-Type: multipart/form-data; boundary=x'", "/echo") == "200");
    CHECK(status("--data x -H 'Content-Encoding: gzip'", "/echo") == "415");
    CHECK(status("-H 'Range: bytes=0-1'", "/hello") == "200");
    CHECK(status("--path-as-is", "/tree/../../etc/passwd") == "400");
    CHECK(must_run("curl -sS -i -X POST " + url(*server, "/hello")).find("Allow: GET, HEAD\r\n") !=
          std::string::npos);
    CHECK(server->counters().rejected == 8);
}

TEST_CASE("server: a handler that throws tells nothing of the inside") {
    auto server = started(options());
    const auto answer = must_run("curl -sS -i " + url(*server, "/throw"));
    CHECK(answer.starts_with("HTTP/1.1 500 Internal Server Error\r\n"));
    CHECK(answer.find("secret") == std::string::npos);
    CHECK(answer.find("WHAT") == std::string::npos);
    CHECK(server->counters().failed == 1);
    CHECK(must_run("curl -sS " + url(*server, "/hello")) == "hello\n");
}

TEST_CASE("server: bodies at and above the cap; a megabyte is refused with an answer that arrives") {
    auto server = started(options());
    const auto cap = options().max_body;
    Folder folder;
    must_run("head -c " + std::to_string(cap) + " /dev/zero > " + (folder / "full") + "; head -c " +
             std::to_string(cap + 1) + " /dev/zero > " + (folder / "over") +
             "; head -c 1048577 /dev/zero > " + (folder / "huge"));
    const auto post = [&](const std::string& file, const std::string& arguments,
                          const std::string& path = "/echo") {
        return must_run("curl -sS -o /dev/null -w '%{http_code} %{size_download}' " + arguments +
                        " --data-binary @" + (folder / file) + ' ' + url(*server, path));
    };
    const auto whole = "200 " + std::to_string(cap);
    CHECK(post("full", "") == whole);
    CHECK(post("full", "-H 'Transfer-Encoding: chunked'") == whole);
    CHECK(post("full", "-H 'Expect: 100-continue'") == whole);
    CHECK(post("full", "--http1.0") == whole);
    CHECK(post("over", "") == "413 23");
    CHECK(post("over", "-H 'Transfer-Encoding: chunked'") == "413 23");
    CHECK(post("over", "-H 'Expect: 100-continue'") == "413 23");
    CHECK(post("huge", "-H 'Expect:'") == "413 23");
    CHECK(post("huge", "") == "413 23");
    CHECK(post("huge", "-H 'Expect:' -H 'Transfer-Encoding: chunked'") == "413 23");
    CHECK(post("huge", "-H 'Expect:'", "/nothing") == "404 23");
    CHECK(post("over", "", "/large") == "200 5");
    CHECK(post("huge", "", "/large") == "413 23");

    // A client that doesn't read before it has sent everything.
    Raw raw(server->port());
    raw.send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1048576\r\n\r\n");
    CHECK(raw.send(std::string(1U << 20U, 'x')));
    const auto answer = raw.read_until();
    CHECK(answer.starts_with("HTTP/1.1 413 Payload Too Large\r\n"));
    CHECK(answer.find("Connection: close\r\n") != std::string::npos);
    CHECK(answer.ends_with("The body is too large.\n"));
    // Refused before a single octet of the body came.
    Raw patient(server->port());
    patient.send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n");
    CHECK(patient.read_answer().starts_with("HTTP/1.1 413 "));
}

TEST_CASE("server: heads that are too large or malformed") {
    auto server = started(options());
    const auto answer_to = [&](const std::string& request) {
        Raw raw(server->port());
        raw.send(request);
        raw.finish();
        return raw.read_until().substr(0, 12);
    };
    CHECK(answer_to("GET /hello HTTP/1.1\r\nHost: x\r\nX: " + std::string(20000, 'x')) == "HTTP/1.1 431");
    CHECK(answer_to("GET /hello HTTP/1.1\r\nHost: x\r\nX: " + std::string(16400, 'x') + "\r\n\r\n") ==
          "HTTP/1.1 431");
    CHECK(answer_to("GET /" + std::string(3000, 'x') + " HTTP/1.1\r\nHost: x\r\n\r\n") == "HTTP/1.1 414");
    CHECK(answer_to("\r\n\r\n" + hello) == "HTTP/1.1 200");
    CHECK(answer_to("GET /hello HTTP/1.1\nHost: x\n\n") == "HTTP/1.1 400");
    CHECK(answer_to(
              "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n") ==
          "HTTP/1.1 400");
    const std::string chunked = "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    CHECK(answer_to(chunked + "3\r\nabc\r\n0\r\n\r\n") == "HTTP/1.1 200");
    CHECK(answer_to(chunked + "x\r\nabc\r\n0\r\n\r\n") == "HTTP/1.1 400");
    CHECK(answer_to(chunked + "ffffffffffffffff\r\n") == "HTTP/1.1 400");
    CHECK(answer_to(chunked + "-5\r\n" + std::string(100000, 'x')) == "HTTP/1.1 413");
    CHECK(answer_to(chunked + std::string(1U << 20U, 'x')) == "HTTP/1.1 413");
    CHECK(answer_to("SSH-2.0-x\r\n\r\n") == "HTTP/1.1 400");
    CHECK(answer_to("").empty());
}

TEST_CASE("server: pipelined requests are answered in order") {
    auto server = started(options());
    Raw raw(server->port());
    std::string all;
    for (int i = 0; i < 50; ++i) {
        all += "GET /p/" + std::to_string(i) + " HTTP/1.1\r\nHost: x\r\n\r\n";
        all += "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nb" + std::to_string(i % 10);
        all += "POST /nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nxx";
    }
    raw.send(all);
    for (int i = 0; i < 50; ++i) {
        CHECK(raw.read_answer().ends_with("\r\n\r\n" + std::to_string(i) + '\n'));
        CHECK(raw.read_answer().ends_with("\r\n\r\nb" + std::to_string(i % 10)));
        CHECK(raw.read_answer().starts_with("HTTP/1.1 404 "));
    }
}

TEST_CASE("server: thousands of requests on one connection don't wait for Nagle") {
    auto server = started(options());
    Raw raw(server->port());
    const auto before = std::chrono::steady_clock::now();
    for (int i = 0; i < 2000; ++i) {
        raw.send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n");
        raw.send("abc");
        REQUIRE(raw.read_answer().ends_with("\r\n\r\nabc"));
    }
    // With Nagle and delayed ACKs each takes 40 ms: 80 s.
    CHECK(std::chrono::steady_clock::now() - before < 40s);
    CHECK(server->counters().accepted == 1);
    CHECK(server->counters().requests == 2000);
}

TEST_CASE("server: slow senders are cut at their deadline, and others are served meanwhile") {
    auto with = options();
    with.request_deadline = 300ms;
    auto server = started(with);
    SECTION("in the head, octet by octet") {
        Raw slow(server->port());
        std::string got;
        std::thread sender([&] {
            // Far longer than the deadline allows; ends when the server has closed.
            const std::string request = "GET /hello HTTP/1.1\r\nHost: x\r\nX: " + std::string(4000, 'x');
            for (const char c : request) {
                if (!slow.send({&c, 1})) break;
                std::this_thread::sleep_for(5ms);
                if (server->counters().timed_out > 0) break;
            }
        });
        got = slow.read_until();
        sender.join();
        CHECK(got.starts_with("HTTP/1.1 408 Request Timeout\r\n"));
    }
    SECTION("in the body") {
        Raw slow(server->port());
        slow.send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc");
        CHECK(must_run("curl -sS " + url(*server, "/hello")) == "hello\n");
        CHECK(slow.read_until().starts_with("HTTP/1.1 408 Request Timeout\r\n"));
    }
    SECTION("in a chunked body") {
        Raw slow(server->port());
        slow.send("POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab");
        CHECK(slow.read_until().starts_with("HTTP/1.1 408 Request Timeout\r\n"));
    }
    CHECK(server->counters().timed_out == 1);
}

TEST_CASE("server: a client that doesn't take its answer is cut at the deadline") {
    auto with = options();
    with.response_deadline = 200ms;
    auto router = make_router();
    router->add("GET", "/flood", [](const Request&) {
        return Response::octets(200, "a/b", Bytes(64U << 20U));  // more than any socket buffer
    });
    auto server = started(with, router);
    Raw raw(server->port());
    raw.send("GET /flood HTTP/1.1\r\nHost: x\r\n\r\n");
    wait_until([&] { return server->counters().timed_out == 1 && server->counters().connections == 0; });
}

TEST_CASE("server: idle connections cost no thread, and are closed when their time is over") {
    raise_file_limit();
    auto with = options();
    with.max_threads = 4;
    auto server = started(with);
    std::vector<std::unique_ptr<Raw>> idle;
    for (int i = 0; i < 300; ++i) {
        idle.push_back(std::make_unique<Raw>(server->port()));
        if (i % 2 == 0) {
            idle.back()->send(hello);
            REQUIRE(idle.back()->read_answer().ends_with("hello\n"));
        }
    }
    wait_until([&] { return server->counters().connections == 300; });
    CHECK(server->counters().threads <= 4);
    for (int i = 0; i < 20; ++i) {
        Raw good(server->port());
        good.send(hello);
        CHECK(good.read_answer().ends_with("hello\n"));
    }
    for (auto& raw : idle) {
        raw->send(hello);
        CHECK(raw->read_answer().ends_with("hello\n"));
    }

    with.idle_timeout = 100ms;
    auto impatient = started(with);
    Raw first(impatient->port());
    Raw second(impatient->port());
    second.send(hello);
    CHECK(second.read_answer().ends_with("hello\n"));
    CHECK(first.read_until().empty());
    CHECK(second.read_until().empty());
    wait_until([&] { return impatient->counters().connections == 0; });
}

TEST_CASE("server: a connection's lifetime ends with an answer") {
    auto with = options();
    with.connection_lifetime = 1ns;
    auto server = started(with);
    std::string answer;
    while (answer.empty() || answer == "[reset]") {  // over before the request came
        Raw raw(server->port());
        raw.send(hello);
        answer = raw.read_until();
    }
    CHECK(answer.find("Connection: close\r\n") != std::string::npos);
}

TEST_CASE("server: when there are too many connections, the one idle for longest makes room") {
    auto with = options();
    with.max_connections = 3;
    auto server = started(with);
    std::vector<std::unique_ptr<Raw>> clients;
    for (int i = 0; i < 3; ++i) {
        clients.push_back(std::make_unique<Raw>(server->port()));
        clients.back()->send(hello);
        REQUIRE(clients.back()->read_answer().ends_with("hello\n"));
        wait_until([&] { return server->counters().active == 0; });  // it is idle now, after those before
    }
    Raw fourth(server->port());
    fourth.send(hello);
    CHECK(fourth.read_answer().ends_with("hello\n"));
    CHECK(clients[0]->read_until().empty());
    CHECK(server->counters().evicted == 1);
}

TEST_CASE("server: when none is idle, new connections wait until one is gone") {
    auto gate = std::make_shared<Gate>();
    auto router = make_router();
    router->add("GET", "/gate", [gate](const Request&) { return gate->pass(); });
    auto with = options();
    with.max_connections = 2;
    auto server = started(with, router);
    const std::string enter = "GET /gate HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    Raw first(server->port());
    Raw second(server->port());
    first.send(enter);
    second.send(enter);
    gate->wait_for_visitors(2);
    Raw third(server->port());
    third.send(hello);
    gate->release();
    CHECK(third.read_answer().ends_with("hello\n"));
    CHECK(first.read_until().ends_with("passed\n"));
    CHECK(second.read_until().ends_with("passed\n"));
}

TEST_CASE("server: caps count by address, and leave loopback alone") {
    Peer peer;
    peer.address = "192.0.2.7";
    CHECK(cap_key(peer) == "192.0.2.7");
    peer.address = "127.0.0.9";
    CHECK(cap_key(peer).empty());
    peer.address = "::1";
    CHECK(cap_key(peer).empty());
    peer.address = "";
    CHECK(cap_key(peer).empty());
    peer.address = "2001:db8:0:1::5";
    const auto one = cap_key(peer);
    peer.address = "2001:db8:0:1:ffff::6";
    CHECK(cap_key(peer) == one);
    peer.address = "2001:db8:0:2::5";
    CHECK(cap_key(peer) != one);
}

TEST_CASE("server: a cap per address refuses what is above it") {
    // Needs an address of this machine that is not loopback.
    const auto addresses = must_run("hostname -I || true");
    const auto address = addresses.substr(0, addresses.find_first_of(" \n"));
    if (address.empty()) {
        WARN("this machine has no address but loopback: not tried");
        return;
    }
    auto with = options();
    with.address = address;
    with.max_connections_per_address = 2;
    auto server = started(with);
    Raw first(server->port(), address);
    Raw second(server->port(), address);
    wait_until([&] { return server->counters().connections == 2; });
    Raw third(server->port(), address);
    CHECK(third.read_until().empty());
    CHECK(server->counters().refused == 1);
    first.finish();
    wait_until([&] { return server->counters().connections == 1; });
    Raw fourth(server->port(), address);
    fourth.send(hello);
    CHECK(fourth.read_answer().ends_with("hello\n"));
}

TEST_CASE("server: a port that is taken is told in one line") {
    auto first = started(options());
    auto with = options();
    with.port = first->port();
    Server second(with, make_router());
    const auto done = second.start();
    REQUIRE_FALSE(done.ok());
    CHECK(done.error().kind == Error::Kind::environment);
    CHECK(done.error().text ==
          "listener test: 127.0.0.1:" + std::to_string(first->port()) +
              ": the port is taken by another process; stop that one (ss -ltnp shows which) or "
              "configure another port");
    first->stop();
    // At once again, though connections of the first are in TIME_WAIT.
    auto third = started(with);
    CHECK(must_run("curl -sS " + url(*third, "/hello")) == "hello\n");

    with.address = "192.0.2.1";
    CHECK(Server(with, make_router()).start().error().text.find("not an address of this machine") !=
          std::string::npos);
    with.address = "example";
    CHECK(Server(with, make_router()).start().error().kind == Error::Kind::usage);
}

TEST_CASE("server: IPv6") {
    auto with = options();
    with.address = "::1";
    Server server(with, make_router());
    if (const auto done = server.start(); !done) {
        WARN("no IPv6 here: " + done.error().text);
        return;
    }
    CHECK(must_run("curl -sS http://[::1]:" + std::to_string(server.port()) + "/peer") ==
          "address=::1 encrypted=0\n");
}

TEST_CASE("server: a Unix socket knows its peer, is private, and replaces only what is dead") {
    Folder folder;
    auto with = options();
    with.unix_path = folder / "s.sock";
    auto server = started(with);
    struct stat there {};
    REQUIRE(::stat(with.unix_path.c_str(), &there) == 0);
    CHECK((there.st_mode & 0777) == 0600);
    CHECK(must_run("curl -sS --unix-socket " + with.unix_path + " http://x/peer") ==
          "address= encrypted=0 uid=" + std::to_string(::getuid()) + '\n');
    const auto refused = Server(with, make_router()).start();
    REQUIRE_FALSE(refused.ok());
    CHECK(refused.error().text.find("another process listens on this socket") != std::string::npos);
    CHECK(must_run("curl -sS --unix-socket " + with.unix_path + " http://x/hello") == "hello\n");
    server->stop();
    CHECK(::stat(with.unix_path.c_str(), &there) != 0);

    { auto abandoned = listen_unix(with.unix_path); }  // closed, not removed: as after kill -9
    REQUIRE(::stat(with.unix_path.c_str(), &there) == 0);
    auto again = started(with);
    CHECK(must_run("curl -sS --unix-socket " + with.unix_path + " http://x/hello") == "hello\n");

    // Its folder is made, for its user alone; the one above is not.
    with.unix_path = folder / "run/s.sock";
    {
        auto server_in_run = started(with);
        CHECK(must_run("stat -c %a " + (folder / "run")) == "700\n");
        CHECK(must_run("curl -sS --unix-socket " + with.unix_path + " http://x/hello") == "hello\n");
    }
    with.unix_path = folder / "no/run/s.sock";
    const auto nowhere = Server(with, make_router()).start();
    REQUIRE_FALSE(nowhere.ok());
    CHECK(nowhere.error().kind == Error::Kind::usage);
    CHECK(nowhere.error().text.find("the folder above " + (folder / "no/run") + " is missing") !=
          std::string::npos);

    with.unix_path = folder / "file";
    must_run("echo precious > " + with.unix_path);
    CHECK_FALSE(Server(with, make_router()).start().ok());
    CHECK(must_run("cat " + with.unix_path) == "precious\n");
    with.unix_path = folder / std::string(200, 'x');
    CHECK(Server(with, make_router()).start().error().text.find("too long") != std::string::npos);
    with.unix_path = folder / "no/such/s.sock";
    CHECK_FALSE(Server(with, make_router()).start().ok());
}

TEST_CASE("server: stop lets what is in flight finish, closes what is idle, and takes nothing new") {
    auto gate = std::make_shared<Gate>();
    auto router = make_router();
    router->add("GET", "/gate", [gate](const Request&) { return gate->pass(); });
    auto with = options();
    with.stop_grace = 300ms;
    auto server = started(with, router);
    const auto port = server->port();
    Raw idle(port);
    idle.send(hello);
    REQUIRE(idle.read_answer().ends_with("hello\n"));
    Raw fresh(port);
    Raw flying(port);
    flying.send("GET /gate HTTP/1.1\r\nHost: x\r\n\r\n");
    Raw slow(port);
    slow.send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc");
    gate->wait_for_visitors(1);
    wait_until([&] { return server->counters().connections == 4; });

    std::thread stopper([&] { server->stop(); });
    // Idle ones are closed at once, while another is in flight.
    CHECK(idle.read_until().empty());
    CHECK(fresh.read_until().empty());
    CHECK_FALSE(connect_tcp("127.0.0.1", port, deadline_in(5s)).ok());
    // The one that never ends its request is cut after the grace.
    const auto cut = slow.read_until();
    CHECK((cut.empty() || cut == "[reset]" || cut.starts_with("HTTP/1.1 400 ")));
    gate->release();
    const auto answer = flying.read_until();
    CHECK(answer.ends_with("passed\n"));
    CHECK(answer.find("Connection: close\r\n") != std::string::npos);
    stopper.join();
    CHECK(server->counters().connections == 0);
    CHECK(server->counters().threads == 0);
    server->stop();  // twice is once
}

TEST_CASE("server: no request that was sent before the stop is lost") {
    for (int round = 0; round < 20; ++round) {
        auto server = started(options());
        std::vector<std::unique_ptr<Raw>> clients;
        for (int i = 0; i < 50; ++i) clients.push_back(std::make_unique<Raw>(server->port()));
        for (auto& client : clients) client->send(hello);
        server->stop();
        for (auto& client : clients) CHECK(client->read_until().ends_with("hello\n"));
    }
}

TEST_CASE("server: garbage never brings it down") {
    auto with = options();
    auto server = started(with);
    std::mt19937 random(20261123);  // the same inputs each time
    const std::string model =
        "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Type: a/b\r\nContent-Length: 5\r\nExpect: "
        "100-continue\r\n\r\nhello";
    const std::string chunked =
        "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n0\r\n\r\n";
    for (int i = 0; i < 1000; ++i) {
        std::string input;
        switch (i % 4) {
            case 0:  // random octets
                for (auto n = random() % 2000; n > 0; --n) input += static_cast<char>(random());
                break;
            case 1:  // a prefix
                input = (i % 8 == 1 ? model : chunked);
                input.resize(random() % input.size());
                break;
            case 2:  // changed octets
                input = (i % 8 == 2 ? model : chunked);
                for (int n = 0; n < 3; ++n) input[random() % input.size()] = static_cast<char>(random());
                break;
            default:  // pieces in any order
                for (int n = 0; n < 10; ++n) {
                    const auto& from = random() % 2 ? model : chunked;
                    const auto at = random() % from.size();
                    input += from.substr(at, random() % 40);
                }
        }
        Raw raw(server->port());
        raw.send(input);
        raw.finish();
        const auto answer = raw.read_until();
        INFO(input);
        CHECK((answer.empty() || answer == "[reset]" || answer.starts_with("HTTP/1.1 ")));
    }
    Raw good(server->port());
    good.send(hello);
    CHECK(good.read_answer().ends_with("hello\n"));
}

TEST_CASE("server: many clients at once, each with its own answers") {
    auto server = started(options());
    std::atomic<int> wrong{0};
    std::vector<std::thread> clients;
    for (int c = 0; c < 16; ++c) {
        clients.emplace_back([&, c] {
            for (int round = 0; round < 5; ++round) {
                Raw raw(server->port());
                for (int i = 0; i < 40; ++i) {
                    const auto body = std::to_string(c) + '-' + std::to_string(i);
                    raw.send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: " +
                             std::to_string(body.size()) + "\r\n\r\n" + body);
                    if (!raw.read_answer().ends_with("\r\n\r\n" + body)) ++wrong;
                }
            }
        });
    }
    for (auto& client : clients) client.join();
    CHECK(wrong == 0);
    CHECK(server->counters().requests == 16 * 5 * 40);
}

namespace {
// A wall clock that stands where it is put.
class SetClock final : public WallClock {
  public:
    [[nodiscard]] WallTime now() const override { return from_unix_us(us_); }
    void set(std::string_view rfc3339) { us_ = to_unix_us(*from_rfc3339(rfc3339)); }

  private:
    std::atomic<std::int64_t> us_{0};
};
}  // namespace

// RFC 9110 6.6.1: an origin server with a clock MUST send Date in 2xx, 3xx and 4xx; 5.6.7 has the form.
TEST_CASE("server: every answer has the date, by the clock it was given") {
    SetClock clock;
    auto with = options();
    with.wall_clock = &clock;
    auto server = started(with);
    Raw raw(server->port());
    const auto date_of = [&](const std::string& request) {
        raw.send(request);
        const auto answer = raw.read_answer();
        const auto at = answer.find("\r\nDate: ");
        REQUIRE(at != std::string::npos);
        CHECK(answer.find("\r\nDate: ", at + 1) == std::string::npos);
        return answer.substr(at + 8, answer.find("\r\n", at + 2) - at - 8);
    };
    clock.set("1994-11-06T08:49:37.999Z");
    CHECK(date_of(hello) == "Sun, 06 Nov 1994 08:49:37 GMT");
    clock.set("1994-11-06T08:49:38Z");
    CHECK(date_of(hello) == "Sun, 06 Nov 1994 08:49:38 GMT");
    // Back again, as a clock may be set; a leap day; refusals of the router and of the server itself.
    clock.set("1994-11-06T08:49:37Z");
    CHECK(date_of(hello) == "Sun, 06 Nov 1994 08:49:37 GMT");
    clock.set("2028-02-29T23:59:59Z");
    CHECK(date_of("GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n") == "Tue, 29 Feb 2028 23:59:59 GMT");
    clock.set("2028-03-01T00:00:00Z");
    CHECK(date_of("GET /hello HTTP/1.1\r\n\r\n") == "Wed, 01 Mar 2028 00:00:00 GMT");
}
