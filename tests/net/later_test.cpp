// Handlers that answer later, and workers that are fewer than the requests.
#include <atomic>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "tests/net/fixture.h"

using namespace kokuin;
using namespace kokuin::net;
using namespace kokuin::net::test;

namespace {

std::string post(const std::string& path, const std::string& body, const std::string& fields = "") {
    return "POST " + path + " HTTP/1.1\r\nHost: x\r\n" + fields +
           "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

// Keeps requests until the test answers them.
class Desk {
  public:
    LaterHandler handler() {
        return [this](const Request& request, const Reply& reply) {
            const std::lock_guard lock(mutex_);
            kept_.emplace_back(as_text(request.body), reply);
        };
    }
    std::size_t kept() {
        const std::lock_guard lock(mutex_);
        return kept_.size();
    }
    // Takes the oldest.
    std::pair<std::string, Reply> take() {
        const std::lock_guard lock(mutex_);
        auto out = kept_.front();
        kept_.erase(kept_.begin());
        return out;
    }

  private:
    std::mutex mutex_;
    std::vector<std::pair<std::string, Reply>> kept_;
};

// A handler that holds its thread until it is let go.
class Barrier {
  public:
    Response pass() {
        ++inside;
        open.wait(false);
        return Response::text(200, "passed");
    }
    void release() {
        open = true;
        open.notify_all();
    }
    std::atomic<int> inside{0};
    std::atomic<bool> open{false};
};

}  // namespace

TEST_CASE("later: requests that wait for their answer hold no thread") {
    Desk desk;
    auto router = make_router();
    router->add_later("POST", "/later", desk.handler());
    auto with = options();
    with.max_threads = 2;
    auto server = started(with, router);
    std::vector<std::unique_ptr<Raw>> clients;
    for (int i = 0; i < 50; ++i) {
        clients.push_back(std::make_unique<Raw>(server->port()));
        clients.back()->send(post("/later", std::to_string(i)));
        wait_until([&] { return desk.kept() == static_cast<std::size_t>(i) + 1; });
    }
    CHECK(server->counters().active == 0);
    CHECK(server->counters().threads <= 2);
    Raw other(server->port());
    other.send(hello);
    CHECK(other.read_answer().ends_with("hello\n"));
    // Answered from here, the last first; each client gets its own, and its connection goes on.
    std::vector<std::pair<std::string, Reply>> kept;
    for (int i = 0; i < 50; ++i) kept.push_back(desk.take());
    for (auto one = kept.rbegin(); one != kept.rend(); ++one)
        one->second(Response::text(200, "answer " + one->first));
    for (int i = 0; i < 50; ++i) {
        auto& client = *clients[static_cast<std::size_t>(i)];
        CHECK(client.read_answer().ends_with("answer " + std::to_string(i) + "\n"));
        client.send(hello);
        CHECK(client.read_answer().ends_with("hello\n"));
    }
    CHECK(server->counters().requests == 101);
}

TEST_CASE("later: the first answer counts, none at all is a 500, and so is a throw") {
    Desk desk;
    auto router = make_router();
    router->add_later("POST", "/later", desk.handler());
    router->add_later("POST", "/never", [](const Request&, const Reply&) {});
    router->add_later("POST", "/throws",
                      [](const Request&, const Reply&) { throw std::runtime_error("secret"); });
    router->add_later("POST", "/answers-and-throws", [](const Request&, const Reply& reply) {
        reply(Response::text(200, "first"));
        throw std::runtime_error("secret");
    });
    router->add_later("POST", "/nonsense",
                      [](const Request&, const Reply& reply) { reply(Response::text(42, "what")); });
    router->add_later("GET", "/got",
                      [](const Request&, const Reply& reply) { reply(Response::text(200, "got it")); });
    auto server = started(options(), router);
    Raw raw(server->port());
    for (const auto* path : {"/never", "/throws", "/nonsense"}) {
        raw.send(post(path, ""));
        const auto answer = raw.read_answer();
        INFO(path);
        CHECK(answer.starts_with("HTTP/1.1 500 "));
        CHECK(answer.find("secret") == std::string::npos);
    }
    raw.send(post("/answers-and-throws", ""));
    CHECK(raw.read_answer().ends_with("first\n"));
    // Counted when the handler is left, which may be after its answer.
    wait_until([&] { return server->counters().failed == 3; });
    raw.send("HEAD /got HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    const auto head = raw.read_until("\r\n\r\n");
    CHECK(head.find("Content-Length: 7\r\n") != std::string::npos);
    CHECK(head.find("Connection: keep-alive\r\n") != std::string::npos);
    CHECK(head.ends_with("\r\n\r\n"));
    raw.send(post("/later", "x"));
    wait_until([&] { return desk.kept() == 1; });
    const auto [body, reply] = desk.take();
    const Reply copy = reply;
    copy(Response::text(200, "first"));
    reply(Response::text(200, "second"));
    CHECK(raw.read_answer().ends_with("first\n"));
    raw.send(hello);
    CHECK(raw.read_answer().ends_with("hello\n"));
}

TEST_CASE("later: stop waits for answers, and they arrive") {
    Desk desk;
    auto router = make_router();
    router->add_later("POST", "/later", desk.handler());
    auto with = options();
    with.stop_grace = 1ms;
    auto server = started(with, router);
    Raw raw(server->port());
    raw.send(post("/later", "x"));
    wait_until([&] { return desk.kept() == 1; });
    std::atomic<bool> stopped{false};
    std::thread stopper([&] {
        server->stop();
        stopped = true;
    });
    wait_until([&] { return !connect_tcp("127.0.0.1", server->port(), deadline_in(5s)).ok(); });
    CHECK_FALSE(stopped);
    desk.take().second(Response::text(200, "at last"));
    const auto answer = raw.read_until();
    CHECK(answer.ends_with("at last\n"));
    CHECK(answer.find("Connection: close\r\n") != std::string::npos);
    stopper.join();
    CHECK(server->counters().connections == 0);
}

TEST_CASE("later: a client that has gone meanwhile harms nobody") {
    Desk desk;
    auto router = make_router();
    router->add_later("POST", "/later", desk.handler());
    auto server = started(options(), router);
    {
        Raw gone(server->port());
        gone.send(post("/later", "x"));
        wait_until([&] { return desk.kept() == 1; });
    }
    desk.take().second(Response::octets(200, "a/b", Bytes(1 << 20)));
    wait_until([&] { return server->counters().connections == 0; });
    CHECK(must_run("curl -sS http://127.0.0.1:" + std::to_string(server->port()) + "/hello") == "hello\n");
}

TEST_CASE("workers: no more at once than allowed, and all are served in the end") {
    Barrier barrier;
    auto router = make_router();
    router->add("GET", "/barrier", [&](const Request&) { return barrier.pass(); });
    auto with = options();
    with.workers_at_once = 1;
    with.patience = std::chrono::hours(1);
    auto server = started(with, router);
    Raw first(server->port());
    first.send("GET /barrier HTTP/1.1\r\nHost: x\r\n\r\n");
    wait_until([&] { return barrier.inside == 1; });
    std::vector<std::unique_ptr<Raw>> clients;
    for (int i = 0; i < 20; ++i) {
        clients.push_back(std::make_unique<Raw>(server->port()));
        clients.back()->send(post("/echo", std::to_string(i)));
        wait_until([&] { return server->counters().connections == static_cast<std::uint64_t>(i) + 2; });
    }
    CHECK(server->counters().requests == 1);
    CHECK(server->counters().threads == 1);
    barrier.release();
    CHECK(first.read_answer().ends_with("passed\n"));
    for (int i = 0; i < 20; ++i)
        CHECK(clients[static_cast<std::size_t>(i)]->read_answer().ends_with("\r\n\r\n" + std::to_string(i)));
}

TEST_CASE("workers: who only waits for a slow client doesn't count") {
    auto with = options();
    with.workers_at_once = 1;
    with.patience = std::chrono::hours(1);
    auto server = started(with);
    std::vector<std::unique_ptr<Raw>> slow;
    for (int i = 0; i < 5; ++i) {
        slow.push_back(std::make_unique<Raw>(server->port()));
        slow.back()->send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\na");
    }
    wait_until([&] { return server->counters().active == 5; });
    Raw good(server->port());
    good.send(hello);
    CHECK(good.read_answer().ends_with("hello\n"));
    for (auto& one : slow) {
        one->send("bc");
        CHECK(one->read_answer().ends_with("abc"));
    }
}

TEST_CASE("workers: a handler that hangs doesn't hold up the others for longer than their patience") {
    Barrier barrier;
    auto router = make_router();
    router->add("GET", "/barrier", [&](const Request&) { return barrier.pass(); });
    auto with = options();
    with.workers_at_once = 1;
    with.patience = 50ms;
    auto server = started(with, router);
    Raw hanging(server->port());
    hanging.send("GET /barrier HTTP/1.1\r\nHost: x\r\n\r\n");
    wait_until([&] { return barrier.inside == 1; });
    for (int i = 0; i < 3; ++i) {
        Raw other(server->port());
        other.send(hello);
        CHECK(other.read_answer().ends_with("hello\n"));
    }
    // stop() is no different: nobody waits his turn then.
    std::vector<std::unique_ptr<Raw>> late;
    for (int i = 0; i < 5; ++i) {
        late.push_back(std::make_unique<Raw>(server->port()));
        late.back()->send(hello);
    }
    std::thread stopper([&] { server->stop(); });
    for (auto& one : late) CHECK(one->read_until().ends_with("hello\n"));
    barrier.release();
    CHECK(hanging.read_until().ends_with("passed\n"));
    stopper.join();
}

TEST_CASE("server: a client that waits for 100 Continue gets it before it sends its body") {
    auto server = started(options());
    Raw raw(server->port());
    raw.send("POST /echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
    CHECK(raw.read_until("\r\n\r\n") == "HTTP/1.1 100 Continue\r\n\r\n");
    raw.send("abc");
    CHECK(raw.read_answer().ends_with("abc"));
    raw.send("POST /echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n");
    CHECK(raw.read_until("\r\n\r\n") == "HTTP/1.1 100 Continue\r\n\r\n");
    raw.send("3\r\nabc\r\n0\r\n\r\n");
    CHECK(raw.read_answer().ends_with("abc"));
    // A body that will be refused isn't asked for.
    Raw large(server->port());
    large.send("POST /echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 99999999\r\n\r\n");
    CHECK(large.read_answer().starts_with("HTTP/1.1 413 "));
}
